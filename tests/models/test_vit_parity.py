"""The vision transformer computes what the vision modules of transformers compute."""

import json

import pytest
import torch
import transformers
from safetensors.torch import save_file
from transformers.models.idefics.configuration_idefics import IdeficsVisionConfig
from transformers.models.idefics.vision import IdeficsVisionTransformer

import qvl_fast
from qvl_fast.config import VITS, VitConfig
from qvl_fast.models import VitTower, load_vision_tower, planes_to_rows

SHAPE = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 30,  # Two pixels are left over.
    "patch_size": 7,
}
RMS = {"norm_type": "rms_norm", "use_qk_norm": True}


def stock_idefics(**shape):
    return IdeficsVisionTransformer(
        IdeficsVisionConfig(embed_dim=shape.pop("hidden_size"), **shape)
    )


def stock(kind, **settings):
    def make(**shape):
        config = getattr(transformers, f"{kind}VisionConfig")(**shape, **settings)
        return getattr(transformers, f"{kind}VisionModel")(config)

    return make


MODULES = {
    "clip": stock("CLIP"),
    "clip, gelu": stock("CLIP", hidden_act="gelu"),
    "siglip": stock("Siglip"),
    "siglip without a head": stock("Siglip", vision_use_head=False),
    "internvit": stock("InternVL"),
    "internvit, bias": stock("InternVL", attention_bias=True, use_mean_pooling=False),
    "internvit, rms": stock("InternVL", **RMS, use_mask_token=True),
    "eva": stock("Blip2"),
    "eva, no bias": stock("Blip2", qkv_bias=False),
    "clip-h": stock_idefics,
}


@pytest.fixture(params=MODULES)
def kind(request):
    return request.param


@pytest.fixture
def pair(kind):
    """A module of transformers with random weights, and ours."""
    torch.manual_seed(0)
    module = MODULES[kind](**SHAPE).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.add_(torch.randn_like(parameter) * scale)
    return module, VitTower.from_transformers(module)


@pytest.fixture
def planes():
    return torch.randn(3, 3, 30, 30, generator=torch.Generator().manual_seed(0))


def scaled_error(result, expected):
    return ((result - expected).abs().max() / expected.abs().max()).item()


def hidden_states(module, planes):
    """Of every layer, those of Idefics' module too, which nothing records."""
    layers = getattr(module.encoder, "layers", None) or module.encoder.layer
    outputs = []
    hooks = [layers[0].register_forward_pre_hook(lambda _, args: outputs.append(args[0]))]
    hooks += [
        layer.register_forward_hook(lambda _, __, output: outputs.append(output))
        for layer in layers
    ]
    module(pixel_values=planes)
    for hook in hooks:
        hook.remove()
    return outputs


@torch.inference_mode()
def test_the_last_hidden_state(pair, planes):
    module, tower = pair
    expected = module(pixel_values=planes).last_hidden_state
    result = tower(planes_to_rows(planes, 7)).tokens
    assert result.shape == expected.flatten(0, 1).shape
    assert scaled_error(result, expected.flatten(0, 1)) < 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("layers", [(-1,), (-2,), (0,), (1, 3), (-1, 0, -1)], ids=str)
def test_layers_that_are_asked_for(pair, planes, layers):
    """Without what lies behind them, and with and without the class token."""
    module, tower = pair
    states = hidden_states(module, planes)
    expected = torch.cat([states[layer] for layer in layers], dim=-1)
    weights = tower.state_dict()
    for keep_class in (True, False):
        config = VitConfig(
            **{
                **{name: getattr(tower.config, name) for name in VitConfig.__slots__},
                "layers": layers,
                "keep_class": keep_class,
            }
        )
        few = VitTower(config)
        assert len(few.blocks) == max(layer % 4 for layer in layers)
        few.load_state_dict({name: weights[name] for name in few.state_dict()})
        kept = expected[:, 1:] if tower.config.class_token and not keep_class else expected
        assert scaled_error(few(planes_to_rows(planes, 7)).tokens, kept.flatten(0, 1)) < 1e-5


