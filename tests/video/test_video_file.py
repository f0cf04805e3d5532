"""What a video may be, which frames may be asked for, and what is wrong with the rest."""

import errno
import gc
import io
import os
import pickle
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
from clips import CLIPS, Clip
from PIL import Image

from qvl_fast._input.errors import VideoError
from qvl_fast._input.video import VideoFile, decoding, rgb

NAME = "h264 b-frames"
COUNT = CLIPS[NAME].count


@pytest.fixture(scope="module")
def path(clip):
    return clip(NAME)


@pytest.fixture(scope="module")
def expected(path):
    with VideoFile(path) as video:
        return list(video.frames(range(COUNT)))


def assert_frames(video, expected, indices):
    frames = list(video.frames(indices))
    assert len(frames) == len(indices)
    for index, frame in zip(indices, frames, strict=True):
        assert np.array_equal(frame, expected[index]), index


# ---------------------------------------------------------------------------------------- sources


def at_an_end(data):
    stream = io.BytesIO(data)
    stream.seek(0, io.SEEK_END)
    return stream


@pytest.mark.parametrize(
    "wrap",
    [
        Path,
        str,
        lambda path: path.read_bytes(),
        lambda path: bytearray(path.read_bytes()),
        lambda path: memoryview(path.read_bytes()),
        lambda path: at_an_end(path.read_bytes()),
    ],
    ids=["Path", "str", "bytes", "bytearray", "memoryview", "BytesIO"],
)
def test_sources(wrap, path, expected):
    with VideoFile(wrap(path)) as video:
        assert video.metadata.total_num_frames == COUNT
        assert_frames(video, expected, [0, 7, 30, COUNT - 1])
        assert_frames(video, expected, [3])  # backwards


def test_a_file_object_stays_open_and_serves_several(path, expected):
    with path.open("rb") as file:
        with VideoFile(file) as video:
            for index, (one, other) in enumerate(
                zip(video.frames(range(20)), video.frames(range(5, 25)), strict=True)
            ):
                assert np.array_equal(one, expected[index])
                assert np.array_equal(other, expected[index + 5])
        assert not file.closed


def test_a_path_with_signs_that_ffmpeg_knows(path, tmp_path, monkeypatch, expected):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.mp4", "%03d.mp4", "-i.mp4", "ä ö'\".mp4", "http:"):
        Path(name).write_bytes(path.read_bytes())
        with VideoFile(name) as video:
            assert_frames(video, expected, [1])


def test_what_is_no_video(tmp_path, path):
    with pytest.raises(TypeError, match="video must be a path, bytes or a file object, got int"):
        VideoFile(3)
    with pytest.raises(VideoError, match=r"'https://a/b\.mp4' is a URL .*fetch it"):
        VideoFile("https://a/b.mp4")
    with pytest.raises(FileNotFoundError):
        VideoFile(tmp_path / "missing.mp4")
    with pytest.raises(IsADirectoryError):
        VideoFile(tmp_path)
    file = path.open("rb")
    file.close()
    with pytest.raises(VideoError, match="is a closed file"):
        VideoFile(file)


class Stream(io.BytesIO):
    """A file object that does something else at its n-th read."""

    def __init__(self, data, reads, action):
        super().__init__(data)
        self.reads, self.action = reads, action

    def read(self, size=-1):
        self.reads -= 1
        return self.action(size) if self.reads == 0 else super().read(size)


def raising(error):
    def action(_):
        raise error

    return action


@pytest.mark.parametrize("reads", [1, 2])
@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "the network is down"), KeyboardInterrupt(), RuntimeError("mine")]
)
def test_what_a_stream_raises_comes_through(error, reads, path, capfd):
    with pytest.raises(type(error)) as caught:
        VideoFile(Stream(path.read_bytes(), reads, raising(error)))
    assert caught.value is error
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("action", "kind", "message"),
    [
        (lambda size: b"x" * (size + 1), ValueError, r"to be read \d+ bytes, and gave \d+"),
        (lambda size: "text", TypeError, "must be read as bytes, got str"),
    ],
)
def test_a_stream_that_breaks_its_word(action, kind, message, path):
    with pytest.raises(kind, match=message):
        VideoFile(Stream(path.read_bytes(), 2, action))


def test_a_stream_that_cannot_seek(path):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    with pytest.raises(VideoError, match="cannot seek; read it and pass its bytes"):
        VideoFile(Pipe(path.read_bytes()))


# ---------------------------------------------------------------------------------------- indices


