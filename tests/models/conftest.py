"""Pairs of towers with the same random weights, and batches for them."""

import pytest
import torch

from qvl_fast import models
from qvl_fast.bench.stock_tower import stock_tower
from qvl_fast.config import TOWERS

TOWER_CLASSES = {
    "qwen2-vl-tiny": models.Qwen2VisionTower,
    "qwen2.5-vl-tiny": models.Qwen2_5VisionTower,
    "qwen3-vl-tiny": models.Qwen3VisionTower,
}
MIXED = [[1, 4, 6], [3, 10, 12], [1, 26, 14], [1, 4, 6]]


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors are too small for more to help."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=TOWER_CLASSES)
def name(request):
    """Each generation's tiny tower."""
    return request.param


@pytest.fixture
def make_pair():
    """``make_pair(config, seed)``: a tower of transformers, and ours with the same weights.

    They are random throughout: fresh modules have zero biases and unit norms, which hide mistakes.
    """

    def make(config, seed=0):
        kind = next(k for n, k in TOWER_CLASSES.items() if _kind(TOWERS[n]) == _kind(config))
        stock = stock_tower(config).eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in stock.parameters():
                scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
                offset = parameter if parameter.ndim == 1 else 0
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale + offset)
        return stock, kind.from_transformers(stock)

    return make


def _kind(config):
    return config.window_size is not None, config.position_table_side is not None


@pytest.fixture
def pair(name, make_pair):
    """A tiny tower of transformers, and ours."""
    return make_pair(TOWERS[name])


@pytest.fixture
def make_rows():
    """``make_rows(grids, config, seed)``: random rows as an image processor makes them."""

    def make(grids, config, seed=0):
        patches = sum(t * h * w for t, h, w in grids)
        columns = 3 * config.temporal_patch_size * config.patch_size**2
        return torch.randn(patches, columns, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture
def mixed():
    """Grids of images and a video, some with ragged windows, two of one size."""
    return MIXED


@pytest.fixture
def relative_error():
    """Norm of the difference over norm."""

    def error(result, expected):
        result, expected = result.detach().double(), expected.detach().double()
        return ((result - expected).norm() / expected.norm()).item()

    return error
