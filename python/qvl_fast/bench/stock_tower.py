"""The vision towers of transformers, to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5VisionConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5VisionModel
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

if TYPE_CHECKING:
    from qvl_fast.config import TowerConfig


def stock_tower(config: TowerConfig, attention: str | None = None) -> Any:
    """The module of transformers that has a tower's shape, with random weights.

    Args:
        config: the shape.
        attention: ``attn_implementation`` of transformers, by default its own choice.
    """
    shape: dict[str, Any] = {
        "depth": config.depth,
        "num_heads": config.heads,
        "patch_size": config.patch_size,
        "temporal_patch_size": config.temporal_patch_size,
        "spatial_merge_size": config.merge_size,
        "rope_parameters": {"rope_type": "axial", "rope_theta": config.rope_theta},
    }
    if attention is not None:
        shape["attn_implementation"] = attention
    if config.window_size is None and config.position_table_side is None:
        shape |= {
            "embed_dim": config.width,
            "mlp_ratio": config.mlp_width // config.width,
            "hidden_size": config.out_width,
        }
        return Qwen2VisionTransformerPretrainedModel(Qwen2VLVisionConfig(**shape))
    shape |= {
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "out_hidden_size": config.out_width,
    }
    if config.position_table_side is None:
        shape |= {
            "window_size": config.window_size,
            "fullatt_block_indexes": config.full_attention_blocks,
        }
        return Qwen2_5_VisionTransformerPretrainedModel(Qwen2_5_VLVisionConfig(**shape))
    shape["num_position_embeddings"] = config.position_table_side**2
    if not config.deepstack_blocks:
        return Qwen3_5VisionModel(Qwen3_5VisionConfig(**shape))
    shape["deepstack_visual_indexes"] = config.deepstack_blocks
    return Qwen3VLVisionModel(Qwen3VLVisionConfig(**shape))