def test_indices_of_any_form(path, expected):
    with VideoFile(path) as video:
        for indices in ([2, 2, 9], np.array([2, 2, 9], np.int32), (2, 2, 9)):
            assert_frames(video, expected, indices)
        assert list(video.frames([])) == []
        first, second = video.frames([4, 4])
        assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("indices", "kind", "message"),
    [
        ([0, COUNT], ValueError, f"indices must be from 0 to {COUNT - 1}, got {COUNT}"),
        ([-1], ValueError, "got -1"),
        ([0, 3, 2], ValueError, "indices must not decrease, got 2 after 3"),
        ([[0], [1]], ValueError, r"one dimension, got shape \(2, 1\)"),
        ([0.5], TypeError, "indices must hold integers"),
    ],
)
def test_bad_indices(indices, kind, message, path):
    with VideoFile(path) as video, pytest.raises(kind, match=message):
        video.frames(indices)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"num_threads": 0}, ValueError, "num_threads must be"),
        ({"num_threads": "2"}, TypeError, "num_threads must be an integer, got '2'"),
        ({"timeout": 0}, ValueError, "timeout must be positive"),
        ({"timeout": "1"}, TypeError, "timeout must be a number"),
    ],
)
def test_bad_options(options, kind, message, path):
    with pytest.raises(kind, match=message):
        VideoFile(path, **options)


# --------------------------------------------------------------------------------------- economy


@pytest.fixture
def decoded(monkeypatch):
    """Counts the frames that are decoded and converted."""
    counts = Counter()

    def decode(*values):
        counts["decoded"] += 1
        return original(*values)

    def convert(self, frame):
        counts["converted"] += 1
        return conversion(self, frame)

    original, conversion = decoding.Decoded, rgb.RGBConverter.__call__
    monkeypatch.setattr(decoding, "Decoded", decode)
    monkeypatch.setattr(rgb.RGBConverter, "__call__", convert)
    return counts


def test_only_frames_that_are_asked_for_are_converted(path, decoded):
    with VideoFile(path) as video:
        list(video.frames([3, 3, 3, 40]))
    assert decoded["converted"] == 2


def test_frames_that_none_refers_to_are_not_decoded(clip, decoded, monkeypatch):
    with VideoFile(clip("h264 one gop")) as video:
        count = video.metadata.total_num_frames
        list(video.frames([count - 1]))
        assert decoded["decoded"] < 0.7 * count
        decoded.clear()
        monkeypatch.setattr(decoding, "SKIPPED", "DEFAULT")
        list(video.frames([count - 1]))
        assert decoded["decoded"] == count


def test_groups_of_pictures_before_a_frame_are_not_decoded(clip, decoded):
    with VideoFile(clip("h264 intra")) as video:
        list(video.frames([5, 20]))
    assert decoded["decoded"] == 2


def test_as_many_threads_as_asked_for(path):
    def threads():
        return len(list(Path("/proc/self/task").iterdir()))

    gc.collect()
    before = threads()
    with VideoFile(path) as video:
        for _ in video.frames(range(COUNT)):
            assert threads() == before
    with VideoFile(path, num_threads=3) as video:
        for _ in video.frames(range(COUNT)):
            assert threads() <= before + 3
    assert threads() == before


def test_nothing_stays_open(path):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(3):
        video = VideoFile(path)
        assert descriptors() == before
        frames = video.frames(range(COUNT))
        next(frames)
        frames.close()
        assert descriptors() == before
        with pytest.raises(VideoError):
            VideoFile(b"no video" * 1000)
        with pytest.raises(VideoError):
            VideoFile(io.BytesIO(b""))
    assert descriptors() == before


def test_memory_of_a_long_clip_is_that_of_a_few_frames(tmp_path):
    clip = Clip(codec="mpeg4", size=(480, 640), count=250, options={"g": "5", "qscale": "31"})
    clip.write(tmp_path / "long.mp4")

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with VideoFile(tmp_path / "long.mp4") as video:
        for index, _ in enumerate(video.frames(range(250))):
            if index == 20:
                before = resident()
    assert resident() - before < 8 << 20  # a frame is 0.9 MiB


# ------------------------------------------------------------------------------------- bad videos


def encoded(clip=Clip()):  # noqa: B008
    file = io.BytesIO()
    clip.write(file)
    return file.getvalue()


def only_sound():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), "s16", "stereo")
        frame.rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def without_frames():
    file = io.BytesIO()
    fragments = {"movflags": "empty_moov+frag_keyframe"}
    with av.open(file, "w", format="mp4", container_options=fragments) as output:
        stream = output.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        output.start_encoding()
    return file.getvalue()


