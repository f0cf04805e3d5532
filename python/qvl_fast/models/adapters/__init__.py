"""What stands between a vision tower and a language model, family by family.

The modules::

    projector   MLPs of LLaVA and InternVL, and InternVL's blocks of patches
    anyres      tiles of one image put together: LLaVA-NeXT, LLaVA-OneVision
    qformer     BLIP-2
    perceiver   Flamingo and Idefics, into a fixed number of latents
    gated       their layers between those of the language model
    pool        Qwen-VL, into a fixed number of queries

Parameters have the names of the stock modules, so that their state dicts load; those of the
Q-Former, which nests them deeply, by :meth:`QFormer.from_transformers`.
"""

from qvl_fast.models.adapters.anyres import pack_anyres
from qvl_fast.models.adapters.gated import GatedCrossAttention
from qvl_fast.models.adapters.perceiver import PerceiverResampler
from qvl_fast.models.adapters.pool import AttentionPool
from qvl_fast.models.adapters.projector import MlpProjector, merge_blocks
from qvl_fast.models.adapters.qformer import QFormer

__all__ = [
    "AttentionPool",
    "GatedCrossAttention",
    "MlpProjector",
    "PerceiverResampler",
    "QFormer",
    "merge_blocks",
    "pack_anyres",
]
