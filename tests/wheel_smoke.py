"""Run by `make wheel` in an environment that holds nothing but the wheel and what it requires."""

import importlib.util

import numpy as np

import qvl_fast

assert importlib.util.find_spec("torch") is None, "torch must not be installed here"

image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
batch = qvl_fast.ImageProcessor("qwen2.5-vl")(image, return_tensors="np")
assert batch["pixel_values"].shape == (34 * 46, 1176)
assert batch["image_grid_thw"].tolist() == [[1, 34, 46]]
refusal = ""
try:
    qvl_fast.ImageProcessor("qwen2.5-vl")(image)
except ImportError as error:
    refusal = str(error)
assert "return_tensors='np'" in refusal, "torch tensors without torch must be refused"
print(f"qvl_fast {qvl_fast.__version__} works from its wheel, without torch")
