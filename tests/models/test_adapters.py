"""Adapters compute what the modules of transformers compute, with random weights throughout."""

import pytest
import torch
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    IdeficsConfig,
    InternVLConfig,
    LlavaConfig,
    LlavaNextConfig,
    LlavaOnevisionConfig,
)
from transformers.models.idefics.modeling_idefics import IdeficsGatedCrossAttentionLayer
from transformers.models.idefics.perceiver import IdeficsPerceiverResampler
from transformers.models.internvl.modeling_internvl import (
    InternVLModel,
    InternVLMultiModalProjector,
)
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector
from transformers.models.llava_next.modeling_llava_next import (
    LlavaNextModel,
    get_anyres_image_grid_shape,
)
from transformers.models.llava_onevision.modeling_llava_onevision import LlavaOnevisionModel

from qvl_fast.models.adapters import (
    AttentionPool,
    GatedCrossAttention,
    MlpProjector,
    PerceiverResampler,
    QFormer,
    merge_blocks,
    pack_anyres,
)

TEXT = {"hidden_size": 64, "num_hidden_layers": 1, "vocab_size": 10, "num_attention_heads": 4}
TILE = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 7}
PINPOINTS = [[28 * rows, 28 * columns] for rows in range(1, 5) for columns in range(1, 5)]
SIZES = [(40, 90), (90, 40), (28, 28), (7, 300), (300, 7), (101, 99), (57, 113), (1, 1)]


