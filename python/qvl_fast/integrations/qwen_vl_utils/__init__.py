"""The functions of ``qwen_vl_utils`` 0.0.14, several times faster and with limits.

Same parameters, defaults and results, bit for bit; ``exif=`` and ``fetch=`` are added by name.
:func:`install` puts them into that package, so that programs that use it need no change.
"""

from qvl_fast._input.fetch import Fetcher
from qvl_fast.integrations.qwen_vl_utils.conversation import process_vision_info
from qvl_fast.integrations.qwen_vl_utils.image import fetch_image
from qvl_fast.integrations.qwen_vl_utils.installation import install, uninstall
from qvl_fast.integrations.qwen_vl_utils.sizes import smart_resize
from qvl_fast.integrations.qwen_vl_utils.video import fetch_video

__all__ = [
    "Fetcher",
    "fetch_image",
    "fetch_video",
    "install",
    "process_vision_info",
    "smart_resize",
    "uninstall",
]
