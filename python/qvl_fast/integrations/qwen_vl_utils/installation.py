"""Our functions in place of those of ``qwen_vl_utils``, also for code that imported them earlier.

A name that was imported is bound to the function object, so that object has to stay: its code is
exchanged for code that calls ours. Signature, defaults and identity stay as they are.
"""

from __future__ import annotations

from types import CodeType, FunctionType, ModuleType
from typing import Any

from qvl_fast.integrations.qwen_vl_utils.conversation import process_vision_info
from qvl_fast.integrations.qwen_vl_utils.image import FETCH, Fetch, fetch_image
from qvl_fast.integrations.qwen_vl_utils.sizes import smart_resize
from qvl_fast.integrations.qwen_vl_utils.video import fetch_video

_FUNCTIONS = {
    "fetch_image": fetch_image,
    "fetch_video": fetch_video,
    "process_vision_info": process_vision_info,
    "smart_resize": smart_resize,
}
# What was there before, by name; empty while nothing is installed.
_stock: dict[str, CodeType] = {}
# The arguments that only ours take, while installed.
_options: dict[str, Any] = {}


def install(*, exif: bool = False, fetch: Fetch = FETCH) -> None:
    """Make the functions of ``qwen_vl_utils`` call ours, wherever they are used.

    Code that imported them earlier also gets ours. Installing again changes the options.

    Args:
        exif: whether files are turned upright by their EXIF orientation, which theirs are not.
        fetch: finds what a text names; by default a :class:`Fetcher`, which has limits.

    Raises:
        ImportError: ``qwen_vl_utils`` is not installed, or has other functions than version 0.0.14.
    """
    module = _module()
    functions = {name: _function(module, name) for name in _FUNCTIONS}
    _options.update(exif=exif, fetch=fetch)
    for name, function in functions.items():
        if function.__code__ is not _TRAMPOLINES[name]:
            _stock[name] = function.__code__
            function.__code__ = _TRAMPOLINES[name]


def uninstall() -> None:
    """Undo :func:`install`; a function that somebody else has changed since stays as it is."""
    while _stock:
        name, code = _stock.popitem()
        function = getattr(_module(), name)
        if function.__code__ is _TRAMPOLINES[name]:
            function.__code__ = code


def call_installed(name: str, *arguments: Any) -> Any:
    """What a function of theirs does while ours are installed."""
    if name == "smart_resize":
        return smart_resize(*arguments)
    return _FUNCTIONS[name](*arguments, **_options)


def _module() -> ModuleType:
    from qwen_vl_utils import vision_process

    return vision_process


def _function(module: ModuleType, name: str) -> FunctionType:
    function = getattr(module, name, None)
    trampoline = _TRAMPOLINES[name]
    if (
        not isinstance(function, FunctionType)
        or function.__code__.co_freevars
        or _parameters(function.__code__) != _parameters(trampoline)
    ):
        parameters = ", ".join(_parameters(trampoline))
        raise ImportError(
            f"{name} of qwen_vl_utils must be a function of ({parameters}), as in 0.0.14, got "
            f"{function!r:.80}"
        )
    return function


def _parameters(code: CodeType) -> tuple[str, ...]:
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


# Their code runs among the globals of the module that it replaces code of: it imports what it uses.
# The parameters are those of 0.0.14, whose defaults stay with the functions.


def _fetch_image(ele: Any, image_patch_size: Any) -> Any:
    from qvl_fast.integrations.qwen_vl_utils.installation import call_installed

    return call_installed("fetch_image", ele, image_patch_size)


def _fetch_video(
    ele: Any, image_patch_size: Any, return_video_sample_fps: Any, return_video_metadata: Any
) -> Any:
    from qvl_fast.integrations.qwen_vl_utils.installation import call_installed

    return call_installed(
        "fetch_video", ele, image_patch_size, return_video_sample_fps, return_video_metadata
    )


def _process_vision_info(
    conversations: Any,
    return_video_kwargs: Any,
    return_video_metadata: Any,
    image_patch_size: Any,
) -> Any:
    from qvl_fast.integrations.qwen_vl_utils.installation import call_installed

    return call_installed(
        "process_vision_info",
        conversations,
        return_video_kwargs,
        return_video_metadata,
        image_patch_size,
    )


def _smart_resize(height: Any, width: Any, factor: Any, min_pixels: Any, max_pixels: Any) -> Any:
    from qvl_fast.integrations.qwen_vl_utils.installation import call_installed

    return call_installed("smart_resize", height, width, factor, min_pixels, max_pixels)


_TRAMPOLINES = {
    "fetch_image": _fetch_image.__code__,
    "fetch_video": _fetch_video.__code__,
    "process_vision_info": _process_vision_info.__code__,
    "smart_resize": _smart_resize.__code__,
}
