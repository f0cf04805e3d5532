"""What comes out: element types, compact rows, paired frames, the caller's memory, libraries."""

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL
import pytest
import torch
from transformers import BatchFeature, Qwen2VLVideoProcessor

from qvl_fast import ImageConfig, ImageProcessor, patchify, resize, smart_resize

REFERENCES = ("torchvision", "pillow")
# Overflow of float16, its subnormals, and values that both halves must round.
SCALES = {"usual": {}, "huge": {"rescale_factor": 1000.0}, "tiny": {"rescale_factor": 1e-7}}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def rows_of(frames, p, t, m):
    """The rows of frames that fill their groups, in one expression; (T, H, W, 3)."""
    frames, (count, h, w, _) = np.asarray(frames), frames.shape
    blocks = frames.reshape(count // t, t, h // p // m, m, p, w // p // m, m, p, 3)
    #                       0          1  2           3  4  5           6  7  8
    return blocks.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(-1, 3 * t * p * p)


def bits(rows):
    """Rows as integers, so that equality is equality of bits."""
    return rows.view({4: torch.int32, 2: torch.int16, 1: torch.uint8}[rows.element_size()])


@pytest.mark.parametrize("temporal", ["full", "compact"])
@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_rows_equal_the_cast_of_float32_rows(dtype, scale, reference, temporal):
    flags = {"reference": reference, "temporal": temporal, **SCALES[scale]}
    if scale != "usual":
        flags["do_normalize"] = False
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)  # every level
    rows = ImageProcessor("qwen2-vl", **flags)(image)["pixel_values"]
    half = ImageProcessor("qwen2-vl", dtype=dtype, **flags)(image)["pixel_values"]
    assert half.dtype == getattr(torch, dtype)
    assert torch.equal(bits(half), bits(rows.to(half.dtype)))


@pytest.mark.parametrize("flags", [{}, {"do_rescale": False}, {"do_normalize": False}])
@pytest.mark.parametrize("reference", REFERENCES)
def test_uint8_rows_are_the_resized_pixels(reference, flags):
    image = noise(90, 131, 3)
    process = ImageProcessor("qwen3-vl", reference=reference, dtype="uint8", **flags)
    pixels = resize(image, *smart_resize(90, 131, 32, 65536, 16777216), reference=reference)
    rows = process(image)["pixel_values"]
    assert rows.dtype == torch.uint8
    assert np.array_equal(rows, rows_of(np.stack([pixels] * 2), 16, 2, 2))


@pytest.mark.parametrize("config", [{}, {"patch_size": 16, "temporal_patch_size": 3}])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_compact_rows_are_the_first_time_slice(dtype, config):
    images = [noise(60, 80, 3), noise(100, 30, 3, seed=1)]
    full = ImageProcessor("qwen2-vl", dtype=dtype, **config)
    compact = ImageProcessor("qwen2-vl", dtype=dtype, temporal="compact", **config)
    p, t = full.config.patch_size, full.config.temporal_patch_size
    want, got = full(images), compact(images)
    rows = want["pixel_values"]
    slices = rows.view(len(rows), 3, t, p, p)
    assert torch.equal(bits(got["pixel_values"]), bits(slices[:, :, 0].flatten(1)))
    assert all(torch.equal(slices[:, :, 0], slices[:, :, time]) for time in range(t))
    assert torch.equal(got["image_grid_thw"], want["image_grid_thw"])


@pytest.mark.parametrize("temporal_patch", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("merge", [1, 2])
def test_patchify_pairs_frames_and_repeats_the_last(merge, count, temporal_patch):
    config = ImageConfig(patch_size=4, merge_size=merge, temporal_patch_size=temporal_patch)
    frames = noise(count, 8 * merge, 12 * merge, 3)
    filled = np.concatenate([frames, *[frames[-1:]] * (-count % temporal_patch)])
    rows = patchify(frames, config, dtype="uint8")
    assert isinstance(rows, np.ndarray)
    assert np.array_equal(rows, rows_of(filled, 4, temporal_patch, merge))
    mean, std = (np.float32(config.image_mean) * 255, np.float32(config.image_std) * 255)
    floats = (filled.astype(np.float32) - mean) / std
    assert np.array_equal(patchify(frames, config), rows_of(floats, 4, temporal_patch, merge))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_patchify_equals_the_video_processor(count):
    frames = noise(count, 56, 84, 3)
    process = Qwen2VLVideoProcessor(do_resize=False, do_sample_frames=False)
    video = torch.from_numpy(frames).permute(0, 3, 1, 2)
    want = process(videos=[video], return_tensors="pt")["pixel_values_videos"]
    assert torch.equal(torch.from_numpy(patchify(frames, "qwen2-vl")), want)
    assert np.array_equal(patchify(torch.from_numpy(frames), "qwen2-vl"), want.numpy())
    flipped = np.ascontiguousarray(frames[:, ::-1, ::-1])[:, ::-1, ::-1]
    assert np.array_equal(patchify(flipped, "qwen2-vl"), want.numpy())


@pytest.mark.parametrize("reference", REFERENCES)
def test_patchify_rounds_as_the_processor_of_its_reference(reference):
    image = noise(56, 84, 3)
    process = ImageProcessor("qwen2-vl", reference=reference, do_resize=False)
    want = process(image)["pixel_values"].numpy()
    assert np.array_equal(patchify(image[None], "qwen2-vl", reference=reference), want)


def test_references_differ_where_they_should():
    image = noise(300, 200, 3)
    one, other = (
        ImageProcessor("qwen2-vl", reference=name)(image)["pixel_values"] for name in REFERENCES
    )
    assert not torch.equal(one, other)


# ------------------------------------------------------------------------------- caller's memory

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "uint8": torch.uint8,
}


