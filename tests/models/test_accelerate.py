"""Our towers inside loaded models: what they compute there, and that the models stay themselves."""

import copy
import io
import subprocess
import sys

import pytest
import torch
from accelerate import cpu_offload, dispatch_model
from accelerate.hooks import remove_hook_from_module
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import warning_once

from qvl_fast.integrations.transformers import accelerate, loaded_models
from qvl_fast.models import Visual

FAMILIES = ("qwen2-vl-tiny", "qwen2.5-vl-tiny", "qwen3-vl-tiny", "qwen3.5-tiny")
# The layers of attention in the text of all, and in the tower of all.
TEXT_LAYERS, VISION_LAYERS = ["q_proj", "in_proj_qkv"], ["qkv"]
# Of PEFT, which asks models by the old name.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def model(family, make_model):
    return make_model(family)


@pytest.fixture
def inputs(family, make_inputs):
    return make_inputs(family)


@pytest.fixture(autouse=True)
def reasons(monkeypatch):
    """Why calls were not accelerated, in the order in which it was logged."""
    logged = []
    logger = sys.modules["qvl_fast.integrations.transformers.loaded_models"]._LOGGER
    monkeypatch.setattr(logger, "warning", lambda message, *_, **__: logged.append(message))
    warning_once.cache_clear()
    return logged


@torch.inference_mode()
def logits(model, inputs, **options):
    return model(**inputs, **options).logits


def scaled_error(result, expected):
    """The largest difference, in shares of the largest value."""
    return ((result - expected).abs().max() / expected.abs().max()).item()


def assert_ours(model, inputs, expected):
    """The logits are the tower's: right, and not the stock module's bits."""
    result = logits(model, inputs)
    assert scaled_error(result, expected) < 1e-5
    assert not torch.equal(result, expected)


# -------------------------------------------------------------------------------- what they compute


def test_logits_and_tokens(model, inputs, reasons):
    expected = logits(model, inputs)
    tokens = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    accelerate(model)
    assert_ours(model, inputs, expected)
    assert torch.equal(model.generate(**inputs, max_new_tokens=8, do_sample=False), tokens)
    assert not reasons


def test_losses_and_gradients(model, inputs, relative_error):
    """With activations checkpointed too, as transformers switches it on."""
    stock = copy.deepcopy(model)
    accelerate(model)
    for checkpointing in (False, True):
        results = []
        for one in (stock, model):
            one.train().zero_grad()
            if checkpointing:
                one.activation_checkpointing_enable()
            loss = one(**inputs, labels=inputs["input_ids"], num_items_in_batch=10).loss
            loss.backward()
            results.append((loss.item(), {n: p.grad for n, p in one.named_parameters()}))
        (stock_loss, expected), (loss, gradients) = results
        assert loss == pytest.approx(stock_loss, rel=1e-5)
        assert gradients.keys() == expected.keys()
        for name, gradient in expected.items():
            assert (gradient is None) == (gradients[name] is None)
            if gradient is not None and gradient.norm() > 1e-4:
                assert relative_error(gradients[name], gradient) < 1e-4, name
    visual = model.model.visual.__dict__["_qvl_fast_visual"]
    assert visual.tower.gradient_checkpointing


def test_rows_of_several_samples_stacked(model, family, inputs):
    """Collate functions stack rows of one size, and stock modules flatten them."""
    visual, rows = model.model.visual, inputs["pixel_values"][:48]
    grids = torch.tensor([[1, 4, 6], [1, 4, 6]])
    expected = visual(rows.unflatten(0, (2, 24)), grids).pooler_output
    accelerate(model)
    result = visual(rows.unflatten(0, (2, 24)), grids).pooler_output
    assert scaled_error(result, expected) < 1e-5


