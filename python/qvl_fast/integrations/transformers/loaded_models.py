"""Our towers inside models of transformers that are loaded already.

The vision module stays where it is, with its parameters; only its class changes, to a subclass
whose ``forward`` asks a tower over the same parameters. State dicts, copies, pickles, casts and
adapters therefore see the module that they know.
"""

from __future__ import annotations

from functools import cache
from itertools import zip_longest
from types import MethodType
from typing import TYPE_CHECKING, Any, SupportsIndex

import torch
from torch import Tensor, nn
from transformers.utils import logging

from qvl_fast.config.checks import listed
from qvl_fast.models.loading import TOWER_CLASSES
from qvl_fast.models.visual import Visual

if TYPE_CHECKING:
    from qvl_fast.models.attention import Choice
    from qvl_fast.models.tower import VisionTower

_LOGGER: Any = logging.get_logger(__name__)

# The vision modules whose place a tower can take, and the `model_type` of their models.
_MODULES = {
    "Qwen2VisionTransformerPretrainedModel": "qwen2_vl",
    "Qwen2_5_VisionTransformerPretrainedModel": "qwen2_5_vl",
    "Qwen3VLVisionModel": "qwen3_vl",
    "Qwen3VLMoeVisionModel": "qwen3_vl_moe",
    "Qwen3_5VisionModel": "qwen3_5",
    "Qwen3_5MoeVisionModel": "qwen3_5_moe",
    "Qwen4ExpVisionModel": "qwen4_exp",
}

# Where a module keeps what computes in its place: in its `__dict__`, past nn.Module, which would
# make a submodule of it and give the weights a second name.
_VISUAL = "_qvl_fast_visual"

# Where the hooks of accelerate (the library), which several parts of a device_map have, keep the
# `forward` of a module's class: past the class.
_BOUND = ("forward", "_old_forward")

# What a caller may ask of a stock module that towers do not have.
_STOCK_ONLY = ("output_hidden_states", "output_attentions", "is_causal", "debug_io")


def accelerate(model: nn.Module, *, attention: Choice = "auto") -> Accelerated:
    """Let our tower compute what the vision module of a loaded model computes.

    For example::

        handle = accelerate(model)
        model.generate(**inputs)
        handle.undo()

    The tower has the module's own parameters, and plans from ``grid_thw``. A call that it cannot
    serve goes to the stock module, and the reason is logged once: where hidden states or attentions
    are asked for, parameters have been replaced (adapters inside the vision module, sharding), or
    there are hooks inside the module.

    Args:
        model: a model of Qwen2-VL, Qwen2.5-VL, Qwen3-VL or Qwen3.5 of transformers, or a module
            that holds one, as PEFT's do. If it is accelerated already, as copies and unpickled
            models are, the tower is made anew.
        attention: as for :class:`~qvl_fast.models.VisionTower`.

    Returns:
        A handle, whose ``undo()`` restores the model.

    Raises:
        ValueError: there is no vision module that a tower could stand in for, or it has adapters,
            parameters that are on the meta device, quantized or sharded, or another ``forward``.
    """
    found = [module for module in model.modules() if _model_type(module)]
    if not found:
        has_tower = any(isinstance(module, Visual) for module in model.modules())
        raise ValueError(
            f"model must hold a vision module of {listed(_MODULES.values())}, and this "
            f"{type(model).__name__} holds {'a tower of ours already' if has_tower else 'none'}"
        )
    # All towers before the first change: if one is refused, nothing has happened.
    visuals = [Visual(_tower(module, attention)) for module in found]
    for module, visual in zip(found, visuals, strict=True):
        _become(module, _accelerated(_stock_class(module)))
        module.__dict__[_VISUAL] = visual
    return Accelerated(found)