def index_first():
    """A file whose index lies before the pictures."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        Clip(container={"movflags": "faststart"}).write(path)
        return path.read_bytes()


def claiming_a_million():
    """A file whose tables say that there are 10**6 samples of 100 bytes each."""
    million = (10**6).to_bytes(4, "big")
    data = bytearray(encoded())
    sizes, times, chunks = (data.index(name) for name in (b"stsz", b"stts", b"stsc"))
    data[sizes + 8 : sizes + 16] = (100).to_bytes(4, "big") + million
    data[times + 12 : times + 16] = million
    data[chunks + 16 : chunks + 20] = million
    return bytes(data)


BAD = {
    "noise": (lambda: np.random.default_rng(0).bytes(20_000), "cannot be decoded: Invalid data"),
    "empty": (lambda: b"", "cannot be decoded: "),
    "a text": (lambda: b"It was a dark and stormy night. " * 99, "cannot be decoded: Invalid data"),
    "only sound": (only_sound, "has no video stream"),
    "no frames": (without_frames, "has no frames"),
    "index cut off": (lambda: encoded()[:-600], "cannot be decoded: Invalid data"),
    "pictures cut off": (
        lambda: index_first()[:-2000],
        r"is truncated: of 30 frames \d+ are there",
    ),
    "a million frames": (claiming_a_million, r"is truncated: of 1000000 frames \d+ are"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", ["path", "bytes", "stream"])
def test_bad_videos(name, kind, tmp_path, capfd):
    make, message = BAD[name]
    path = tmp_path / "bad.mp4"
    path.write_bytes(make())
    source = {"path": path, "bytes": path.read_bytes(), "stream": io.BytesIO(path.read_bytes())}
    with pytest.raises(VideoError, match=f"^video .*{message}") as caught:
        VideoFile(source[kind])
    assert caught.value.source is source[kind]
    assert len(str(caught.value)) < 300
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (VideoError, str(caught.value))
    assert capfd.readouterr() == ("", "")


def test_broken_packets_are_an_error_when_their_frames_are_wanted(clip, capfd):
    data = bytearray(clip("mpeg4 odd").read_bytes())
    start = data.index(b"mdat")
    middle = start + (data.index(b"moov") - start) // 2
    data[middle : middle + 3000] = bytes(3000)
    with VideoFile(bytes(data)) as video:
        assert len(list(video.frames([0]))) == 1
        with pytest.raises(VideoError, match="cannot be decoded"):
            list(video.frames(range(video.metadata.total_num_frames)))
    assert capfd.readouterr() == ("", "")


def test_a_recording_may_end_anywhere(clip, torchcodec):
    data = clip("h264 transport stream").read_bytes()[:-1000]
    with VideoFile(data) as video:
        assert video.metadata.total_num_frames == torchcodec(data).metadata.num_frames > 20
        assert len(list(video.frames([5, 20]))) == 2


def of_two_sizes(*clips):
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as output:
        stream, time = None, 0
        for clip in clips:
            with av.open(io.BytesIO(encoded(clip))) as part:
                stream = stream or output.add_stream_from_template(part.streams.video[0])
                for packet in part.demux(video=0):
                    if packet.size:
                        packet.stream, packet.pts, packet.dts = stream, time, time
                        output.mux(packet)
                        time += 33
    return file.getvalue()


def test_a_size_that_changes():
    vp9 = {"codec": "libvpx-vp9", "suffix": "webm", "count": 10}
    data = of_two_sizes(Clip(**vp9), Clip(**vp9, size=(96, 128)))
    with VideoFile(data) as video:
        assert (video.metadata.height, video.metadata.width) == (64, 96)
        frames = video.frames(range(20))
        assert [next(frames).shape for _ in range(10)] == [(64, 96, 3)] * 10
        with pytest.raises(
            VideoError, match=r"changes its size .* from \(64, 96\) to \(96, 128\) .* frame 10"
        ):
            next(frames)


def test_a_playlist_leads_nowhere(tmp_path, path):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            head = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
            file = tmp_path / "list.m3u8"
            file.write_text(f"{head}http://127.0.0.1:{server.server_port}/a.ts\n#EXT-X-ENDLIST\n")
            for source in (file, file.read_bytes()):
                with pytest.raises(VideoError):
                    VideoFile(source)
        finally:
            server.shutdown()
            thread.join()
    assert asked == []


# ------------------------------------------------------------------------------------------- WebP


def animation(count, **options):
    rng = np.random.default_rng(count)
    alpha = [Image.fromarray(rng.integers(0, 256, (20, 30, 4), np.uint8)) for _ in range(count)]
    file = io.BytesIO()
    alpha[0].save(file, "WEBP", lossless=True, save_all=True, append_images=alpha[1:], **options)
    return file.getvalue()


def on_white(data, index):
    image = Image.open(io.BytesIO(data))
    image.seek(index)
    white = Image.new("RGBA", image.size, "white")
    return np.array(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


@pytest.mark.parametrize("wrap", [bytes, io.BytesIO, "path"])
def test_animated_webp(wrap, tmp_path):
    data = animation(5, duration=[100, 50, 50, 200, 100])
    source = tmp_path / "a.webp" if wrap == "path" else wrap(data)
    if wrap == "path":
        source.write_bytes(data)
    with VideoFile(source) as video:
        got = video.metadata
        assert (got.total_num_frames, got.fps, got.duration) == (5, 10, 0.5)
        assert (got.height, got.width, got.video_backend) == (20, 30, "pillow")
        indices = [0, 2, 2, 4]
        for index, frame in zip(indices, list(video.frames(indices)), strict=True):
            assert np.array_equal(frame, on_white(data, index))


def test_a_still_webp_has_one_frame_and_no_rate():
    with VideoFile(animation(1)) as video:
        assert (video.metadata.total_num_frames, video.metadata.fps) == (1, None)
        assert len(list(video.frames([0, 0]))) == 2


def test_a_broken_webp():
    with pytest.raises(VideoError, match=r"^video \(\d+ bytes\) cannot be decoded"):
        VideoFile(animation(3)[:300])
