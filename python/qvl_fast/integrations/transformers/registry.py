"""The drop-ins, where the Auto classes of transformers look for processors.

The Auto classes find a processor by the name of its class, which a checkpoint's JSON holds: in the
dicts that have been registered for any model, in order, and then in the built-in ones. Only where
the JSON has no name do they go by the model. So the drop-ins are registered for every model whose
processor has that name, and in every dict that others have registered with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import transformers
from transformers.models.auto import image_processing_auto, video_processing_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from qvl_fast.config.checks import check_choice
from qvl_fast.environment import DevicePolicy
from qvl_fast.integrations.transformers import image, video
from qvl_fast.integrations.transformers.image import Qwen2VLImageProcessor
from qvl_fast.integrations.transformers.stock import Steps, check_steps, set_device_policy
from qvl_fast.integrations.transformers.video import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

if TYPE_CHECKING:
    from collections.abc import Mapping

_DROP_INS: Mapping[type, Steps] = {
    Qwen2VLImageProcessor: image.STEPS,
    Qwen2VLVideoProcessor: video.STEPS,
    Qwen3VLVideoProcessor: video.STEPS,
}

# What one asks for with `backend=`, and where the classes are that one gets without asking.
_BACKEND = "qvl_fast"
_DEFAULT_BACKEND = "torchvision"


def register(*, default: bool = False, device_policy: DevicePolicy | None = None) -> None:
    """Let the Auto classes of transformers hand out our processors.

    From then on ``AutoImageProcessor.from_pretrained(directory, backend="qvl_fast")`` and
    ``AutoVideoProcessor.from_pretrained(directory, backend="qvl_fast")`` return them, for every
    model whose processor is one of those that they stand in for. Assign them to the attributes
    ``image_processor`` and ``video_processor`` of a whole processor. Do not pass ``backend=`` to
    AutoProcessor: it reaches the tokenizer, which keeps and saves it.

    Code that a repository brings along, loaded with ``trust_remote_code=True``, takes precedence
    over ours as over that of transformers. Registering again replaces what was registered before.

    Args:
        default: whether they are handed out without ``backend=`` too, or with
            ``backend="torchvision"``, so that AutoProcessor and the programs that use it get them;
            ``backend="pil"`` and the stock classes' own ``from_pretrained`` stay as they are.
        device_policy: what a processor does when it is told to compute on a device other than the
            CPU. ``"stock"`` leaves such calls to transformers. ``"cpu-then-move"`` computes on the
            CPU and moves the rows: they then equal the CPU's bit for bit, whereas transformers
            resizes in floating point on a GPU. None, as in a process that has not called this,
            means ``QVL_FAST_DEVICE_POLICY`` of the environment, and ``"stock"`` without it.

    Raises:
        ValueError: an unknown policy.
        RuntimeError: the installed transformers computes in other steps than ours stand in for.
    """
    if device_policy is not None:
        check_choice("device_policy", device_policy, DevicePolicy)
    for drop_in, steps in _DROP_INS.items():
        check_steps(_stock(drop_in), steps)
    unregister()
    set_device_policy(device_policy)
    for registry in _REGISTRIES:
        for classes in registry.registered.values():
            registry.add(classes, default)
        for model_type, names in registry.names.items():
            if registry.stock_classes(names):
                config = CONFIG_MAPPING[model_type]
                if config not in registry.registered:
                    builtin = dict(registry.mapping[config])
                    registry.builtin[config] = builtin
                    classes = dict(builtin)
                    registry.add(classes, default)
                    registry.mapping.register(config, classes, exist_ok=True)


def unregister() -> None:
    """Remove our processors from the Auto classes, and nothing that others have registered.

    Processors that have been handed out stay what they are. Without an earlier :func:`register` it
    does nothing.
    """
    set_device_policy(None)
    for registry in _REGISTRIES:
        for config, classes in list(registry.registered.items()):
            registry.remove(classes)
            if classes == registry.builtin.pop(config, None):
                del registry.registered[config]


class _Registry(NamedTuple):
    """One of the Auto classes.

    Attributes:
        mapping: from configuration to classes by backend.
        names: the built-in ones by model type, as names.
        entries: from the stock class to what is registered beside it or in its place.
        builtin: for each configuration that had nothing registered, what was built in.
    """

    mapping: Any
    names: Mapping[str, Mapping[str, str | None]]
    entries: dict[type, type]
    builtin: dict[type, dict[str, Any]]

    @property
    def registered(self) -> dict[type, dict[str, Any]]:
        """Classes by backend for each configuration that somebody has registered some for."""
        return self.mapping._extra_content

    def stock_classes(self, classes: Mapping[str, Any]) -> list[type]:
        """Those whose names a dict has, be it as names or as those of classes."""
        found = {getattr(value, "__name__", value) for value in classes.values()}
        return [stock for stock in self.entries if stock.__name__ in found]

    def add(self, classes: dict[str, Any], default: bool) -> None:
        """Put ours beside the stock class of a dict, and in its place by default."""
        for stock in self.stock_classes(classes):
            classes[_BACKEND] = self.entries[stock]
            if default and classes.get(_DEFAULT_BACKEND) is stock:
                classes[_DEFAULT_BACKEND] = self.entries[stock]

    def remove(self, classes: dict[str, Any]) -> None:
        """Undo :meth:`add`."""
        stock_of = {ours: stock for stock, ours in self.entries.items()}
        for backend in [name for name, value in classes.items() if value in stock_of]:
            if backend == _BACKEND:
                del classes[backend]
            else:
                classes[backend] = stock_of[classes[backend]]


def _stock(drop_in: type) -> type:
    return getattr(transformers, drop_in.__name__)


def _registry(auto: Any, kind: str, *drop_ins: type) -> _Registry:
    entries: dict[type, type] = {}
    for drop_in in drop_ins:
        stock = _stock(drop_in)
        entries[stock] = _entry(stock, drop_in)
    mapping, names = (getattr(auto, f"{kind}_PROCESSOR_MAPPING{end}") for end in ("", "_NAMES"))
    return _Registry(mapping, names, entries, {})


def _entry(stock: type, drop_in: type) -> type:
    """A class to register, which makes instances of the drop-in.

    The Auto classes prefer a class from outside transformers to the code of a repository, so what
    is registered says that it is stock's. The drop-in itself cannot say so: its instances pickle by
    the name of its module.
    """

    def make(_: type, *args: Any, **kwargs: Any) -> Any:
        return drop_in(*args, **kwargs)

    return type(stock.__name__, (drop_in,), {"__module__": stock.__module__, "__new__": make})


_REGISTRIES = (
    _registry(image_processing_auto, "IMAGE", Qwen2VLImageProcessor),
    _registry(video_processing_auto, "VIDEO", Qwen2VLVideoProcessor, Qwen3VLVideoProcessor),
)
