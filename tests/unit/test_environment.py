import numpy as np
import pytest

from qvl_fast import ImageProcessor, _native, resize


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("reference", ["torchvision", "pillow-12", "pillow-13"])
def test_every_instruction_set_gives_the_same_bits(monkeypatch, isa, reference):
    image = np.random.default_rng(0).integers(0, 256, (331, 457, 3), np.uint8)

    def rows(name):
        monkeypatch.setenv("QVL_FAST_ISA", name)
        processor = ImageProcessor("qwen2.5-vl", reference=reference, max_pixels=200_000)
        made = processor(image, return_tensors="np")["pixel_values"]
        return made, resize(image, 212, 600, reference=reference)

    for ours, scalar in zip(rows(isa), rows("scalar"), strict=True):
        assert np.array_equal(ours, scalar)


def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("QVL_FAST_ISA", "avx1024")
    with pytest.raises(ValueError, match=r"QVL_FAST_ISA .*scalar.*'avx1024'"):
        ImageProcessor("qwen2.5-vl")
