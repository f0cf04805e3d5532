"""Whole models of the other families with our pixels, and our tower in its place.

Both come from a checkpoint that transformers has saved.
"""

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from qvl_fast import ImageProcessor
from qvl_fast.models import VitTower, load_vision_tower, planes_to_rows

IMAGE = 101
VISION = {
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 7,
}
TEXT = {
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 120,
    "hidden_size": 64,
}
OPT = {k: TEXT[k] for k in TEXT if k != "intermediate_size"} | {"ffn_dim": 96}
GROUPED = TEXT | {"num_key_value_heads": 2}
PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 56]]
QFORMER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "encoder_hidden_size": 48,
    "vocab_size": 10,
}
PERCEIVER = {
    "use_resampler": True,
    "resampler_n_latents": 6,
    "resampler_depth": 2,
    "resampler_n_heads": 2,
    "resampler_head_dim": 16,
}


def settings(vision, text, **rest):
    """Of a model that is put together from parts."""
    return {
        "vision_config": {"model_type": vision, "hidden_size": 48, **VISION},
        "text_config": {"model_type": text, **(OPT if text == "opt" else GROUPED)},
        "image_token_id": IMAGE,
        **rest,
    }


MODELS = {
    "llava": ("Llava", settings("clip_vision_model", "llama")),
    "llava, two layers": (
        "Llava",
        settings(
            "clip_vision_model",
            "llama",
            vision_feature_layer=[-1, 1],
            vision_feature_select_strategy="default",
        ),
    ),
    "llava_next": (
        "LlavaNext",
        settings("clip_vision_model", "llama", image_grid_pinpoints=PINPOINTS),
    ),
    "llava_onevision": (
        "LlavaOnevision",
        settings("siglip_vision_model", "qwen2", image_grid_pinpoints=PINPOINTS),
    ),
    "internvl": ("InternVL", settings("internvl_vision", "qwen2")),
    "blip-2": (
        "Blip2",
        settings("blip_2_vision_model", "opt", qformer_config=QFORMER, num_query_tokens=5),
    ),
    "idefics": (
        "Idefics",
        {
            **TEXT,
            "vision_config": {"embed_dim": 48, **VISION},
            "perceiver_config": PERCEIVER,
            "cross_layer_interval": 1,
            "additional_vocab_size": 0,
            "alpha_initializer": "ones",
        },
    ),
}
PROCESSORS = {
    "llava": ("CLIP", {"size": {"shortest_edge": 28}, "crop_size": 28}),
    "llava_next": ("LlavaNext", {"size": {"shortest_edge": 28}, "crop_size": 28}),
    "llava_onevision": ("LlavaOnevision", {"size": {"height": 28, "width": 28}}),
    "internvl": ("GotOcr2", {"size": {"height": 28, "width": 28}, "crop_to_patches": True}),
    "blip-2": ("Blip", {"size": {"height": 28, "width": 28}}),
    "idefics": ("Idefics", {"image_size": 28}),
}


class InPlace(nn.Module):
    """A tower where a model has its vision module; what it drops is what the model would drop."""

    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def forward(self, pixel_values, **_):
        config = self.tower.config
        tokens = self.tower(planes_to_rows(pixel_values, config.patch_size)).tokens
        tokens = tokens.unflatten(0, (len(pixel_values), -1))
        if config.class_token and not config.keep_class:
            tokens = torch.cat((torch.zeros_like(tokens[:, :1]), tokens), dim=1)
        layers = config.layers or ()
        parts = tokens.chunk(max(len(layers), 1), dim=-1)
        states = dict(zip(layers, parts, strict=True)) if layers else {}
        states |= {layer - config.depth - 1: part for layer, part in states.items()}
        return BaseModelOutputWithPooling(last_hidden_state=tokens, hidden_states=states)


