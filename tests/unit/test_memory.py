"""Memory of large results is used again when nothing refers to it, and never before."""

import ctypes
import gc
import io
import itertools
import multiprocessing
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import qvl_fast
from qvl_fast import ImageProcessor, _native, memory_stats, patchify, release_memory, resize

pytestmark = [
    pytest.mark.timeout(60),
    # Python 3.12 warns of a fork beside threads, which is what is tested.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

SMALLEST = 32 << 10
GARBAGE = 0xA5
IMAGE = np.random.default_rng(0).integers(0, 256, (280, 308, 3), np.uint8)
GRID = [[1, 300, 280]]


def rows(dtype, temporal="full", return_tensors="pt", images=IMAGE, num_threads=1):
    process = ImageProcessor("qwen2-vl", dtype=dtype, temporal=temporal, num_threads=num_threads)
    return process(images, return_tensors=return_tensors)["pixel_values"]


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def padded_mrope():
    types = np.zeros((2, 6000), np.int64)
    types[:, 100:2200] = 1  # one image of 84x100 patches in each row
    mask = np.ones_like(types)
    mask[0, :50] = mask[1, 5000:] = 0
    grids = [[1, 84, 100]] * 2
    return qvl_fast.mrope_position_ids(
        types, config="qwen2-vl", image_grid_thw=grids, attention_mask=mask
    )[0]


# What gives large results, as a list of them.
MAKERS = {
    "rows": lambda: [rows("float32", return_tensors="np")],
    "rows by two threads": lambda: [rows("float16", images=[IMAGE, png(IMAGE)], num_threads=2)],
    "tensor": lambda: [rows("float32")],
    "bfloat16 tensor": lambda: [rows("bfloat16")],
    "compact uint8 tensor": lambda: [rows("uint8", "compact")],
    "patchify": lambda: [patchify(IMAGE[None], "qwen2-vl")],
    "patchify bfloat16": lambda: [patchify(IMAGE[None], "qwen2-vl", dtype="bfloat16")],
    "resize": lambda: [resize(IMAGE, 300, 400)],
    "position_ids": lambda: [qvl_fast.position_ids(GRID)],
    "interpolation_taps": lambda: [*qvl_fast.interpolation_taps(GRID)],
    "window_index": lambda: [qvl_fast.window_index(GRID)[0]],
    "mrope_position_ids": lambda: [padded_mrope()],
}


def address(result):
    is_tensor = isinstance(result, torch.Tensor)
    return result.data_ptr() if is_tensor else result.__array_interface__["data"][0]


def raw(result):
    """The bytes of a result as an array over its memory."""
    if isinstance(result, torch.Tensor):
        return result.view(torch.uint8).numpy()
    return result.view(np.uint8)


def copies(results):
    return [raw(result).tobytes() for result in results]


def spoil(results):
    for result in results:
        raw(result)[...] = GARBAGE


def are_apart(results):
    spans = sorted((address(result), result.nbytes) for result in results)
    return all(a + size <= b for (a, size), (b, _) in itertools.pairwise(spans))


@pytest.fixture(autouse=True, scope="module")
def _quick_collections():
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _nothing_idle(monkeypatch):
    monkeypatch.setattr(qvl_fast.memory, "_limit", None)
    gc.collect()
    release_memory()
    yield
    monkeypatch.undo()
    qvl_fast.memory.settle_limit()
    release_memory()


@pytest.fixture(scope="module")
def expected():
    """Copies of what the makers make in fresh memory."""
    made = {}
    for name, make in MAKERS.items():
        release_memory()
        made[name] = copies(make())
    return made


# --- when it is used again -------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_a_dead_result_leaves_its_memory_to_the_next(name):
    results = MAKERS[name]()
    assert all(result.nbytes >= SMALLEST for result in results)
    places, before = [*map(address, results)], memory_stats()
    del results
    again = MAKERS[name]()
    after = memory_stats()
    assert [*map(address, again)] == places
    if name != "rows by two threads":
        # Two that work at the same time stage lines in memory of their own. Whether both got to
        # work is chance, in either call.
        assert after["fresh"] == before["fresh"]
    assert after["recycled"] >= before["recycled"] + len(again)
    assert after["in_use_bytes"] == before["in_use_bytes"]


@pytest.mark.parametrize("bigger", [1, 1.5])
@pytest.mark.parametrize("name", MAKERS)
def test_what_an_earlier_result_held_is_never_seen(name, bigger, expected):
    sizes = [result.nbytes for result in MAKERS[name]()]
    release_memory()
    spoiled = [_native.empty((int(bigger * size),), "uint8") for size in sizes]
    spoil(spoiled)
    places = [*map(address, spoiled)]
    del spoiled
    again = MAKERS[name]()
    assert [*map(address, again)] == places
    assert copies(again) == expected[name]


def test_a_result_that_is_much_smaller_gets_other_memory():
    large = _native.empty((64 << 20,), "uint8")
    place = address(large)
    del large
    small = _native.empty((20 << 20,), "uint8")
    assert not place <= address(small) < place + (64 << 20)
    assert address(_native.empty((60 << 20,), "uint8")) == place


def test_results_are_writable_aligned_and_contiguous():
    for make in MAKERS.values():
        for result in make():
            array = raw(result)
            assert array.flags.writeable
            assert array.flags.c_contiguous
            assert address(result) % 64 == 0


VIEWS = {
    "slice": lambda array: array[1:2],
    "empty slice": lambda array: array[:0],
    "view of views": lambda array: array.reshape(-1)[::7].view(np.int8)[5:][None].T,
    "memoryview": lambda array: memoryview(array)[3:],
    "array of a memoryview": lambda array: np.frombuffer(memoryview(array), np.uint8),
    "tensor": torch.from_numpy,
    "slice of a tensor": lambda array: torch.from_numpy(array)[2:3, 1:].permute(2, 0, 1),
    "bfloat16 view of a tensor": lambda array: (
        torch.from_numpy(array).flatten().view(torch.bfloat16)
    ),
    "detached alias of a tensor": lambda array: torch.from_numpy(array).detach().unsqueeze(0),
    "array of a tensor": lambda array: torch.from_numpy(array)[4:].numpy(),
    "DLPack": torch.from_dlpack,
    "buffer beside a pickle": lambda array: pickled_apart(array)[1],
    "cycle": lambda array: cycle_with(array),
}


def pickled_apart(array):
    buffers = []
    return pickle.dumps(array, 5, buffer_callback=buffers.append), buffers


def cycle_with(array):
    cycle = [array]
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_keeps_the_memory_until_it_dies(name):
    result = resize(IMAGE, 300, 400)
    place, content, size = address(result), result.tobytes(), result.nbytes
    view = VIEWS[name](result)
    del result
    gc.collect()
    others = [resize(IMAGE[::-1], 300, 400) for _ in range(3)]
    assert all(abs(address(other) - place) >= size for other in others)
    assert ctypes.string_at(place, size) == content
    del view
    gc.collect()
    assert address(resize(IMAGE, 300, 400)) == place


@pytest.mark.parametrize("threads", [1, 4])
def test_held_results_stay_as_they_are_while_others_come_and_go(threads, expected):
    before = memory_stats()
    start = threading.Barrier(threads)
    held = []

    def check(name, results):
        assert copies(results) == expected[name]
        spoil(results)

    def work(seed):
        random = np.random.default_rng(seed)
        start.wait(10)
        for _ in range(600 // threads):
            name = str(random.choice(list(MAKERS)))
            held.append((name, MAKERS[name]()))
            assert are_apart([result for _, results in held.copy() for result in results])
            if len(held) > 4 * threads:
                check(*held.pop(0))  # the result of any thread

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    while held:
        check(*held.pop())
    after = memory_stats()
    assert after["recycled"] > before["recycled"]
    assert after["in_use_bytes"] == before["in_use_bytes"]
    assert after["idle_bytes"] <= after["idle_limit_bytes"]


@pytest.mark.parametrize("name", ["rows", "bfloat16 tensor", "position_ids"])
def test_a_result_may_die_in_another_thread(name, expected):
    box = MAKERS[name]()
    place, before = address(box[0]), memory_stats()
    dying = threading.Thread(target=box.clear)
    dying.start()
    dying.join()
    assert memory_stats()["in_use_bytes"] < before["in_use_bytes"]
    again = MAKERS[name]()
    assert address(again[0]) == place
    assert copies(again) == expected[name]


# --- counts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [SMALLEST, SMALLEST + 1, 1_000_000, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 50_000_001]
)
def test_stats_say_what_is_in_use_and_what_is_idle(size):
    before = memory_stats()
    result = _native.empty((size,), "uint8")
    during = memory_stats()
    held = during["in_use_bytes"] - before["in_use_bytes"]
    assert size <= held <= 1.25 * size + (2 << 20)
    assert during == {
        **before,
        "in_use_bytes": before["in_use_bytes"] + held,
        "fresh": before["fresh"] + 1,
    }
    del result
    after = memory_stats()
    assert after == {**during, "in_use_bytes": before["in_use_bytes"], "idle_bytes": held}
    result = _native.empty((size,), "uint8")
    assert memory_stats() == {**during, "recycled": before["recycled"] + 1}
    del result
    assert release_memory() == held
    assert memory_stats() == {**after, "idle_bytes": 0, "recycled": before["recycled"] + 1}
    assert release_memory() == 0


def test_small_results_are_not_counted():
    before = memory_stats()
    results = [_native.empty((SMALLEST - 1,), "uint8"), resize(IMAGE, 50, 50)]
    assert memory_stats() == before
    del results
    assert memory_stats() == before


def test_releasing_leaves_what_is_in_use():
    kept, dropped = resize(IMAGE, 300, 400), resize(IMAGE, 600, 800)
    content, in_use = kept.tobytes(), memory_stats()["in_use_bytes"]
    size = dropped.nbytes
    del dropped
    assert release_memory() >= size
    assert kept.tobytes() == content
    kept[...] = GARBAGE
    after = memory_stats()
    assert size <= in_use - after["in_use_bytes"] < in_use
    assert after["idle_bytes"] == 0


@pytest.mark.parametrize("limit", [None, 1 << 30, 10_000_000])
def test_idle_memory_stays_within_the_limit_and_the_newest_is_kept(limit):
    release_memory(limit=limit)
    limit = memory_stats()["idle_limit_bytes"]
    size = limit * 3 // 10  # room for three; nothing is written, so no page is touched
    results = [_native.empty((size,), "uint8") for _ in range(6)]
    places = [*map(address, results)]
    while results:
        del results[0]
        assert memory_stats()["idle_bytes"] <= limit
    assert memory_stats()["idle_bytes"] >= 3 * size
    results = [_native.empty((size,), "uint8") for _ in range(3)]
    assert sorted(map(address, results)) == sorted(places[3:])
    del results
    idle = memory_stats()["idle_bytes"]
    _native.empty((limit + 1,), "uint8")
    assert memory_stats()["idle_bytes"] == idle, "what is over the limit by itself was kept"


# --- the limit -------------------------------------------------------------------------------


def control_group_bytes():
    """What the control groups of this process allow it, from the places they usually are at."""
    groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    limits = []
    for _, controllers, group in groups:
        root, name = Path("/sys/fs/cgroup"), "memory.max"
        if controllers:
            if "memory" not in controllers.split(","):
                continue
            root, name = root / "memory", "memory.limit_in_bytes"
        inner = Path(group.lstrip("/"))
        for place in (inner, *inner.parents):
            file = root / place / name
            if file.exists() and (text := file.read_text().strip()).isdecimal():
                limits.append(int(text))
    return limits


def quarter():
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(machine, *control_group_bytes()) // 4


def default():
    return min(2 << 30, quarter())


def limit_in_force():
    return memory_stats()["idle_limit_bytes"]


def test_the_default_is_two_gibibytes_and_a_quarter_of_the_memory_at_most():
    assert limit_in_force() == default()


def test_a_limit_that_is_set_holds_from_then_on():
    for limit in (0, 5_000_000, np.int64(1 << 30)):
        release_memory(limit=limit)
        assert limit_in_force() == limit
        release_memory()
        assert limit_in_force() == limit
    release_memory(limit=10**30)
    assert limit_in_force() == quarter()


def test_a_limit_gives_back_what_waits():
    _native.empty((30_000_000,), "uint8")
    assert release_memory(limit=20_000_000) >= 30_000_000
    _native.empty((30_000_000,), "uint8")
    assert memory_stats()["idle_bytes"] == 0
    release_memory(limit=0)
    before = memory_stats()["fresh"]
    for _ in range(3):
        _native.empty((SMALLEST,), "uint8")
    assert memory_stats()["idle_bytes"] == 0
    assert memory_stats()["fresh"] == before + 3


@pytest.mark.parametrize(
    ("limit", "error", "message"),
    [
        (-1, ValueError, "limit must be 0 or more, got -1"),
        (1.5, TypeError, "limit must be an integer or None, got 1.5"),
        ("1G", TypeError, "limit must be an integer or None, got '1G'"),
    ],
)
def test_a_limit_that_means_nothing_is_refused(limit, error, message):
    before = limit_in_force()
    with pytest.raises(error, match=message):
        release_memory(limit=limit)
    assert limit_in_force() == before


SHOW_LIMIT = """
import qvl_fast
qvl_fast.resize(__import__("numpy").zeros((4, 4, 3), "uint8"), 500, 500)
print(qvl_fast.memory_stats()["idle_limit_bytes"])
"""


def in_a_process_with(value, program=SHOW_LIMIT):
    environment = {**os.environ, "QVL_FAST_MEMORY_LIMIT": value}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("value", ["", "0", "123456789", "9" * 18])
def test_the_environment_may_set_the_limit(value):
    shown = in_a_process_with(value)
    assert int(shown.stdout) == (min(int(value), quarter()) if value else default())
    assert not shown.stderr


@pytest.mark.parametrize("value", ["1G", "-1", "1.5", " 7", "9" * 19])
def test_a_variable_that_means_nothing_is_an_error(value):
    failed = in_a_process_with(value)
    assert failed.returncode == 1
    message = f"QVL_FAST_MEMORY_LIMIT must be a number of bytes, 0 or more, got {value!r}"
    assert message in failed.stderr


def test_a_call_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("QVL_FAST_MEMORY_LIMIT", "77000000")
    qvl_fast.memory.settle_limit()
    assert limit_in_force() == 77_000_000
    release_memory(limit=55_000_000)
    assert limit_in_force() == 55_000_000


def send_limits(pipe):
    resize(IMAGE, 300, 400)
    limits = [limit_in_force()]
    release_memory(limit=77_000_000)
    pipe.send([*limits, limit_in_force()])


@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_daemonic_process_has_an_eighth(method, daemon):
    context = multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=send_limits, args=(sending,), daemon=daemon)
    child.start()
    sending.close()
    try:
        assert receiving.recv() == [default() // 8 if daemon else default(), 77_000_000]
    finally:
        child.kill()


class Limits(torch.utils.data.Dataset):
    """The limit of the worker that makes an item."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        resize(IMAGE, 300, 400)
        return limit_in_force()


# torch says so where there is one processor.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_of_a_data_loader_has_an_eighth(method):
    limits = torch.utils.data.DataLoader(Limits(), num_workers=2, multiprocessing_context=method)
    assert [int(limit) for limit in limits] == 4 * [default() // 8]
    assert limit_in_force() == default()


def test_a_forked_worker_has_the_limit_that_was_set_before():
    release_memory(limit=66_000_000)
    limits = torch.utils.data.DataLoader(Limits(), num_workers=1, multiprocessing_context="fork")
    assert [int(limit) for limit in limits] == 4 * [66_000_000]


# --- what is left ----------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_call_leaves_nothing_but_its_result_in_use(num_threads, failing):
    large = Image.fromarray(IMAGE).resize((2100, 2100))  # Pillow keeps it in several pieces
    images = [IMAGE[..., :1], png(IMAGE), large, IMAGE, Image.fromarray(IMAGE), large]
    images += [png(IMAGE)[:-9999]] * failing
    process = ImageProcessor("qwen2-vl", max_pixels=200_000, num_threads=num_threads)
    before = memory_stats()
    with pytest.raises(ValueError, match="truncated") if failing else nullcontext():
        assert process(images)
    assert memory_stats()["in_use_bytes"] == before["in_use_bytes"]


HUGE_VIDEO = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # rather abort than swamp the machine
import qvl_fast
qvl_fast.mrope_position_ids([[0]], config={!r}, video_grid_thw=[[536870911, 2, 2]])
"""


@pytest.mark.parametrize("config", ["qwen2.5-vl", "qwen3-vl"])
def test_a_grid_is_compared_with_the_tokens_before_memory_is_asked_for(config):
    failed = in_a_process_with("", HUGE_VIDEO.format(config))
    assert "ValueError: mm_token_type_ids has 0 runs of video tokens" in failed.stderr


ABSURD = {
    "resize": lambda: resize(IMAGE, 2**26, 2**26),
    "rows": lambda: ImageProcessor("qwen2-vl", min_pixels=2**50, max_pixels=2**51)(IMAGE),
    "patchify": lambda: patchify(np.broadcast_to(IMAGE[:28, :28], (2**44, 28, 28, 3)), "qwen2-vl"),
    "beyond usize": lambda: _native.empty((2**62, 2**62), "float32"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_size_is_a_memory_error(name, expected):
    with pytest.raises(MemoryError, match="allocate"):
        ABSURD[name]()
    assert copies(MAKERS["rows"]()) == expected["rows"]


def test_a_refused_request_is_no_result():
    before = memory_stats()
    with pytest.raises(MemoryError):
        ABSURD["resize"]()
    assert memory_stats() == before


@pytest.mark.parametrize("shape", [(2**40, 2**40, 0), (0, 2**63 // 4), (1,) * 65])
def test_a_shape_that_no_array_has_is_refused(shape):
    with pytest.raises(ValueError, match="shape must be one that an array can have, got"):
        _native.empty(shape, "float32")


def test_rows_are_not_written_over_their_own_image():
    writer = ImageProcessor("qwen2-vl", dtype="uint8")._writer
    batch = _native.Batch(writer)
    out = np.zeros((4, writer.columns), np.uint8)
    batch.add_pixels(out.reshape(-1)[: 28 * 28 * 3].reshape(28, 28, 3))
    batch.end(28, 28)
    with pytest.raises(ValueError, match="out shares memory with the image"):
        batch.write(out, None, num_threads=1, reduced=False)


# --- pickles ---------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["rows", "tensor", "bfloat16 tensor", "interpolation_taps"])
def test_a_pickled_result_is_a_copy(name, protocol, expected):
    results = MAKERS[name]()
    pickled = pickle.dumps(results, protocol)
    spoil(results)
    copied = pickle.loads(pickled)
    assert copies(copied) == expected[name]
    assert [result.shape for result in copied] == [result.shape for result in results]
    spoil(copied)


# --- processes -------------------------------------------------------------------------------


@contextmanager
def forked(work):
    """A child that does ``work`` meanwhile, and must succeed at it within 20 seconds."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    try:
        yield
    finally:
        deadline = time.monotonic() + 20
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                pytest.fail("the child hangs")
            time.sleep(0.001)
    assert os.waitstatus_to_exitcode(ended[1]) == 0


def compute(want):
    """What a child does, without torch, whose threads do not survive a fork."""
    for num_threads in (1, 2):

        def make(num_threads=num_threads):
            return rows("float32", "full", "np", [IMAGE, png(IMAGE)], num_threads)

        result = make()
        place, before = address(result), memory_stats()
        assert result.tobytes() == want
        spoil([result])
        del result
        again = make()
        assert again.tobytes() == want
        assert address(again) == place
        assert memory_stats()["recycled"] > before["recycled"]


@pytest.fixture(scope="module")
def two_images():
    return rows("float32", "full", "np", [IMAGE, png(IMAGE)]).tobytes()


def test_a_forked_child_starts_with_nothing_idle_and_recycles(two_images):
    held = rows("float32", return_tensors="np")
    _native.empty((3 << 20,), "uint8")[:] = GARBAGE
    before = memory_stats()
    assert before["idle_bytes"] > 0

    def work():
        assert memory_stats() == {**before, "idle_bytes": 0}
        compute(two_images)

    with forked(work):
        pass
    assert memory_stats() == before
    del held


@pytest.mark.parametrize("by", ["parent", "child"])
def test_what_one_process_does_with_the_memory_is_not_seen_in_the_other(by):
    box = [resize(IMAGE, 300, 400)]
    content, place = box[0].tobytes(), address(box[0])
    reading, writing = os.pipe()

    def overwrite():
        box.clear()
        other = resize(IMAGE[::-1], 300, 400)
        assert address(other) == place
        spoil([other])
        os.write(writing, b".")

    def look():
        assert select.select([reading], [], [], 10)[0]
        assert box[0].tobytes() == content

    with forked(overwrite if by == "child" else look):
        (look if by == "child" else overwrite)()
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("busy", [1, 3])
def test_a_fork_beside_busy_threads_computes(busy, two_images):
    stop = threading.Event()

    def work(number):
        done = 0
        while not stop.is_set() or not done:
            result = rows("float32", "full", "np", [IMAGE, png(IMAGE)], 1 + number % 2)
            assert result.tobytes() == two_images
            done += 1
        return done

    with ThreadPoolExecutor(busy) as pool:
        done = [pool.submit(work, number) for number in range(busy)]
        try:
            for _ in range(10):
                with forked(lambda: compute(two_images)):
                    pass
        finally:
            stop.set()
        assert all(future.result(20) for future in done)


def compute_and_send(pipe, want, inherited):
    compute(want)
    assert inherited.tobytes() == want
    pipe.send(rows("float32", "full", "np", [IMAGE, png(IMAGE)]))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_every_start_method_compute_and_recycle(method, two_images):
    context = multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    result = rows("float32", "full", "np", [IMAGE, png(IMAGE)])
    child = context.Process(target=compute_and_send, args=(sending, two_images, result))
    child.start()
    sending.close()
    try:
        received = receiving.recv()
        child.join(30)
    finally:
        child.kill()  # of one that has ended, nothing
    assert child.exitcode == 0
    assert received.tobytes() == two_images
    assert result.tobytes() == two_images