@torch.inference_mode()
def test_tiles_of_several_shapes_in_one_call(kind, pair, planes):
    """Positions are stretched as transformers stretches them, and tiles keep to themselves."""
    module, tower = pair
    generator = torch.Generator().manual_seed(1)
    sizes = [(28, 28), (42, 21), (42, 21), (21, 35), (28, 28)]
    images = [torch.randn(1, 3, *size, generator=generator) for size in sizes]
    rows = torch.cat([planes_to_rows(image, 7) for image in images])
    grids = [[1, height // 7, width // 7] for height, width in sizes]
    result = tower(rows, grids).tokens
    if kind == "clip-h":  # Its own rounding is not ours.
        images, sizes = images[:1], sizes[:1]
    options = {} if "internvit" in kind else {"interpolate_pos_encoding": True}
    expected = [module(pixel_values=image, **options).last_hidden_state[0] for image in images]
    expected = torch.cat(expected)
    assert scaled_error(result[: len(expected)], expected) < 1e-5
    if kind != "clip-h":
        assert len(result) == len(expected)


def test_gradients(pair, planes, relative_error):
    module, tower = pair
    module(pixel_values=planes).last_hidden_state.square().sum().backward()
    tower.gradient_checkpointing = True
    tower(planes_to_rows(planes, 7)).tokens.square().sum().backward()
    layers = getattr(module.encoder, "layers", None) or module.encoder.layer
    ours, theirs = tower.blocks[0].mlp.fc1, layers[0].mlp.fc1
    assert relative_error(ours.weight.grad, theirs.weight.grad) < 1e-5


@torch.inference_mode()
def test_pixels_with_the_normalization_folded(pair):
    _, tower = pair
    pixels = torch.randint(0, 256, (32, 3 * 7 * 7), dtype=torch.uint8)
    image = qvl_fast.ImageConfig(
        patch_size=7, image_mean=(0.4, 0.5, 0.6), image_std=(0.2, 0.3, 0.4)
    )
    mean, std = (torch.tensor(x).repeat_interleave(49) for x in (image.image_mean, image.image_std))
    expected = tower((pixels / 255 - mean) / std).tokens
    tower.fold_normalization(image)
    assert scaled_error(tower(pixels).tokens, expected) < 1e-5


def test_no_rows(pair):
    _, tower = pair
    assert tower(torch.empty(0, 147)).tokens.shape == (0, 48)
    assert tower(torch.empty(0, 147), torch.empty(0, 3, dtype=torch.int64)).tokens.shape == (0, 48)


def test_rows_that_do_not_fit(pair):
    _, tower = pair
    with pytest.raises(ValueError, match=r"whole tiles of 4x4 patches, got 17; pass grid_thw"):
        tower(torch.zeros(17, 147))
    with pytest.raises(ValueError, match=r"grid_thw has 12 patches, got 16 rows"):
        tower(torch.zeros(16, 147), [[1, 3, 4]])
    with pytest.raises(ValueError, match=r"rows must have shape \(N, 147\)"):
        tower(torch.zeros(16, 146))


# ------------------------------------------------------------------------------- configurations


def test_presets_have_the_tokens_of_their_models():
    counts = {
        name: config.side**2 + (config.class_token and config.keep_class)
        for name, config in VITS.items()
    }
    assert counts["clip-vit-l-336"] == 577
    assert counts["llava-1.5"] == 576
    assert counts["siglip-so400m-384"] == counts["llava-onevision"] == 729
    assert counts["internvit-300m"] == counts["internvit-6b"] == 1024
    assert counts["eva-g"] == counts["idefics"] == 257
    assert counts["qwen-vl"] == 1024
    with pytest.raises(ValueError, match=r"preset must be one of clip-vit-l-336, .*, got 'vit'"):
        VitTower("vit")


@pytest.mark.parametrize(
    "config",
    [
        transformers.CLIPVisionConfig(),
        transformers.SiglipVisionConfig(),
        transformers.InternVLVisionConfig(),
        transformers.Blip2VisionConfig(),
        IdeficsVisionConfig(),
        transformers.LlavaConfig(),
        transformers.LlavaNextConfig(),
        transformers.LlavaOnevisionConfig(),
        transformers.InternVLConfig(),
        transformers.Blip2Config(),
    ],
    ids=lambda config: config.model_type,
)
def test_what_a_configuration_leaves_out_is_as_in_transformers(config):
    full, bare = config.to_dict(), {"model_type": config.model_type}
    assert VitConfig.from_dict(bare) == VitConfig.from_dict(full)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"activation": "relu"}, ValueError, "activation must be one of 'quick_gelu'.*'relu'"),
        ({"norm": "batch"}, ValueError, "norm must be one of"),
        ({"heads": 5}, ValueError, "width must be a multiple of heads = 5, got 1024"),
        ({"layers": (25,)}, ValueError, r"layers must be from -25 to 24, got \(25,\)"),
        ({"layers": ()}, ValueError, "layers must be"),
        ({"layers": ("x",)}, TypeError, "layers must be a sequence of integers"),
        ({"qk_norm": 1}, TypeError, "qk_norm must be a bool, got 1"),
        ({"side": 0}, ValueError, "side must be between 1"),
    ],
    ids=str,
)
def test_values_that_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        VitConfig(**settings)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert"}, "model_type must be one of blip-2, .*, got 'bert'"),
        (
            {"model_type": "clip_vision_model", "num_channels": 4},
            "num_channels .* must be 3, got 4",
        ),
        ({"model_type": "clip_vision_model", "image_size": [224, 336]}, "image_size .* a square"),
        ({"model_type": "clip_vision_model", "hidden_act": "relu"}, "activation must be one of"),
        (
            {"model_type": "internvl_vision", "use_absolute_position_embeddings": False},
            "use_absolute_position_embeddings of a internvl_vision tower must be True",
        ),
        ({"model_type": "llava", "vision_config": {"model_type": "x"}}, "model_type must be one"),
    ],
    ids=str,
)
def test_descriptions_that_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        VitConfig.from_dict(config)


def test_a_checkpoint_of_another_family_has_other_tensors(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": {}}))
    save_file({"visual.x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"none begins with 'model\.vision_tower\.vision_model\.'"):
        load_vision_tower(tmp_path)