@pytest.mark.parametrize("extra", [0, 5])
@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(dtype, "tensor") for dtype in DTYPES]
    + [(dtype, "array") for dtype in DTYPES if dtype != "bfloat16"],
)
def test_out_is_filled_from_its_start_and_returned(dtype, kind, extra):
    image = noise(60, 80, 3)
    process = ImageProcessor("qwen2-vl", dtype=dtype)
    want = process(image)["pixel_values"]
    tensor = torch.full((len(want) + extra, 1176), 7, dtype=DTYPES[dtype])
    out = tensor if kind == "tensor" else tensor.numpy()
    forms = ["pt"] if dtype == "bfloat16" else ["pt", "np"]
    for form in forms:
        tensor.fill_(7)
        got = process(image, out=out, return_tensors=form)["pixel_values"]
        assert isinstance(got, torch.Tensor if form == "pt" else np.ndarray)
        assert torch.equal(torch.as_tensor(got), want)
        assert torch.equal(tensor[: len(want)], want), "the rows are not in out"
        assert (tensor[len(want) :] == 7).all(), "out was written beyond the rows"
        got[0, 0] = 9
        assert tensor[0, 0] == 9, "the result does not share the memory of out"


@pytest.mark.parametrize("dtype", DTYPES)
def test_patchify_out(dtype):
    frames = noise(3, 28, 56, 3)
    want = torch.as_tensor(patchify(frames, "qwen2-vl", dtype=dtype))
    assert want.dtype == DTYPES[dtype]
    tensor = torch.full((20, 1176), 7, dtype=DTYPES[dtype])
    got = patchify(frames, "qwen2-vl", dtype=dtype, out=tensor)
    assert torch.equal(got, want)
    assert got.data_ptr() == tensor.data_ptr()
    assert (tensor[16:] == 7).all()
    if dtype != "bfloat16":
        array = np.zeros((20, 1176), dtype)
        got = patchify(frames, "qwen2-vl", dtype=dtype, out=array)
        assert np.shares_memory(got, array)
        assert np.array_equal(got, want.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_return_tensors(dtype):
    process = ImageProcessor("qwen2-vl", dtype=dtype)
    tensors, arrays = process(noise(60, 80, 3)), process(noise(60, 80, 3), return_tensors="np")
    assert list(tensors) == list(arrays) == ["pixel_values", "image_grid_thw"]
    for key, tensor in tensors.items():
        assert type(tensor) is torch.Tensor
        assert type(arrays[key]) is np.ndarray
        assert np.array_equal(tensor.numpy(), arrays[key])
    assert arrays["pixel_values"].dtype == dtype
    assert arrays["image_grid_thw"].dtype == np.int64


# ------------------------------------------------------------------ processes, threads and models


def preprocess(process, seed):
    return process([noise(60, 80, 3, seed=seed), noise(33, 99, 3, seed=seed)])


class Images(torch.utils.data.Dataset):
    """A dataset that is sent to the worker with its processor."""

    def __init__(self, process):
        self.process = process

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return preprocess(self.process, index)


def first(batch):
    return batch[0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_processor_and_batch_pickle(dtype):
    process = ImageProcessor("qwen3-vl", reference="pillow", dtype=dtype, temporal="compact")
    copy = pickle.loads(pickle.dumps(process))
    assert repr(copy) == repr(process)
    batch = preprocess(process, 0)
    for same in (preprocess(copy, 0), pickle.loads(pickle.dumps(batch))):
        assert {key: value.tolist() for key, value in same.items()} == {
            key: value.tolist() for key, value in batch.items()
        }


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of Python 3.12 and newer
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_data_loader_workers(method):
    process = ImageProcessor("qwen2-vl")
    loader = torch.utils.data.DataLoader(
        Images(process), num_workers=1, multiprocessing_context=method, collate_fn=first
    )
    for seed, batch in enumerate(loader):
        want = preprocess(process, seed)
        assert torch.equal(batch["pixel_values"], want["pixel_values"])
        assert torch.equal(batch["image_grid_thw"], want["image_grid_thw"])
    assert seed == 1


def test_process_pool():
    process = ImageProcessor("qwen2-vl", dtype="uint8")
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        got = pool.starmap(preprocess, [(process, 3)])[0]
    assert torch.equal(got["pixel_values"], preprocess(process, 3)["pixel_values"])


def test_threads_share_a_processor():
    process = ImageProcessor("qwen2-vl")
    want = [preprocess(process, seed)["pixel_values"] for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            got = pool.map(lambda seed: preprocess(process, seed)["pixel_values"], range(8))
            assert all(map(torch.equal, got, want))


def test_batch_is_what_models_take():
    def model(pixel_values, image_grid_thw):
        return len(pixel_values), int(image_grid_thw.prod(1).sum())

    batch = preprocess(ImageProcessor("qwen2-vl"), 0)
    assert isinstance(batch, dict)
    rows, patches = model(**batch)
    assert rows == patches
    assert BatchFeature(batch).to(torch.bfloat16)["pixel_values"].dtype == torch.bfloat16


def test_repr_shows_the_resolved_reference():
    installed = "pillow-13" if int(PIL.__version__.split(".")[0]) >= 13 else "pillow-12"
    assert f"reference='{installed}'" in repr(ImageProcessor("qwen2-vl", reference="pillow"))
    assert ImageProcessor("qwen2-vl", reference="pillow").reference == installed
    for name in ("pillow-12", "pillow-13", "torchvision"):
        assert f"reference='{name}'" in repr(ImageProcessor("qwen2-vl", reference=name))


def test_pillow_12_and_13_differ_in_pass_order_alone():
    tall, wide = noise(400, 90, 3), noise(90, 400, 3)
    assert not np.array_equal(
        resize(tall, 56, 84, reference="pillow-12"), resize(tall, 56, 84, reference="pillow-13")
    )
    assert np.array_equal(
        resize(wide, 84, 56, reference="pillow-12"), resize(wide, 84, 56, reference="pillow-13")
    )


# -------------------------------------------------------------------------------------- counting


@pytest.mark.parametrize("preset", ["qwen2-vl", "qwen3-vl"])
def test_counts_equal_those_of_transformers(preset, stock):
    process = ImageProcessor(preset, max_pixels=1280 * 32 * 32)
    config = process.config
    theirs = [
        stock(
            reference,
            patch_size=config.patch_size,
            min_pixels=config.min_pixels,
            max_pixels=config.max_pixels,
        )
        for reference in REFERENCES
    ]
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.uniform(0, np.log(5000), (500, 2))).astype(int).tolist()
    sizes = [(h, w) for h, w in sizes if max(h, w) <= 200 * min(h, w)] + [(1, 200), (200, 1)]
    assert len(sizes) > 300
    for h, w in sizes:
        patches = process.num_patches(h, w)
        assert patches == theirs[0].get_number_of_image_patches(h, w), (h, w)
        assert patches == theirs[1].get_number_of_image_patches(h, w), (h, w)
        assert process.num_tokens(h, w) == patches // 4


@pytest.mark.parametrize("flags", [{}, {"do_resize": False}, {"merge_size": 1}])
def test_counts_equal_real_calls(flags):
    process = ImageProcessor("qwen2-vl", dtype="uint8", temporal="compact", **flags)
    for size in [(28, 28), (56, 84), (140, 28)]:
        batch = process(noise(*size, 3))
        assert process.num_patches(*size) == len(batch["pixel_values"])
        assert process.num_tokens(*size) == len(batch["pixel_values"]) // (
            process.config.merge_size**2
        )
        assert batch["image_grid_thw"].prod() == len(batch["pixel_values"])


@pytest.mark.parametrize(
    ("size", "arguments", "resized"),
    [
        ((480, 640), {}, (476, 644)),
        ((1080, 1920), {"max_pixels": 1003520}, (728, 1316)),
        ((14, 28), {}, (56, 84)),
        ((42, 70), {}, (56, 56)),
        ((1, 200), {}, (28, 812)),
        ((512, 512), {}, (504, 504)),
        ((40, 400), {"min_pixels": 56 * 56}, (28, 392)),
        ((224, 224), {"factor": 28}, (224, 224)),
    ],
)
def test_known_sizes(size, arguments, resized):
    assert smart_resize(*size, **arguments) == resized


def test_known_counts():
    process = ImageProcessor("qwen2-vl")
    batch = process(noise(512, 512, 3))
    assert batch["pixel_values"].shape == (1296, 1176)
    assert batch["image_grid_thw"].tolist() == [[1, 36, 36]]
    assert process.num_tokens(512, 512) == 324
    assert process.num_tokens(40, 400) == 14
    assert process.num_patches(224, 224) == 256
    assert process.num_tokens(224, 224) == 64