def test_plans_that_a_caller_has_made(model, family, inputs):
    """A model that is accelerated takes them as before."""
    import qvl_fast

    config = model.model.visual.config
    plans = {}
    for prefix, grids in (("image_", "image_grid_thw"), ("video_", "video_grid_thw")):
        tower = qvl_fast.TowerConfig.from_dict(
            config.to_dict(), config.model_type.removesuffix("_vision")
        )
        plans |= qvl_fast.plan(inputs[grids], tower).as_transformers_kwargs(prefix)
    expected = logits(model, inputs, **plans)
    accelerate(model)
    assert scaled_error(logits(model, inputs, **plans), expected) < 1e-5


def test_a_compiled_model(make_model, make_inputs, reasons):
    model, inputs = make_model("qwen2-vl-tiny"), make_inputs("qwen2-vl-tiny")
    accelerate(model)
    expected = logits(model, inputs)
    model.model.visual.compile(backend="eager")
    assert torch.equal(logits(model, inputs), expected)
    assert not reasons


# ------------------------------------------------------------------------- models stay themselves


def test_undo_restores_bits_and_types(model, inputs):
    expected, visual = logits(model, inputs), model.model.visual
    attributes, stock = set(vars(visual)), type(visual)
    handle = accelerate(model)
    assert type(visual) is not stock
    assert str(type(visual)) == str(stock)
    assert isinstance(visual, stock)
    logits(model, inputs)
    handle.undo()
    assert type(visual) is stock
    assert set(vars(visual)) == attributes
    assert torch.equal(logits(model, inputs), expected)
    handle.undo()
    assert type(visual) is stock


def test_weights_are_shared_and_keep_their_names(model, inputs):
    before = dict(model.named_parameters())
    modules = [name for name, _ in model.named_modules()]
    keys = list(model.state_dict())
    model.model.visual.merger.requires_grad_(False)
    frozen = {name for name, parameter in before.items() if not parameter.requires_grad}
    accelerate(model)
    after = dict(model.named_parameters())
    assert list(model.state_dict()) == keys
    assert [name for name, _ in model.named_modules()] == modules
    assert all(after[name] is parameter for name, parameter in before.items())
    assert {name for name, parameter in after.items() if not parameter.requires_grad} == frozen
    with torch.no_grad():
        for parameter in model.model.visual.parameters():
            parameter.mul_(0.5)
    result = logits(model, inputs)
    accelerate(model).undo()
    assert scaled_error(result, logits(model, inputs)) < 1e-5


def test_copies_and_pickles_share_among_themselves(model, inputs):
    expected = logits(model, inputs)
    accelerate(model)
    ours = logits(model, inputs)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(model), torch.load(buffer, weights_only=False)):
        assert torch.equal(logits(twin, inputs), ours)
        accelerate(twin)
        assert torch.equal(logits(twin, inputs), ours)
        with torch.no_grad():
            twin.model.visual.patch_embed.proj.weight.zero_()
        assert scaled_error(logits(twin, inputs), ours) > 1e-4
        assert torch.equal(logits(model, inputs), ours)
        accelerate(twin).undo()
        twin.load_state_dict(model.state_dict())
        assert torch.equal(logits(twin, inputs), expected)


