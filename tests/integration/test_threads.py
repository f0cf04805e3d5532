"""One call on several threads, several calls at once, other processes, and Ctrl-C."""

import ctypes
import functools
import inspect
import io
import itertools
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from qvl_fast import ImageProcessor, _native, threads

pytestmark = [
    pytest.mark.timeout(60),
    # Python 3.12 warns of a fork beside threads, which is what is tested.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

REFERENCES = ("torchvision", "pillow")
DTYPES = ("float32", "float16", "bfloat16", "uint8")
THREADS = (1, 2, 3, 8)
SIDES = {"min_pixels": 28 * 28 * 60, "max_pixels": 28 * 28 * 110}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encoded(image, form="PNG", orientation=1):
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(image).save(file, form, exif=exif)
    return file.getvalue()


@functools.cache
def mixed_batch():
    """Images of every layout and form, large and small, tall and wide."""
    tall = noise(1205, 60, 4)
    return [
        np.ascontiguousarray(tall[..., :3]),
        noise(60, 1500, 3, seed=1),
        tall[..., :3],  # with a fourth byte of no meaning
        tall,  # RGBA
        tall[..., :1],  # grey
        tall[::-1, :, :3],
        tall[:, ::-1, :3],
        tall[::2, :, 2::-1],
        *(noise(28 * bands, 28 * 3, 3, seed=bands) for bands in (24, 25, 36, 37, 60)),
        torch.from_numpy(noise(3, 900, 100, seed=2)),
        torch.from_numpy(noise(3, 100, 900, seed=3)).mT,
        noise(1, 800, 90, seed=4),
        noise(20, 20, 3, seed=5),
        noise(90, 3, 3, seed=6),
        noise(2500, 700, 3, seed=7),
        Image.fromarray(noise(1000, 70, 3, seed=8)),
        Image.fromarray(tall),
        Image.fromarray(noise(900, 90, seed=9)).convert("P"),
        encoded(tall),
        encoded(noise(1100, 80, 3, seed=10)),
        encoded(noise(80, 1100, 3, seed=11), "JPEG", orientation=6),
        encoded(noise(1500, 500, 3, seed=12), "JPEG"),
        encoded(noise(70, 900, seed=13), "JPEG", orientation=8),
        encoded(noise(800, 77, 3, seed=14), "BMP"),
        io.BytesIO(encoded(noise(880, 64, 3, seed=15))),
    ]


def processor(**options):
    return ImageProcessor("qwen2.5-vl", **SIDES, **options)


@functools.lru_cache(2)
def single_rows(**options):
    """The rows of each image of the batch by itself, on one thread without SIMD."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QVL_FAST_ISA", "scalar")
        process = processor(num_threads=1, **options)
        return [process(image)["pixel_values"] for image in mixed_batch()]


def expected(order=None, **options):
    rows = single_rows(**options)
    return torch.cat(rows if order is None else [rows[index] for index in order])


def equal(rows, want):
    bits = {4: torch.int32, 2: torch.int16, 1: torch.uint8}[want.element_size()]
    return rows.dtype == want.dtype and torch.equal(rows.view(bits), want.view(bits))


# --- the same bits ---------------------------------------------------------------------------


@pytest.mark.parametrize("temporal", ["full", "compact"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reference", REFERENCES)
def test_any_number_of_threads_gives_the_same_bits(reference, dtype, temporal, monkeypatch):
    options = {"reference": reference, "dtype": dtype, "temporal": temporal}
    want = expected(**options)
    for isa, num_threads in itertools.product(_native.available_isas(), THREADS):
        monkeypatch.setenv("QVL_FAST_ISA", isa)
        rows = processor(num_threads=num_threads, **options)(mixed_batch())["pixel_values"]
        assert equal(rows, want), (isa, num_threads)


@pytest.mark.parametrize("num_threads", THREADS)
def test_scaled_decoding_and_memory_of_the_caller_give_the_same_bits(num_threads):
    process = processor(num_threads=num_threads, decode="scaled", dtype="float16")
    want = expected(decode="scaled", dtype="float16")
    out = torch.full((len(want) + 3, want.shape[1]), 7, dtype=torch.float16)
    rows = process(mixed_batch(), out=out)["pixel_values"]
    assert rows.data_ptr() == out.data_ptr()
    assert equal(rows, want)
    assert (out[len(want) :] == 7).all()


@pytest.mark.parametrize(("num_threads", "one_out"), [(1, False), (2, True), (None, False)])
def test_eight_callers_at_once_all_get_their_rows(num_threads, one_out):
    options = {"dtype": "float16", "temporal": "compact"}
    process = processor(num_threads=num_threads, **options)
    # An opened file has one place to read at: callers cannot share it.
    fit = [n for n, image in enumerate(mixed_batch()) if not isinstance(image, io.BytesIO)]
    want = [expected((*fit[n:], *fit[:n]), **options) for n in range(8)]
    parts = torch.empty(8, *want[0].shape, dtype=torch.float16) if one_out else [None] * 8
    start = threading.Barrier(8)

    def work(number):
        images = [mixed_batch()[index] for index in (*fit[number:], *fit[:number])]
        start.wait(20)
        made = [process(images, out=parts[number])["pixel_values"] for _ in range(2)]
        return all(equal(rows, want[number]) for rows in made)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


# --- how many threads ------------------------------------------------------------------------


def acting(act, side=280):
    """A PIL image that acts when it is first asked for its pixels; large enough for a thread."""
    image = Image.new("RGB", (side, side))
    load = image.load

    def act_first():
        image.load = load
        act()
        return load()

    image.load = act_first
    return image


# For programs of their own, which are to import no tests.
ACTING = f"from PIL import Image\n\n\n{inspect.getsource(acting)}"


def met(count, **options):
    """The threads that load images: so many at the same time, and twice as many more."""
    loaders, met = set(), threading.Barrier(count, timeout=10)

    def meet():
        loaders.add(threading.get_ident())
        met.wait()

    images = [acting(meet) for _ in range(3 * count)]
    processor(**options)(images, return_tensors="np")
    return loaders


@pytest.mark.parametrize("count", THREADS)
def test_as_many_threads_as_asked_for_work_at_once(count):
    assert len(loaders := met(count, num_threads=count)) == count
    assert threading.get_ident() in loaders


def test_the_environment_says_how_many_threads_where_the_processor_does_not(monkeypatch):
    monkeypatch.setenv("QVL_FAST_NUM_THREADS", "3")
    assert len(met(3)) == 3
    assert met(1, num_threads=1) == {threading.get_ident()}
    monkeypatch.setenv("QVL_FAST_NUM_THREADS", "1")
    assert met(1) == {threading.get_ident()}


DEFAULT = "from qvl_fast.threads import default_num_threads; print(default_num_threads())"
ON_ONE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "


@contextmanager
def started(code, *arguments, **environment):
    """A fresh Python, which does not outlive the test; ``communicate`` with it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QVL_FAST")}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={**clean, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # of one that has ended, nothing


@pytest.mark.parametrize(
    ("code", "environment", "want"),
    [
        (DEFAULT, {}, _native.processors()),
        (DEFAULT, {"QVL_FAST_NUM_THREADS": ""}, _native.processors()),
        (DEFAULT, {"QVL_FAST_NUM_THREADS": "5"}, 5),
        (DEFAULT, {"LOCAL_WORLD_SIZE": "1"}, _native.processors()),
        (DEFAULT, {"LOCAL_WORLD_SIZE": "2"}, max(1, _native.processors() // 2)),
        (DEFAULT, {"LOCAL_WORLD_SIZE": "512"}, 1),
        (DEFAULT, {"LOCAL_WORLD_SIZE": "2", "QVL_FAST_NUM_THREADS": "5"}, 5),
        (ON_ONE + DEFAULT, {}, 1),
        (ON_ONE + DEFAULT, {"QVL_FAST_NUM_THREADS": "5"}, 5),
    ],
)
def test_the_default_is_the_environment_or_else_the_processors(code, environment, want):
    assert 1 <= _native.processors() <= len(os.sched_getaffinity(0))
    with started(code, **environment) as process:
        assert process.communicate(timeout=30) == (f"{want}\n", "")


CREW = (
    ACTING
    + """
import os, numpy, qvl_fast
from pathlib import Path
from threading import Barrier
from qvl_fast.threads import default_num_threads


def threads():
    return len(list(Path("/proc/self/task").iterdir()))


def call(num_threads):
    places, met = set(), Barrier(num_threads, timeout=10)

    def act():
        places.add(frozenset(os.sched_getaffinity(0)))
        met.wait()

    process = qvl_fast.ImageProcessor("qwen2-vl", num_threads=num_threads)
    process([acting(act) for _ in range(3 * num_threads)], return_tensors="np")
    return places


def call_with_little_work():
    process = qvl_fast.ImageProcessor("qwen2-vl", num_threads=3)
    process([numpy.zeros((56, 56, 3), "uint8")] * 16, return_tensors="np")


everywhere, before = frozenset(os.sched_getaffinity(0)), threads()
"""
)

ON_EACH_PROCESSOR = """
assert call(3) == {everywhere}
for processor in sorted(everywhere):
    os.sched_setaffinity(0, {processor})
    assert default_num_threads() == 1
    assert call(3) == {frozenset({processor})}
os.sched_setaffinity(0, everywhere)
assert call(3) == {everywhere}
print(default_num_threads(), threads() - before)
"""


@on_linux
def test_helpers_start_on_first_need_and_stay():
    code = CREW + "for count in (1, 3, 1, 2, 3): call(count); print(threads() - before)"
    with started(code) as process:
        assert process.communicate(timeout=30) == ("0\n2\n2\n2\n2\n", "")


@on_linux
def test_little_work_starts_no_thread():
    with started(CREW + "call_with_little_work(); print(threads() - before)") as process:
        assert process.communicate(timeout=30) == ("0\n", "")


@on_linux
def test_a_change_of_affinity_holds_for_the_next_call_and_its_helpers():
    with started(CREW + ON_EACH_PROCESSOR) as process:
        assert process.communicate(timeout=30) == (f"{_native.processors()} 2\n", "")


OWN = str(_native.processors())
WORKERS = """
import sys
from concurrent.futures import ProcessPoolExecutor
from {package} import get_context
from qvl_fast.threads import default_num_threads

def send(pipe):
    pipe.send(default_num_threads())

if __name__ == "__main__":
    context = get_context(sys.argv[1])
    ours, theirs = context.Pipe()
    process = context.Process(target=send, args=(theirs,))
    process.start()
    print(ours.recv())
    process.join()
    if "{package}" == "multiprocessing":
        with ProcessPoolExecutor(1, context) as pool:
            print(pool.submit(default_num_threads).result())
    print(default_num_threads())
"""


def threads_of_workers(folder, package, method):
    """What a process, a worker of a pool where there are pools, and their parent take."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QVL_FAST")}
    script = folder / "workers.py"
    script.write_text(WORKERS.format(package=package))
    done = subprocess.run(
        [sys.executable, script, method],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_process_uses_one_thread(method, tmp_path):
    assert threads_of_workers(tmp_path, "multiprocessing", method) == ["1", "1", OWN]


def test_a_worker_process_of_multiprocess_uses_one_thread(tmp_path):
    """The package is a copy of the standard one under another name, so a copy stands in for it."""
    original = Path(multiprocessing.__file__).parent
    for file in original.rglob("*.py"):
        target = tmp_path / "multiprocess" / file.relative_to(original)
        target.parent.mkdir(exist_ok=True)
        text = file.read_text(encoding="utf-8")
        target.write_text(re.sub("(?<!_)multiprocessing", "multiprocess", text), encoding="utf-8")
    assert threads_of_workers(tmp_path, "multiprocess", "fork") == ["1", OWN]


@pytest.mark.parametrize("number", [0, -1, 2.5, 2.0, "2", [2], 2**80])
def test_a_bad_number_of_threads_is_refused(number):
    with pytest.raises((ValueError, TypeError), match="num_threads") as caught:
        processor(num_threads=number)
    assert str(number) in str(caught.value)


@pytest.mark.parametrize(
    "value", ["0", "-1", "2.5", "two", " 2", "0x2", "\u0663", "9" * 30, "9" * 5000]
)
def test_a_bad_environment_is_refused(value, monkeypatch):
    monkeypatch.setenv("QVL_FAST_NUM_THREADS", value)
    with pytest.raises(ValueError, match="QVL_FAST_NUM_THREADS must be") as caught:
        processor()(noise(80, 80, 3))
    assert value[:20] in str(caught.value)
    assert processor(num_threads=2)(noise(80, 80, 3))


# --- failures and interruptions --------------------------------------------------------------


BAD = {
    "array of floats": lambda: noise(80, 80, 3).astype(np.float32),
    "no image": lambda: b"no image",
    "truncated PNG": lambda: encoded(noise(300, 300, 3))[:-9999],
    "truncated JPEG": lambda: encoded(noise(300, 300, 3), "JPEG")[:9999],
    "truncated BMP": lambda: encoded(noise(300, 300, 3), "BMP")[:9999],
    "PIL image of a truncated file": lambda: Image.open(
        io.BytesIO(encoded(noise(300, 300, 3))[:-9999])
    ),
}


@pytest.mark.parametrize("num_threads", [1, 2, 8])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_named_and_the_processor_lives_on(name, num_threads):
    process = processor(num_threads=num_threads)
    for places in ([0], [17], [len(mixed_batch())], [5, 20]):
        images = list(mixed_batch())
        bad = [BAD[name]() for _ in places]
        for place, image in zip(places, bad, strict=True):
            images.insert(place, image)
        with pytest.raises((ValueError, TypeError)) as caught:
            process(images)
        assert caught.value.index in places
        assert caught.value.source is bad[places.index(caught.value.index)]
        assert f"images[{caught.value.index}]" in caught.value.__notes__[-1]
    assert equal(process(mixed_batch())["pixel_values"], expected())


def test_what_a_stream_raises_keeps_its_type_and_is_told_apart():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise RuntimeError("broken")

    images = list(mixed_batch())
    images.insert(5, Broken())
    with pytest.raises(RuntimeError, match="broken") as caught:
        processor()(images)
    assert caught.value.index == 5
    assert caught.value.source == "(Broken)"
    assert caught.value.__notes__ == ["images[5] is (Broken)"]


@pytest.mark.parametrize("num_threads", [1, 3])
def test_what_an_image_raises_beyond_exceptions_is_handed_on(num_threads):
    def end():
        raise SystemExit(3)

    process = processor(num_threads=num_threads)
    with pytest.raises(SystemExit, match="3"):
        process([*mixed_batch(), acting(end), *mixed_batch()])
    assert equal(process(mixed_batch())["pixel_values"], expected())


INTERRUPTED = (
    ACTING
    + """
import sys, io, time, numpy, qvl_fast

kind, num_threads = sys.argv[1:]
noise = numpy.random.default_rng(0).integers(0, 256, (1500, 1500, 3), "uint8")
if kind != "array":
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
image = noise if kind == "array" else file.getvalue()
process = qvl_fast.ImageProcessor(
    "qwen2-vl", max_pixels=50_000, dtype="uint8", num_threads=int(num_threads)
)
first = process(image, return_tensors="np")["pixel_values"]


begins = acting(lambda: print("begins", flush=True), 2000)  # larger than the others, so the first
try:
    process([begins] + [image] * 10_000, return_tensors="np")
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
assert numpy.array_equal(process(image, return_tensors="np")["pixel_values"], first)
"""
)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("num_threads", ["1", "2"])
@pytest.mark.parametrize("kind", ["array", "JPEG", "BMP"])
def test_ctrl_c_is_answered_within_a_second(kind, num_threads):
    with started(INTERRUPTED, kind, num_threads) as process:
        assert process.stdout.readline() == "begins\n"
        time.sleep(0.2)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert float(out) - sent < 1


def a_helper():
    """A thread of the crew of this process."""
    threads = Path("/proc/self/task").iterdir()
    return next(int(one.name) for one in threads if (one / "comm").read_text() == "qvl-fast\n")


@pytest.mark.parametrize("receiver", ["process", pytest.param("helper", marks=on_linux)])
def test_what_a_signal_handler_raises_ends_the_call(receiver):
    class CalledError(Exception):
        pass

    def handle(*_):
        raise CalledError

    def send():
        if receiver == "process":
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            ctypes.CDLL(None).tgkill(os.getpid(), a_helper(), signal.SIGUSR1)

    process = processor(num_threads=2, dtype="uint8")
    image = noise(1500, 1500, 3)
    timer = threading.Timer(0.1, send)
    met(2, num_threads=2)  # so that there is a helper, which has its name
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(CalledError) as caught:
            process([acting(timer.start, 1500)] + [image] * 5000)
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not hasattr(caught.value, "index")


@pytest.mark.parametrize("name", ["out", "image"])
def test_memory_that_another_call_is_writing_to_is_refused_by_name(name):
    process = processor(num_threads=1)
    opened, go_on = threading.Event(), threading.Event()

    def wait():
        opened.set()
        go_on.wait(10)

    image, slow = noise(280, 280, 3), acting(wait)
    out = np.zeros((400, process.columns), np.float32)
    written = out.view(np.uint8).ravel()[: image.size].reshape(image.shape)
    arguments = {"out": (image, out), "image": (written, None)}[name]
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(process, slow, out=out)
        assert opened.wait(10)
        try:
            with pytest.raises((ValueError, TypeError, RuntimeError), match=name) as caught:
                process(arguments[0], out=arguments[1])
        finally:
            go_on.set()
        assert call.result(10)
    if name == "image":
        assert caught.value.index == 0
        assert caught.value.source is written


# --- beside other threads and processes ------------------------------------------------------


@pytest.mark.parametrize("num_threads", [1, 2])
def test_other_python_threads_go_on_during_a_call(num_threads):
    process = processor(num_threads=num_threads, dtype="uint8")
    images = [noise(1500, 1500, 3)] * 60
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(process, images, return_tensors="np")
        naps, start = 0, time.perf_counter()
        while not call.done():
            time.sleep(0.001)  # needs the GIL to end
            naps += 1
        milliseconds = 1000 * (time.perf_counter() - start)
        assert call.result()
    assert milliseconds > 5
    assert naps > milliseconds / 5


@pytest.mark.parametrize("num_threads", [1, 3])
def test_pixels_that_another_thread_changes_do_no_harm(num_threads):
    process = processor(num_threads=num_threads, dtype="uint8")
    array = noise(1500, 1500, 4)
    forms = {
        "RGBA": array,
        "RGBX": array[..., :3],
        "BGR": array[..., 2::-1],
        "grey": array[..., 3:],
        "sideways": array.transpose(1, 0, 2),
        "PIL": Image.fromarray(array[..., :3]),
        "PIL over the array": Image.frombuffer("RGBX", (1500, 1500), array, "raw", "RGBX", 0, 1),
    }
    images, over = list(forms.values()), threading.Event()

    def change():
        changes = 0
        while not over.is_set():
            np.invert(array, out=array)
            forms["PIL"].paste((changes % 256, 0, 0), (0, 0, 1500, 1500))
            changes += 1
        return changes

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        try:
            for _ in range(5):
                assert process(images)["pixel_values"].dtype == torch.uint8
        finally:
            over.set()
        assert changing.result(20) > 5
    copies = [image.copy() for image in images]
    assert equal(process(images)["pixel_values"], process(copies)["pixel_values"])


def test_helpers_come_back_after_brief_calls_of_other_threads():
    """The pattern of a server: a batch on four threads, and six calls on one each meanwhile."""
    four = threading.Barrier(4, timeout=20)
    held, begun, release = threading.Barrier(7, timeout=20), threading.Event(), threading.Event()

    def hold():
        held.wait()
        release.wait(20)

    def begin_six():
        one = processor(num_threads=1)
        brief.extend(pool.submit(one, acting(hold)) for _ in range(6))
        held.wait()
        begun.set()

    def end_six():
        release.set()
        for call in brief:
            call.result(20)

    def wait():
        assert begun.wait(20)

    # While the six go on the helpers leave, after the image each has.
    acts = [four.wait] * 4 + [begin_six] + [wait] * 30 + [end_six] + [four.wait] * 4
    brief = []
    with ThreadPoolExecutor(6) as pool:
        rows = processor(num_threads=4)([acting(act) for act in acts])["pixel_values"]
    assert equal(rows, processor()([Image.new("RGB", (280, 280))] * len(acts))["pixel_values"])


def test_a_fork_beside_calls_leaves_both_processes_their_threads():
    begun, over = threading.Event(), threading.Event()

    def work():
        while not over.is_set():
            processor(num_threads=3)([acting(begun.set) for _ in range(30)])

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(work) for _ in range(2)]
        try:
            assert begun.wait(20)
            for _ in range(5):
                with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as child:
                    assert len(child.submit(met, 3, num_threads=3).result(20)) == 3
        finally:
            over.set()
        for call in calls:
            call.result(20)
    assert len(met(3, num_threads=3)) == 3


ENDS = (
    ACTING
    + """
import sys, threading, numpy, qvl_fast

image = numpy.random.default_rng(0).integers(0, 256, (1500, 1500, 3), "uint8")
process = qvl_fast.ImageProcessor("qwen2-vl", max_pixels=50_000, dtype="uint8", num_threads=3)
begun = threading.Event()


process([image] * 9, return_tensors="np")
if sys.argv[1] == "at work":
    images = [acting(begun.set, 1500)] + [image] * 5000
    options = {"return_tensors": "np"}
    threading.Thread(target=process, args=(images,), kwargs=options, daemon=True).start()
    assert begun.wait(20)
print("ends")
"""
)


@pytest.mark.parametrize("helpers", ["asleep", "at work"])
def test_a_process_ends_whatever_its_helpers_do(helpers):
    with started(ENDS, helpers) as process:
        assert process.communicate(timeout=30) == ("ends\n", "")
    assert process.returncode == 0


class Noise(torch.utils.data.Dataset):
    def __init__(self, process):
        self.process = process

    def __len__(self):
        return 4

    def __getitem__(self, number):
        images = [noise(900, 80, 3, seed=number), encoded(noise(80, 900, 3, seed=number))]
        return dict(self.process(images)), threads.default_num_threads()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_data_loader_gives_the_rows_of_the_main_process(method, monkeypatch):
    monkeypatch.setenv("QVL_FAST_NUM_THREADS", "2")
    dataset = Noise(processor(dtype="bfloat16"))
    want = [dataset[number] for number in range(len(dataset))]
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context=method, timeout=40
    )
    for (got, count), (wanted, own) in zip(loader, want, strict=True):
        assert equal(got["pixel_values"], wanted["pixel_values"])
        assert torch.equal(got["image_grid_thw"], wanted["image_grid_thw"])
        assert (count, own) == (1, 2)


def test_the_environment_counts_in_processes_that_are_not_daemonic(monkeypatch):
    monkeypatch.setenv("QVL_FAST_NUM_THREADS", "5")
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        assert pool.apply(threads.default_num_threads) == 1
        assert pool.apply(met, (1,)) == {pool.apply(threading.get_ident)}
        assert len(pool.apply(met, (3,), {"num_threads": 3})) == 3
    with ProcessPoolExecutor(1, context) as pool:
        assert pool.submit(threads.default_num_threads).result(20) == 5
        assert len(pool.submit(met, 5).result(20)) == 5


needs_accelerator = pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")


@pytest.mark.parametrize("pin_memory", [False, pytest.param(True, marks=needs_accelerator)])
@pytest.mark.parametrize("decode", ["exact", "scaled"])
@pytest.mark.parametrize("num_threads", [None, 3])
def test_a_pickle_and_the_repr_keep_every_option(num_threads, decode, pin_memory):
    options = {"num_threads": num_threads, "pin_memory": pin_memory, "decode": decode}
    process = processor(**options)
    copied = pickle.loads(pickle.dumps(process))
    assert repr(copied) == repr(process)
    for name, value in options.items():
        assert getattr(copied, name) == value
        assert f"{name}={value!r}" in repr(process)
    rows = copied(mixed_batch())["pixel_values"]
    assert rows.is_pinned() == pin_memory
    assert equal(rows, expected(decode=decode))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
def test_page_locked_memory_without_an_accelerator_is_refused():
    with pytest.raises(RuntimeError, match="pin_memory=True needs an accelerator"):
        processor(pin_memory=True)
