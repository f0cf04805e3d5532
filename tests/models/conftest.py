"""Pairs of towers with the same random weights, and batches for them."""

import pytest
import torch
import transformers

from qvl_fast import models
from qvl_fast.bench.stock_tower import stock_tower
from qvl_fast.config import TOWERS

TOWER_CLASSES = {
    "qwen2-vl-tiny": models.Qwen2VisionTower,
    "qwen2.5-vl-tiny": models.Qwen2_5VisionTower,
    "qwen3-vl-tiny": models.Qwen3VisionTower,
}
WHOLE_MODELS = {
    "qwen2-vl-tiny": "Qwen2VL",
    "qwen2.5-vl-tiny": "Qwen2_5_VL",
    "qwen3-vl-tiny": "Qwen3VL",
    "qwen3.5-tiny": "Qwen3_5",
}
IMAGE, VIDEO, START, END = 101, 102, 103, 104
IMAGES = [[1, 4, 6], [1, 8, 10], [1, 4, 4]]
VIDEOS = [[2, 4, 4]]
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
def make_model(make_pair):
    """``make_model(name, visual)``: a whole tiny model of transformers, in float32.

    Its vision module has the weights of ``visual``, by default random ones throughout.
    """

    def make(name, visual=None):
        if visual is None:
            visual, _ = make_pair(TOWERS[name])
        rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
        text = {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 120,
            "head_dim": 16,
            "rope_parameters": rope,
        }
        if name == "qwen3.5-tiny":  # It rotates a quarter of the channels.
            rope |= {"mrope_section": [3, 3, 2], "partial_rotary_factor": 0.25}
            text |= {
                "head_dim": 64,
                "linear_key_head_dim": 16,
                "linear_value_head_dim": 16,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
            }
        config = getattr(transformers, f"{WHOLE_MODELS[name]}Config")(
            text_config=text,
            vision_config=visual.config.to_dict(),
            image_token_id=IMAGE,
            video_token_id=VIDEO,
            vision_start_token_id=START,
            vision_end_token_id=END,
        )
        torch.manual_seed(0)
        kind = getattr(transformers, f"{WHOLE_MODELS[name]}ForConditionalGeneration")
        model = kind(config).eval()
        model.model.visual.load_state_dict(visual.state_dict())
        return model

    return make


@pytest.fixture
def make_inputs(make_rows):
    """``make_inputs(name)``: two padded texts with three images and a video."""

    def make(name):
        config = TOWERS[name]

        def item(grid, token):
            t, h, w = grid
            # Since Qwen3-VL every group of frames of a video is between markers of its own.
            parts = t if config.position_table_side else 1
            return parts * [START, *[token] * (t * h * w // 4 // parts), END]

        first = [1, 2, *item(IMAGES[0], IMAGE), 3, *item(IMAGES[1], IMAGE), 4]
        second = [5, *item(VIDEOS[0], VIDEO), 6, *item(IMAGES[2], IMAGE), 7, 8]
        length = max(len(first), len(second))
        texts = [[0] * (length - len(text)) + text for text in (first, second)]
        ids = torch.tensor(texts)
        return {
            "input_ids": ids,
            "attention_mask": (ids != 0).long(),
            "mm_token_type_ids": (ids == IMAGE) + 2 * (ids == VIDEO),
            "pixel_values": make_rows(IMAGES, config),
            "image_grid_thw": torch.tensor(IMAGES),
            "pixel_values_videos": make_rows(VIDEOS, config, seed=1),
            "video_grid_thw": torch.tensor(VIDEOS),
        }

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