class Accelerated:
    """What :func:`accelerate` has changed.

    Args:
        modules: the vision modules whose class is now another.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modules = modules

    def undo(self) -> None:
        """Make the modules what they were. Undoing twice does no harm."""
        for module in self._modules:
            _become(module, _stock_class(module))
            module.__dict__.pop(_VISUAL, None)

    def __repr__(self) -> str:
        state = "on" if any(_VISUAL in module.__dict__ for module in self._modules) else "undone"
        return f"Accelerated({listed(type(m).__name__ for m in self._modules)}; {state})"


def _forward(module: Any, hidden_states: Tensor, grid_thw: Tensor, **kwargs: Any) -> Any:
    """The ``forward`` of accelerated modules: rows to what the stock module returns.

    Args:
        module: the accelerated one.
        hidden_states: rows ``(..., 3 * t * p * p)``.
        grid_thw: integers ``(n, 3)``; on a GPU they are waited for, as the stock modules do.
        **kwargs: a plan, of which the tower makes its own, and what else models hand on.
    """
    visual: Visual = module.__dict__[_VISUAL]
    if reason := _obstacle(module, visual, kwargs):
        stock = _stock_class(module)
        _LOGGER.warning_once(f"{stock.__name__} is not accelerated: {reason}")
        return stock.forward(module, hidden_states, grid_thw=grid_thw, **kwargs)
    visual.gradient_checkpointing = module.gradient_checkpointing and module.training
    return visual(hidden_states.flatten(0, -2), grid_thw)


@cache
def _accelerated(stock: Any) -> Any:
    """The class of accelerated modules. It differs from the stock class in what stands here.

    Transformers knows what a class can record, and whether its attention can be chosen, by the
    class's module and name.
    """
    members = {
        "__module__": stock.__module__,
        # Not compiled: plans are made outside of torch, from the values of grids.
        "forward": torch.compiler.disable(_forward),
        "__reduce_ex__": _reduced,
    }
    return type(stock.__name__, (stock,), members)


def _reduced(module: Any, protocol: SupportsIndex) -> tuple[Any, ...]:
    """How modules are copied and pickled: by their stock class, which every process can find."""
    _, _, state, *_ = object.__reduce_ex__(module, protocol)
    return _blank, (_stock_class(module),), state


def _blank(stock: Any) -> Any:
    kind = _accelerated(stock)
    return kind.__new__(kind)


def _stock_class(module: Any) -> Any:
    kind = module.__class__
    return kind.__base__ if _VISUAL in module.__dict__ else kind


def _model_type(module: nn.Module) -> str | None:
    """The ``model_type`` of a vision module, stock or accelerated; None for any other."""
    kind = type(module)
    model_type = _MODULES.get(kind.__name__)
    home = f"transformers.models.{model_type}.modeling_{model_type}"
    return model_type if kind.__module__ == home else None


def _tower(module: Any, attention: Choice) -> VisionTower:
    """A tower over the parameters of a vision module.

    Raises:
        ValueError: one cannot be; see :func:`accelerate`.
    """
    kind = type(module).__name__
    for name, parameter in module.named_parameters():
        if parameter.is_meta:
            raise ValueError(
                f"model has parameters on the meta device, {name} of its {kind} among them; load "
                "it with a device_map that leaves the vision module in memory"
            )
        if type(parameter) is not nn.Parameter or not parameter.is_floating_point():
            raise ValueError(
                f"model has parameters that are no plain numbers: {name} of its {kind} is a "
                f"{type(parameter).__name__} of {parameter.dtype}; leave the vision module out of "
                "what is quantized or sharded"
            )
    devices = {str(parameter.device) for parameter in module.parameters()}
    if len(devices) > 1:
        raise ValueError(
            f"model has its {kind} on several devices ({listed(devices)}); load it with a "
            "device_map that leaves the vision module whole"
        )
    own: dict[str, Any] = module.__dict__
    bound = [own[name] for name in _BOUND if name in own]
    if bound and not any(_is_forward(method, module.__class__) for method in bound):
        raise ValueError(f"model has a {kind} whose forward has been replaced by {bound[0]!r:.80}")
    for name, part in module.named_modules():
        origin = type(part).__module__
        if name and not origin.startswith(("torch.nn.", "transformers.")):
            raise ValueError(
                f"model has a {kind} whose layers have been replaced: {name} is a "
                f"{origin}.{type(part).__name__}; merge adapters first, or accelerate the model "
                "before they are put in"
            )
    return TOWER_CLASSES[_MODULES[kind]].from_transformers(module, attention=attention, share=True)


def _become(module: Any, kind: Any) -> None:
    """Change a module's class, and the bound ``forward`` of it that the module itself may have."""
    before = module.__class__
    module.__class__ = kind
    own: dict[str, Any] = module.__dict__
    for name in _BOUND:
        if _is_forward(own.get(name), before):
            own[name] = MethodType(kind.forward, module)


def _is_forward(method: object, kind: Any) -> bool:
    return getattr(method, "__func__", None) is kind.forward


def _obstacle(module: Any, visual: Visual, kwargs: dict[str, Any]) -> str | None:
    """Why a call has to be the stock module's, if it has to."""
    asked = [name for name in _STOCK_ONLY if kwargs.get(name, getattr(module.config, name, None))]
    if kwargs.get("return_dict", getattr(module.config, "return_dict", True)) is False:
        asked.append("return_dict=False")
    if asked:
        return f"{listed(asked)} asked for"
    pairs = zip_longest(module.parameters(), visual.parameters())
    if not all(ours is theirs for ours, theirs in pairs):
        return "its parameters have been replaced, by adapters, sharding or a state dict"
    for name, part in module.named_modules():
        if name and _has_hooks(part):
            return f"hooks wait in {name}"
    return None


def _has_hooks(module: Any) -> bool:
    """Whether something waits for calls of a module.

    Hooks of transformers do not count: they collect what was not asked for, or make activations
    need gradients for the sake of another kind of checkpointing than the tower's.
    """
    hooks: list[Any] = [
        *module._forward_hooks.values(),
        *module._forward_pre_hooks.values(),
        *module._backward_hooks.values(),
    ]
    return any(not getattr(hook, "__module__", "").startswith("transformers.") for hook in hooks)
