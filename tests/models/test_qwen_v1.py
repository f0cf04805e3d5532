"""The tower of the first Qwen-VL against a second writing of it, under its checkpoints' names.

No library has the class; this one follows the published description, step by step.
"""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from qvl_fast.config import VITS, VitConfig
from qvl_fast.models import QwenVisionTower, load_vision_tower, planes_to_rows

WIDTH, HEADS, DEPTH, MLP, OUT = 24, 4, 3, 118, 256
VISUAL = {"width": WIDTH, "heads": HEADS, "layers": DEPTH, "patch_size": 2, "image_size": 64}


@pytest.fixture
def weights():
    """Random ones, under their names in a checkpoint."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator) * (shape[-1] ** -0.5)

    def norm(name, width):
        return {f"{name}.weight": 1 + random(width), f"{name}.bias": random(width)}

    def linear(name, out, width):
        return {f"{name}.weight": random(out, width), f"{name}.bias": random(out)}

    tensors = {
        "conv1.weight": random(WIDTH, 3, 2, 2),
        "positional_embedding": random(256, WIDTH),
        "proj": random(OUT, OUT),
        "attn_pool.query": random(256, OUT),
        "attn_pool.pos_embed": random(256, OUT),
        "attn_pool.kv_proj.weight": random(OUT, WIDTH),
        "attn_pool.attn.in_proj_weight": random(3 * OUT, OUT),
        "attn_pool.attn.in_proj_bias": random(3 * OUT),
        **linear("attn_pool.attn.out_proj", OUT, OUT),
        **norm("attn_pool.ln_q", OUT),
        **norm("attn_pool.ln_kv", OUT),
        **norm("ln_pre", WIDTH),
        **norm("ln_post", OUT),
    }
    for i in range(DEPTH):
        block = f"transformer.resblocks.{i}"
        tensors |= norm(f"{block}.ln_1", WIDTH) | norm(f"{block}.ln_2", WIDTH)
        tensors |= linear(f"{block}.attn.in_proj", 3 * WIDTH, WIDTH)
        tensors |= linear(f"{block}.attn.out_proj", WIDTH, WIDTH)
        tensors |= linear(f"{block}.mlp.c_fc", MLP, WIDTH)
        tensors |= linear(f"{block}.mlp.c_proj", WIDTH, MLP)
    return tensors


def reference(weights, pixels):
    """``(B, 3, 64, 64)`` to ``(B, 256, OUT)``."""

    def norm(x, name):
        return F.layer_norm(
            x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6
        )

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def grown(table):
        square = table.reshape(1, 16, 16, -1).permute(0, 3, 1, 2)
        grown = F.interpolate(square, size=(32, 32), mode="bicubic", align_corners=False)
        return grown.permute(0, 2, 3, 1).flatten(1, 2)

    x = F.conv2d(pixels, weights["conv1.weight"], stride=2).flatten(2).transpose(1, 2)
    x = norm(x + grown(weights["positional_embedding"]), "ln_pre")
    size = WIDTH // HEADS
    for i in range(DEPTH):
        block = f"transformer.resblocks.{i}"
        mixed = linear(norm(x, f"{block}.ln_1"), f"{block}.attn.in_proj")
        heads = []
        for head in mixed.split(3 * size, dim=-1):
            q, k, v = head.split(size, dim=-1)
            heads.append((q @ k.transpose(1, 2) / size**0.5).softmax(-1) @ v)
        x = x + linear(torch.cat(heads, dim=-1), f"{block}.attn.out_proj")
        inner = F.gelu(linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc"))
        x = x + linear(inner, f"{block}.mlp.c_proj")
    kv = norm(x @ weights["attn_pool.kv_proj.weight"].T, "attn_pool.ln_kv").transpose(0, 1)
    place = weights["attn_pool.pos_embed"]
    q = (norm(weights["attn_pool.query"], "attn_pool.ln_q") + place)[:, None]
    pooled, _ = F.multi_head_attention_forward(
        q.expand(-1, len(pixels), -1),
        kv + grown(place).transpose(0, 1),
        kv,
        OUT,
        OUT // 128,
        weights["attn_pool.attn.in_proj_weight"],
        weights["attn_pool.attn.in_proj_bias"],
        None,
        None,
        False,
        0.0,
        weights["attn_pool.attn.out_proj.weight"],
        weights["attn_pool.attn.out_proj.bias"],
        training=False,
    )
    return norm(pooled.transpose(0, 1), "ln_post") @ weights["proj"]


@torch.inference_mode()
def test_a_checkpoint(tmp_path, weights):
    """Beside the tensors of a language model, which are none of the tower's."""
    config = {"model_type": "qwen", "visual": VISUAL}
    (tmp_path / "config.json").write_text(json.dumps(config))
    named = {f"transformer.visual.{name}": x for name, x in weights.items()}
    save_file(named | {"lm_head.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    tower = load_vision_tower(tmp_path)
    assert isinstance(tower, QwenVisionTower)
    frozen = [name for name, x in tower.named_parameters() if not x.requires_grad]
    assert frozen == ["attn_pool.pos_embed"]
    pixels = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    result = tower(planes_to_rows(pixels, 2)).tokens
    expected = reference(weights, pixels).flatten(0, 1)
    assert result.shape == expected.shape
    assert ((result - expected).abs().max() / expected.abs().max()).item() < 1e-5


def test_the_released_shape():
    assert VitConfig.from_qwen({}) == VITS["qwen-vl"]
    released = {"heads": 16, "image_size": 448, "layers": 48, "mlp_ratio": 4.9231, "width": 1664}
    assert VitConfig.from_qwen(released | {"patch_size": 14}) == VITS["qwen-vl"]


def test_tensors_that_do_not_fit(weights):
    config = VitConfig.from_qwen(VISUAL)
    del weights["ln_post.bias"]
    with pytest.raises(ValueError, match=r"do not fit a QwenVisionTower: .*ln_post\.bias"):
        QwenVisionTower.from_checkpoint(config, weights.items())
    del weights["proj"]
    with pytest.raises(ValueError, match="missing: proj"):
        QwenVisionTower.from_checkpoint(config, weights.items())