@pytest.fixture(params=MODELS)
def model(request):
    kind, config = MODELS[request.param]
    name = "IdeficsForVisionText2Text" if kind == "Idefics" else f"{kind}ForConditionalGeneration"
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**config)
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def images(picture):
    rng = np.random.default_rng(0)
    return [picture(rng, 40, 90), picture(rng, 75, 60)]


@pytest.fixture
def processor(model):
    """The stock image processor."""
    kind, options = PROCESSORS[model.config.model_type]
    if "pinpoints" in str(model.config):
        options = options | {"image_grid_pinpoints": PINPOINTS}
    return getattr(transformers, f"{kind}ImageProcessor")(**options)


@pytest.fixture
def inputs(model, processor, images):
    """Two pictures through the stock image processor, and as many placeholders as they become."""
    family = model.config.model_type
    if family == "idefics":
        pixels = processor(images, return_tensors="pt")
        ids = torch.arange(1, 9).repeat(1, 1)
        mask = torch.ones(1, 8, 2, dtype=torch.int64)
        mask[0, 3] = 0
        return {
            "input_ids": ids,
            "pixel_values": pixels[None] if pixels.ndim == 4 else pixels,
            "image_attention_mask": mask,
        }
    batch = dict(processor(images, return_tensors="pt"))
    batch.pop("num_patches", None)
    batch.pop("batch_num_images", None)
    if family == "blip-2":
        ids = torch.tensor([[*[IMAGE] * 5, 1, 2, 3]] * 2)
    else:
        features = model.get_image_features(**batch).pooler_output
        count = sum(len(x.flatten(0, -2)) for x in features)
        ids = torch.tensor([[1, 2, *[IMAGE] * count, 3, 4]])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **batch}


@torch.inference_mode()
def test_logits_of_a_model_with_our_pixels_and_tower(tmp_path, model, processor, images, inputs):
    expected = model(**inputs).logits
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    pixels = ImageProcessor.from_pretrained(tmp_path)(images).pixel_values
    inputs["pixel_values"] = pixels.view_as(inputs["pixel_values"])
    tower = load_vision_tower(tmp_path)
    assert isinstance(tower, VitTower)
    inner = model if hasattr(model, "vision_model") else model.model
    name = "vision_model" if hasattr(inner, "vision_model") else "vision_tower"
    setattr(inner, name, InPlace(tower))
    result = model(**inputs).logits
    assert not torch.equal(result, expected)
    assert ((result - expected).abs().max() / expected.abs().max()).item() < 1e-5
    with torch.no_grad():
        tower.pos_embed.weight.normal_()
    assert not torch.allclose(model(**inputs).logits, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["CLIP", "Siglip", "InternVL", "Blip2"])
def test_a_checkpoint_of_a_vision_module_alone(tmp_path, kind):
    module = getattr(transformers, f"{kind}VisionModel")(
        getattr(transformers, f"{kind}VisionConfig")(hidden_size=48, **VISION)
    )
    module.save_pretrained(tmp_path)
    tower = load_vision_tower(tmp_path, torch.bfloat16)
    expected = VitTower.from_transformers(module).to(torch.bfloat16)
    assert tower.config == expected.config
    assert tower.dtype == torch.bfloat16
    for name, x in expected.state_dict().items():
        assert torch.equal(tower.state_dict()[name], x)


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_a_checkpoint_with_a_text_model_beside(tmp_path, kind):
    config = getattr(transformers, f"{kind}Config")(
        vision_config={"hidden_size": 48, **VISION}, text_config=TEXT
    )
    model = getattr(transformers, f"{kind}Model")(config)
    model.save_pretrained(tmp_path)
    tower = load_vision_tower(tmp_path)
    planes = torch.randn(2, 3, 28, 28)
    with torch.inference_mode():
        expected = model.vision_model(pixel_values=planes).last_hidden_state.flatten(0, 1)
        result = tower(planes_to_rows(planes, 7)).tokens
    assert ((result - expected).abs().max() / expected.abs().max()).item() < 1e-5
