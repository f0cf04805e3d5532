"""Run by `make wheel` and `make wheels` where nothing is but the wheel and what it requires.

The arguments are the formats that this build is to decode itself.
"""

import importlib.util
import io
import sys
from importlib.metadata import entry_points

import numpy as np
from PIL import Image

import qvl_fast
from qvl_fast import _native

assert importlib.util.find_spec("torch") is None, "torch must not be installed here"
assert {*_native.decoded_formats()} == {*sys.argv[1:]}, f"decoded: {_native.decoded_formats()}"

process = qvl_fast.ImageProcessor("qwen2.5-vl")
pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
batch = process(pixels, return_tensors="np")
assert batch["pixel_values"].shape == (34 * 46, 1176)
assert batch["image_grid_thw"].tolist() == [[1, 34, 46]]
for form in ("PNG", "JPEG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    ours, pillows = (
        process(source, return_tensors="np")["pixel_values"]
        for source in (file.getvalue(), Image.open(file))
    )
    assert np.array_equal(ours, pillows), f"{form} must be decoded as Pillow decodes it"
refusal = ""
try:
    process(pixels)
except ImportError as error:
    refusal = str(error)
assert "return_tensors='np'" in refusal, "torch tensors without torch must be refused"
[plugin] = entry_points(name="qvl_fast", group="vllm.general_plugins")
plugin.load()()  # Nothing asks for transformers, which is not here.
print(f"qvl_fast {qvl_fast.__version__} works from its wheel, without torch")