def randomised(module):
    """Gates and biases too, which would hide mistakes at zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.2
            parameter.add_(torch.randn_like(parameter) * scale)
    return module.eval()


def assert_close(result, expected):
    assert result.shape == expected.shape
    assert ((result - expected).abs().max() / expected.abs().max()).item() < 1e-5


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


# --------------------------------------------------------------------------------- projectors


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [-2, [-2, 1]], ids=str)
def test_projector_of_llava(bias, layers):
    config = LlavaConfig(
        text_config=TEXT, vision_feature_layer=layers, multimodal_projector_bias=bias
    )
    stock = randomised(LlavaMultiModalProjector(config))
    ours = MlpProjector(stock.linear_1.in_features, 64, bias=bias)
    ours.load_state_dict(stock.state_dict())
    x = torch.randn(2, 5, stock.linear_1.in_features)
    assert_close(ours(x), stock(x))


def test_projector_and_blocks_of_internvl():
    config = InternVLConfig(text_config=TEXT | {"num_key_value_heads": 2}, vision_config=TILE)
    stock = randomised(InternVLMultiModalProjector(config))
    ours = MlpProjector(96, 64, norm=True)
    ours.load_state_dict(stock.state_dict())
    planes = torch.randn(3, 6, 6, 24)
    expected = InternVLModel.pixel_shuffle(None, planes, 0.5).flatten(1, 2)
    merged = merge_blocks(planes.flatten(1, 2), 6, 6)
    assert torch.equal(merged, expected)
    assert_close(ours(merged), stock(expected))


def test_blocks_that_are_not_square():
    planes = torch.arange(4 * 6).view(1, 4 * 6, 1)
    merged = merge_blocks(planes, 4, 6)
    assert merged[0, 1].tolist() == [2, 3, 8, 9]
    with pytest.raises(ValueError, match="multiples of 2 with 24 patches, got 3 and 8"):
        merge_blocks(planes, 3, 8)
    with pytest.raises(ValueError, match="multiples of 2 with 24 patches, got 4 and 4"):
        merge_blocks(planes, 4, 4)


# -------------------------------------------------------------------------------------- tiles


@pytest.fixture(params=["next", "onevision"])
def packer(request):
    """``pack(tokens, size, newline)`` of transformers, and the options that make ours the same."""
    vision = TILE | {"image_size": 28}
    if request.param == "next":
        config = LlavaNextConfig(
            text_config=TEXT,
            vision_config={"model_type": "clip_vision_model", **vision},
            image_grid_pinpoints=PINPOINTS,
        )
        model, options = LlavaNextModel(config), {}
        rest = {"vision_feature_select_strategy": "default"}
    else:
        config = LlavaOnevisionConfig(
            text_config=TEXT | {"num_key_value_heads": 2, "intermediate_size": 8},
            vision_config={"model_type": "siglip_vision_model", **vision},
            image_grid_pinpoints=PINPOINTS,
        )
        model, options = LlavaOnevisionModel(config), {"max_tiles": 2}
        rest = {"vision_aspect_ratio": "anyres_max_2"}

    def pack(tokens, size, newline):
        packed, _ = model.pack_image_features([tokens], [size], image_newline=newline, **rest)
        return packed[0]

    return pack, options


@pytest.mark.parametrize("ends", [True, False], ids=["newlines", "none"])
def test_tiles_of_images(packer, ends):
    pack, options = packer
    generator = torch.Generator().manual_seed(0)
    newline = torch.randn(24, generator=generator) if ends else None
    sizes = SIZES + torch.randint(1, 400, (60, 2), generator=generator).tolist()
    for height, width in sizes:
        rows, columns = get_anyres_image_grid_shape((height, width), PINPOINTS, 28)
        tokens = torch.randn(1 + rows * columns, 16, 24, generator=generator)
        ours = pack_anyres(tokens, (height, width), (rows, columns), newline, **options)
        assert torch.equal(ours, pack(tokens, [height, width], newline))


def test_an_image_without_tiles(packer):
    pack, options = packer
    tokens, newline = torch.randn(1, 16, 24), torch.randn(24)
    for end in (newline, None):
        ours = pack_anyres(tokens, (30, 40), (1, 1), end, **options)
        assert torch.equal(ours, pack(tokens, [30, 40], end))


def test_tiles_that_are_missing():
    with pytest.raises(ValueError, match=r"\(1 \+ 2 \* 2, s \* s, C\), got \(4, 16, 24\)"):
        pack_anyres(torch.zeros(4, 16, 24), (50, 50), (2, 2))
    with pytest.raises(ValueError, match=r"got \(2, 15, 24\)"):
        pack_anyres(torch.zeros(2, 15, 24), (50, 50), (1, 1))


# ----------------------------------------------------------------------------------- Q-Former


@pytest.mark.parametrize("text", [False, True], ids=["queries", "with text"])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_qformer(text, every):
    """Its checkpoints may have weights for text, which go unused."""
    config = Blip2Config(
        qformer_config={
            "hidden_size": 32,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "encoder_hidden_size": 24,
            "cross_attention_frequency": every,
            "use_qformer_text_input": text,
        },
        vision_config=TILE,
        text_config={
            "model_type": "opt",
            "hidden_size": 16,
            "word_embed_proj_dim": 16,
            "ffn_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "vocab_size": 8,
        },
        num_query_tokens=5,
    )
    stock = randomised(Blip2ForConditionalGeneration(config))
    ours = QFormer.from_transformers(stock)
    context = torch.randn(3, 17, 24)
    queries = stock.query_tokens.expand(3, -1, -1)
    expected = stock.qformer(query_embeds=queries, encoder_hidden_states=context).last_hidden_state
    assert_close(ours(context), expected)
    assert ours(context.bfloat16()).dtype == torch.bfloat16


# ---------------------------------------------------------------------------- Flamingo, Idefics


def idefics(*, qk_norm, gate):
    return IdeficsConfig(
        hidden_size=64,
        intermediate_size=96,
        num_attention_heads=4,
        vision_config={"embed_dim": 24, "num_attention_heads": 2},
        perceiver_config={"qk_layer_norms_perceiver": qk_norm},
        qk_layer_norms=qk_norm,
        alpha_type=gate,
    )


@pytest.mark.parametrize("qk_norm", [True, False])
def test_perceiver_resampler(qk_norm):
    config = idefics(qk_norm=qk_norm, gate="float")
    stock = randomised(IdeficsPerceiverResampler(config, 24, 3, 2, 16, 6))
    ours = PerceiverResampler(24, latents=6, depth=3, heads=2, head_dim=16, qk_norm=qk_norm)
    ours.load_state_dict(stock.state_dict())
    context = torch.randn(3, 17, 24)
    assert_close(ours(context), stock(context))


def test_perceiver_resampler_of_the_flamingo_paper():
    """Frames have embeddings, and the MLPs square: written out from the stock module's parts."""
    ours = randomised(
        PerceiverResampler(
            24, latents=6, depth=2, heads=2, head_dim=16, max_frames=4, squared_relu=True
        )
    )
    stock = IdeficsPerceiverResampler(idefics(qk_norm=False, gate="float"), 24, 2, 2, 16, 6)
    stock.load_state_dict({n: x for n, x in ours.state_dict().items() if n != "frames"})
    for _, mlp in stock.blocks:
        mlp.act = nn.Sequential(nn.ReLU(), _Square())
    context = torch.randn(2, 3, 5, 24)
    placed = torch.cat([context[:, i] + ours.frames[i] for i in range(3)], dim=1)
    assert_close(ours(context), stock(placed))
    with pytest.raises(ValueError, match=r"with at most 4 frames, got \(2, 5, 5, 24\)"):
        ours(torch.randn(2, 5, 5, 24))


class _Square(nn.Module):
    def forward(self, x):
        return x.square()


