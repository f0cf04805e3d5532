"""Known answers of the adapters: weights and inputs by formula, outputs that were computed once.

They were computed with the modules of transformers; a change of both at once would show here.
"""

import pytest
import torch
from transformers import Blip2Config, Blip2ForConditionalGeneration

from qvl_fast.models.adapters import (
    GatedCrossAttention,
    MlpProjector,
    PerceiverResampler,
    QFormer,
    merge_blocks,
    pack_anyres,
)


def waves(module):
    """The module with its parameters by the formula of the known answers."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            index = torch.arange(parameter.numel(), dtype=torch.float64).view(parameter.shape)
            values = 0.2 * torch.sin(0.7 * index + len(name))
            one = name.lower().endswith(("norm.weight", "ln.weight"))
            parameter.copy_(values + one)
    return module.eval()


def input_of(start, *shape):
    count = torch.Size(shape).numel()
    return torch.cos(0.3 * torch.arange(count, dtype=torch.float64) + start).float().view(shape)


def check(output, first, total):
    assert output.flatten()[:3].tolist() == pytest.approx(first, abs=2e-5)
    assert output.sum().item() == pytest.approx(total, abs=5e-4)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize(
    ("width", "bias", "first", "total"),
    [
        (8, True, [-0.14597, 0.37767, 0.23049], 2.4931),
        (8, False, [-0.19779, 0.11520, 0.08484], 0.0077),
        (16, True, [0.07616, 0.27072, 0.11322], 2.4867),
    ],
)
def test_projector(width, bias, first, total):
    check(waves(MlpProjector(width, 6, bias=bias))(input_of(0, 2, 3, width)), first, total)


@pytest.mark.parametrize(
    ("width", "out", "first", "total"),
    [
        (4, 6, [-0.03299, 0.52111, -0.02315], 3.3488),
        (8, 5, [0.09070, 0.20195, 0.14758], 4.1556),
    ],
)
def test_blocks_and_projector_of_internvl(width, out, first, total):
    merged = merge_blocks(input_of(0, 2, 16, width), 4, 4)
    check(waves(MlpProjector(4 * width, out, norm=True))(merged), first, total)


@pytest.mark.parametrize(
    ("grid", "side", "image_size", "kept", "first"),
    [
        ((2, 2), 2, (100, 200), (2, 4), 4),
        ((1, 2), 4, (100, 130), (4, 6), 1),
        ((2, 2), 24, (480, 640), (36, 48), 288),
        ((1, 2), 27, (383, 385), (27, 28), 13),
        ((3, 1), 2, (300, 50), (6, 2), 0),
    ],
)
def test_features_that_are_left_without_padding(grid, side, image_size, kept, first):
    """Each feature is its place in the grid of all tiles, row by row."""
    (rows, columns), (height, width) = grid, kept
    places = torch.arange(rows * columns * side**2).view(rows * side, columns * side)
    tiles = places.view(rows, side, columns, side).transpose(1, 2).reshape(-1, side**2, 1)
    overview = torch.full((1, side**2, 1), -1)
    packed = pack_anyres(torch.cat((overview, tiles)), image_size, grid)
    known = first + torch.arange(height)[:, None] * columns * side + torch.arange(width)
    assert torch.equal(packed.flatten(), torch.cat((overview.flatten(), known.flatten())))


@pytest.mark.parametrize(
    ("depth", "heads", "head_dim", "latents", "context", "qk_norm", "first", "total"),
    [
        (1, 2, 3, 4, 5, False, [0.85593, -0.35177, 0.90670], -2.3037),
        (1, 2, 3, 4, 5, True, [0.90389, -0.40526, 0.82278], -2.1091),
        (1, 2, 3, 4, 300, False, [0.80575, -0.30180, 0.98588], -2.2261),
        (2, 2, 3, 4, 5, False, [0.85013, -0.65726, 0.79961], -2.2199),
        (2, 1, 4, 2, 9, True, [0.44148, -0.21915, 1.00034], -0.7985),
        (3, 2, 4, 3, 7, False, [0.67388, -0.51733, 1.02759], -1.4680),
        (3, 2, 4, 3, 7, True, [1.02226, -0.59766, 0.47087], -1.4269),
        (1, 4, 2, 1, 1, False, [1.02284, -0.13671, 0.86412], -0.9874),
    ],
)
def test_perceiver(depth, heads, head_dim, latents, context, qk_norm, first, total):
    module = PerceiverResampler(
        6, latents=latents, depth=depth, heads=heads, head_dim=head_dim, qk_norm=qk_norm
    )
    check(waves(module)(input_of(0, 1, context, 6)), first, total)


@pytest.mark.parametrize(
    ("heads", "latents", "sees", "gate", "qk_norm", "first", "total"),
    [
        (2, 3, [[0], [1], [1]], "float", False, [1.01607, 0.92169, 0.84421], 2.8056),
        (2, 3, [[0], [0], [0]], "float", False, [1.01607, 0.92169, 0.84421], 2.8069),
        (1, 1, [[1], [1], [1]], "float", False, [1.01162, 0.91933, 0.84458], 2.8206),
        (2, 3, [[0, 0], [1, 0], [0, 1]], "float", False, [1.01607, 0.92169, 0.84421], 2.8064),
        (2, 3, [[0, 0], [1, 0], [0, 1]], "float", True, [1.01607, 0.92169, 0.84421], 2.8085),
        (2, 3, [[0, 0], [1, 0], [0, 1]], "vector", False, [1.01607, 0.92955, 0.82850], 2.8134),
        (4, 2, [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "float", False,
         [1.01596, 0.92074, 0.84271], 2.8045),
        (4, 2, [[1, 1], [0, 0], [1, 0]], "vector", True, [1.01771, 0.92132, 0.80856], 2.8281),
    ],
)  # fmt: skip
def test_gated(heads, latents, sees, gate, qk_norm, first, total):
    module = GatedCrossAttention(8, 6, heads=heads, mlp_width=12, gate=gate, qk_norm=qk_norm)
    images = torch.tensor([sees], dtype=torch.bool)
    context = input_of(1, 1, images.shape[-1] * latents, 6)
    check(waves(module)(input_of(0, 1, 3, 8), context, images), first, total)


@pytest.mark.parametrize(
    ("queries", "context", "depth", "every", "heads", "first", "total"),
    [
        (3, 5, 2, 2, 2, [0.49882, 1.94208, 0.84811], 0.0425),
        (3, 5, 2, 1, 2, [0.53837, 1.64840, 0.80933], 0.0478),
        (3, 1, 2, 2, 2, [0.52866, 1.93280, 0.84293], 0.0254),
        (4, 9, 3, 2, 2, [0.04495, 1.50627, 0.81886], 0.5349),
        (4, 9, 3, 3, 2, [-0.04072, 1.84171, 0.86830], 0.6999),
        (3, 300, 2, 2, 2, [0.48945, 1.94466, 0.84984], 0.0485),
        (1, 1, 1, 2, 4, [0.58152, 0.28066, -0.10179], 0.4702),
        (2, 5, 4, 2, 1, [-0.30788, 1.66229, 0.93326], 0.3984),
    ],
)
def test_qformer(queries, context, depth, every, heads, first, total):
    """Under the names of the stock module, which nests its parameters deeply."""
    small = {"num_hidden_layers": 1, "num_attention_heads": 2}
    config = Blip2Config(
        qformer_config={
            "hidden_size": 8,
            "intermediate_size": 12,
            "encoder_hidden_size": 6,
            "num_hidden_layers": depth,
            "num_attention_heads": heads,
            "cross_attention_frequency": every,
            "vocab_size": 8,
        },
        vision_config={"hidden_size": 6, "intermediate_size": 8, **small},
        text_config={"model_type": "opt", "hidden_size": 8, "ffn_dim": 8, "vocab_size": 8, **small},
        num_query_tokens=queries,
    )
    stock = Blip2ForConditionalGeneration(config)
    waves(stock.qformer)
    stock.query_tokens.copy_(input_of(0, 1, queries, 8))
    check(QFormer.from_transformers(stock)(input_of(1, 1, context, 6)), first, total)