def test_a_pickle_in_a_process_that_has_accelerated_nothing(tmp_path, make_model, make_inputs):
    model, inputs = make_model("qwen2-vl-tiny"), make_inputs("qwen2-vl-tiny")
    accelerate(model)
    torch.save((model, inputs, logits(model, inputs)), tmp_path / "model.pt")
    program = """
import sys, torch
torch.set_num_threads(1)
model, inputs, expected = torch.load(sys.argv[1], weights_only=False)
with torch.inference_mode():
    assert torch.equal(model(**inputs).logits, expected)
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "model.pt"], check=True)


def test_saved_files_are_those_of_stock(tmp_path, model):
    model.save_pretrained(tmp_path / "stock")
    accelerate(model)
    model.save_pretrained(tmp_path / "ours")
    files = sorted(file.name for file in (tmp_path / "stock").iterdir())
    assert sorted(file.name for file in (tmp_path / "ours").iterdir()) == files
    for file in files:
        assert (tmp_path / "ours" / file).read_bytes() == (tmp_path / "stock" / file).read_bytes()


def test_casts(model, inputs, reasons):
    accelerate(model)
    double = {key: x.double() if x.is_floating_point() else x for key, x in inputs.items()}
    ours = logits(model.double(), double)
    accelerate(model).undo()
    assert ours.dtype == torch.float64
    # Not closer: rotary angles are float32 in the stock module.
    assert scaled_error(ours, logits(model, double)) < 1e-6
    assert not reasons


# ------------------------------------------------------------------------------ stock's own forward


def test_hidden_states(model, inputs, reasons):
    expected = model(**inputs, output_hidden_states=True)
    accelerate(model)
    result = model(**inputs, output_hidden_states=True)
    assert torch.equal(result.logits, expected.logits)
    assert "output_hidden_states asked for" in reasons[0]
    assert len(result.hidden_states) == len(expected.hidden_states)
    visual, call = model.model.visual, (inputs["pixel_values"], inputs["image_grid_thw"])
    assert len(visual(*call, output_hidden_states=True).hidden_states) > 1
    # Transformers leaves its hooks in place; they are no reason.
    assert_ours(model, inputs, expected.logits)
    assert len(reasons) == 1


def test_tuples(model, inputs, reasons):
    """A model's are ours; the vision module's own are the stock module's."""
    expected = logits(model, inputs)
    visual, call = model.model.visual, (inputs["pixel_values"], inputs["image_grid_thw"])
    stock = visual(*call, return_dict=False)
    accelerate(model)
    with torch.inference_mode():
        assert scaled_error(model(**inputs, return_dict=False)[0], expected) < 1e-5
    assert not reasons
    ours = visual(*call, return_dict=False)
    assert all(torch.equal(x, y) for x, y in zip(ours[:2], stock[:2], strict=True))
    assert "return_dict=False asked for" in reasons[0]


def test_hooks_inside_the_module(model, inputs, reasons):
    """They would wait in vain."""
    expected, seen = logits(model, inputs), []
    accelerate(model)
    block = model.model.visual.blocks[1]
    hook = block.register_forward_hook(lambda *_: seen.append(1))
    assert torch.equal(logits(model, inputs), expected)
    assert seen
    assert "hooks wait in blocks.1" in reasons[0]
    hook.remove()
    assert_ours(model, inputs, expected)


def test_parameters_that_are_replaced(model, inputs, reasons):
    expected = logits(model, inputs)
    accelerate(model)
    changed = {name: 0.5 * x for name, x in model.model.visual.state_dict().items()}
    model.model.visual.load_state_dict(changed, assign=True)
    result = logits(model, inputs)
    assert scaled_error(result, expected) > 1e-4
    assert "parameters have been replaced" in reasons[0]
    accelerate(model)
    assert_ours(model, inputs, result)


# -------------------------------------------------------------------------------------- adapters


def adapted(model, layers):
    """With adapters whose part is not zero."""
    torch.manual_seed(1)
    result = get_peft_model(model, LoraConfig(target_modules=layers, init_lora_weights=False))
    return result.eval()


def test_adapters_on_the_language_model(model, inputs, reasons):
    stock = adapted(copy.deepcopy(model), TEXT_LAYERS)
    expected = logits(stock, inputs)
    accelerate(model)
    assert_ours(adapted(model, TEXT_LAYERS), inputs, expected)
    handle = accelerate(stock)
    assert_ours(stock, inputs, expected)
    handle.undo()
    assert torch.equal(logits(stock, inputs), expected)
    assert not reasons


def test_adapters_on_the_language_model_with_checkpointing(model, inputs, reasons):
    """Transformers puts a hook into the vision module for them."""
    accelerate(model)
    model.train().activation_checkpointing_enable({"use_reentrant": True})
    model.enable_input_require_grads()
    ours = get_peft_model(model, LoraConfig(target_modules=TEXT_LAYERS)).train()
    ours(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in ours.parameters())
    assert not reasons