@pytest.mark.parametrize("gate", ["float", "vector"])
@pytest.mark.parametrize("qk_norm", [True, False])
def test_gated_cross_attention(gate, qk_norm):
    """Some tokens see one image, some both, some none."""
    config = idefics(qk_norm=qk_norm, gate=gate)
    stock = randomised(IdeficsGatedCrossAttentionLayer(config, layer_idx=0))
    ours = GatedCrossAttention(
        64, 24, heads=4, mlp_width=96, gate=gate, qk_norm=qk_norm, eps=config.rms_norm_eps
    )
    ours.load_state_dict(stock.state_dict())
    x, context = torch.randn(2, 7, 64), torch.randn(2, 2 * 5, 24)
    sees = torch.rand(2, 7, 2) < 0.5
    sees[0, 0], sees[1, 3] = False, True
    mask = sees.repeat_interleave(5, dim=-1)[:, None]
    expected = stock(
        x,
        image_hidden_states=context,
        image_attention_mask=torch.zeros(mask.shape).masked_fill(~mask, torch.finfo().min),
        cross_attention_gate=sees.any(-1).float(),
    )
    assert_close(ours(x, context, sees), expected)


def test_gated_cross_attention_without_images():
    ours = randomised(GatedCrossAttention(64, 24, heads=4, mlp_width=96))
    x = torch.randn(2, 7, 64)
    nothing = ours(x, torch.empty(2, 0, 24), torch.empty(2, 7, 0, dtype=torch.bool))
    unseen = ours(x, torch.randn(2, 5, 24), torch.zeros(2, 7, 1, dtype=torch.bool))
    assert torch.equal(nothing, unseen)
    assert nothing.isfinite().all()
    with pytest.raises(ValueError, match="for each of 2 images, got 5 in all"):
        ours(x, torch.randn(2, 5, 24), torch.zeros(2, 7, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="gate must be one of 'float', 'vector', got 'both'"):
        GatedCrossAttention(64, 24, heads=4, mlp_width=96, gate="both")


def test_gates_are_closed_at_first():
    ours = GatedCrossAttention(64, 24, heads=4, mlp_width=96)
    x = torch.randn(1, 3, 64)
    sees = torch.ones(1, 3, 1, dtype=torch.bool)
    assert torch.equal(ours(x, torch.randn(1, 5, 24), sees), x)


# -------------------------------------------------------------------------------- Qwen-VL


@pytest.mark.parametrize("side", [4, 8, 3])
def test_attention_pool(side):
    """No stock class is installed: written a second time, token by token, from the description."""
    width, heads, squares = 32, 4, 4
    ours = randomised(AttentionPool(width, 24, side=squares, heads=heads))
    context = torch.randn(2, side**2, 24)
    table = torch.zeros(squares**2, width)
    for line in range(squares):
        for column in range(squares):
            for i in range(width // 4):
                w = 10_000.0 ** (-i / (width / 4))
                row = table[line * squares + column]
                row[i] = torch.tensor(column * w).sin()
                row[width // 4 + i] = torch.tensor(column * w).cos()
                row[width // 2 + i] = torch.tensor(line * w).sin()
                row[3 * width // 4 + i] = torch.tensor(line * w).cos()
    fresh = AttentionPool(width, 24, side=squares, heads=heads)
    torch.testing.assert_close(fresh.pos_embed, table, rtol=0, atol=1e-6)
    ours.pos_embed.copy_(table)

    planes = table.T.reshape(1, width, squares, squares)
    there = nn.functional.interpolate(planes, (side, side), mode="bicubic", align_corners=False)
    there = there.reshape(width, side**2).T
    result = torch.empty(2, squares**2, width)
    head = width // heads
    w, b = ours.attn.in_proj_weight, ours.attn.in_proj_bias
    for image in range(2):
        v = ours.ln_kv(ours.kv_proj(context[image]))
        q = (ours.ln_q(ours.query) + table) @ w[:width].T + b[:width]
        k = (v + there) @ w[width : 2 * width].T + b[width : 2 * width]
        v = v @ w[2 * width :].T + b[2 * width :]
        for query in range(squares**2):
            out = []
            for h in range(heads):
                cut = slice(h * head, (h + 1) * head)
                weights = (k[:, cut] @ q[query, cut] / head**0.5).softmax(0)
                out.append(weights @ v[:, cut])
            result[image, query] = ours.attn.out_proj(torch.cat(out))
    assert_close(ours(context), result)


def test_attention_pool_of_what_is_no_square():
    with pytest.raises(ValueError, match="patches of a square, got 8 of them"):
        AttentionPool(32, 24, side=4, heads=4)(torch.zeros(1, 8, 24))
