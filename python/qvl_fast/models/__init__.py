"""Vision towers: PyTorch modules that turn patch rows and their plan into tokens.

For example::

    tower = qvl_fast.models.load_vision_tower(directory, torch.bfloat16, "cuda")
    tokens = tower(rows, qvl_fast.plan(grid_thw, tower.config).to("cuda")).tokens

Needs torch, which the package alone does not import. The modules in the order in which rows pass
through them::

    base       what all towers share: options, weights from elsewhere
    tower      what the generations share: the plan
    layout     the order in which a tower keeps its rows, and who attends to whom
    layers     patch embedding, blocks, merger; gated_mlp, that of Qwen2.5-VL
    attention  one function and its kernels; rotary and rotary_kernel before it
    qwen2, qwen2_5, qwen3   the generations
    vit        the vision transformer of the other families; vit_names, its checkpoints' names
    adapters   between such a tower and a language model
    qwen       the first Qwen-VL, made of both
    loading    from a checkpoint directory
    visual     in the place of a transformers model's vision module
"""

from qvl_fast.models import adapters
from qvl_fast.models.loading import load_vision_tower
from qvl_fast.models.qwen import QwenVisionTower
from qvl_fast.models.qwen2 import Qwen2VisionTower
from qvl_fast.models.qwen2_5 import Qwen2_5VisionTower
from qvl_fast.models.qwen3 import Qwen3VisionTower
from qvl_fast.models.tower import TowerOutput, VisionTower
from qvl_fast.models.visual import Visual
from qvl_fast.models.vit import VitTower, planes_to_rows

__all__ = [
    "Qwen2VisionTower",
    "Qwen2_5VisionTower",
    "Qwen3VisionTower",
    "QwenVisionTower",
    "TowerOutput",
    "VisionTower",
    "Visual",
    "VitTower",
    "adapters",
    "load_vision_tower",
    "planes_to_rows",
]