def test_adapters_inside_the_tower(model, inputs, reasons):
    stock = adapted(copy.deepcopy(model), VISION_LAYERS)
    expected = logits(stock, inputs)
    accelerate(model)
    assert torch.equal(logits(adapted(model, VISION_LAYERS), inputs), expected)
    assert "parameters have been replaced" in reasons[0]
    with pytest.raises(ValueError, match=r"layers have been replaced: blocks\.0\.attn\.qkv is a "):
        accelerate(stock)
    accelerate(stock.merge_and_unload())


# ------------------------------------------------------------------------ the hooks of accelerate


def test_a_model_in_several_parts(model, inputs):
    """Its hooks keep `forward` on the modules themselves."""
    expected = logits(model, inputs)
    parts = {"model.visual": "cpu", "model.language_model": "cpu", "lm_head": "cpu"}
    dispatch_model(model, parts, force_hooks=True)
    assert "_old_forward" in vars(model.model.visual)
    handle = accelerate(model)
    assert_ours(model, inputs, expected)
    handle.undo()
    assert torch.equal(logits(model, inputs), expected)
    accelerate(model)
    remove_hook_from_module(model, recurse=True)
    assert_ours(model, inputs, expected)
    accelerate(model).undo()
    assert torch.equal(logits(model, inputs), expected)


def test_a_model_that_is_dispatched_afterwards(model, inputs):
    expected = logits(model, inputs)
    handle = accelerate(model)
    parts = {"model.visual": "cpu", "model.language_model": "cpu", "lm_head": "cpu"}
    dispatch_model(model, parts, force_hooks=True)
    assert_ours(model, inputs, expected)
    handle.undo()
    assert torch.equal(logits(model, inputs), expected)


# -------------------------------------------------------------------------------------- refusals


def test_models_without_a_known_vision_module():
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    model = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=1, vocab_size=8))
    with pytest.raises(ValueError, match=r"of qwen2_5_vl, .*, and this LlamaForCausalLM holds no"):
        accelerate(model)


def test_parameters_on_the_meta_device(make_model):
    model = make_model("qwen2-vl-tiny")
    cpu_offload(model, torch.device("cpu"))
    with pytest.raises(ValueError, match=r"on the meta device, patch_embed\.proj\.weight of its"):
        accelerate(model)


def test_quantized_parameters(make_model):
    model = make_model("qwen2-vl-tiny")
    layer = model.model.visual.merger.mlp[0]
    layer.weight = torch.nn.Parameter(layer.weight.data.to(torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match=r"merger\.mlp\.0\.weight of its .* of torch\.int8"):
        accelerate(model)


def test_a_forward_that_has_been_replaced(make_model):
    model = make_model("qwen2-vl-tiny")
    model.model.visual.forward = lambda *_, **__: None
    with pytest.raises(ValueError, match="whose forward has been replaced by <function"):
        accelerate(model)


def test_what_is_refused_stays_as_it_was(make_model):
    """Though another vision module beside it could have been accelerated."""
    good, bad = make_model("qwen2-vl-tiny"), make_model("qwen3-vl-tiny").to("meta")
    stock = type(good.model.visual)
    with pytest.raises(ValueError, match="on the meta device"):
        accelerate(torch.nn.ModuleList([good, bad]))
    assert type(good.model.visual) is stock


def test_a_folded_tower_leaves_nothing_behind(make_model, make_inputs):
    name = "qwen3-vl-tiny"
    model, inputs = make_model(name), make_inputs(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        stock, handle = model(**inputs).logits, accelerate(model)
        ours = model(**inputs).logits
        tower = vars(model.model.visual)[loaded_models._VISUAL].tower
        tower.fold_normalization("qwen3-vl")
        with pytest.raises(TypeError, match="takes uint8 pixels since fold_normalization"):
            model(**inputs)
        again = accelerate(model)
        assert torch.equal(model(**inputs).logits, ours)
        again.undo()
        handle.undo()
        assert torch.equal(model(**inputs).logits, stock)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    model.model.visual = Visual(tower)
    assert model.state_dict().keys() == before.keys()
    with pytest.raises(ValueError, match="holds a tower of ours already"):
        accelerate(model)
