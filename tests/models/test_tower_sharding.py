"""FSDP2 on two processes of this machine, which gloo connects."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import qvl_fast
from qvl_fast.models import Qwen2_5VisionTower, Qwen2VisionTower, Qwen3VisionTower

NAMES = ["qwen2-vl-tiny", "qwen2.5-vl-tiny", "qwen3-vl-tiny"]
HALVES = [False, True]
# Each process has images of its own; the last step has none for the second.
BATCHES = [([[1, 8, 12], [1, 4, 6]], [[2, 10, 10]]), ([[1, 18, 26]], [])]


def tower_of(name):
    """The same weights in each process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    kinds = dict(zip(NAMES, (Qwen2VisionTower, Qwen2_5VisionTower, Qwen3VisionTower), strict=True))
    return kinds[name](name)


def rows_for(tower, grids, seed):
    columns = 6 * tower.config.patch_size**2
    patches = sum(t * h * w for t, h, w in grids)
    return torch.randn(patches, columns, generator=torch.Generator().manual_seed(seed))


def loss_of(tower, step, rank):
    grids = BATCHES[step][rank]
    plan = qvl_fast.plan(grids, tower.config).to("cpu")
    output = tower(rows_for(tower, grids, 2 * step + rank), plan)
    return sum(x.float().square().sum() for x in (output.tokens, *output.deepstack))


def train_sharded(directory, rank):
    """What each of two processes does; the first saves the results."""
    import torch.distributed as dist

    dist.init_process_group(
        "gloo", init_method=f"file://{directory}/rendezvous", rank=rank, world_size=2
    )
    results = {(name, half): sharded_steps(name, half, rank) for name in NAMES for half in HALVES}
    if rank == 0:
        torch.save(results, f"{directory}/results")
    dist.destroy_process_group()


def sharded_steps(name, half, rank):
    """Weights, the losses of both processes, and the types that attention has seen."""
    from torch.distributed import all_gather
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    tower = tower_of(name)
    seen = set()
    types = {"param_dtype": torch.bfloat16, "reduce_dtype": torch.float32} if half else {}
    policy = MixedPrecisionPolicy(**types)
    # The tower casts rows itself, and plans have interpolation weights that stay in float32.
    uncast = MixedPrecisionPolicy(**types, cast_forward_inputs=False)
    for block in tower.blocks:
        fully_shard(block, mp_policy=policy)
        block.attn.register_forward_pre_hook(
            lambda _, inputs: seen.add((inputs[0].dtype, inputs[1].cos.dtype, inputs[1].sin.dtype))
        )
    fully_shard(tower, mp_policy=uncast)
    optimizer = torch.optim.SGD(tower.parameters(), lr=1e-3)
    losses = []
    for step in range(len(BATCHES)):
        optimizer.zero_grad()
        loss = loss_of(tower, step, rank)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    both = [torch.empty(len(losses)) for _ in range(2)]
    all_gather(both, torch.stack(losses))
    weights = {key: x.full_tensor() for key, x in tower.state_dict().items()}
    return weights, [x.tolist() for x in both], seen


def train_whole(name, half):
    """The same steps in one process: the mean of both gradients."""
    tower = tower_of(name)
    optimizer = torch.optim.SGD(tower.parameters(), lr=1e-3)
    losses = []
    for step in range(len(BATCHES)):
        optimizer.zero_grad()
        gradients = []
        for rank in range(2):
            copy = tower_of(name)
            copy.load_state_dict(tower.state_dict())
            if half:
                copy.bfloat16()
            loss = loss_of(copy, step, rank)
            loss.backward()
            losses.append((rank, loss.item()))
            gradients.append([x.grad for x in copy.parameters()])
        for weight, first, second in zip(tower.parameters(), *gradients, strict=True):
            weight.grad = (first.float() + second.float()) / 2
        optimizer.step()
    return tower.state_dict(), [[x for r, x in losses if r == rank] for rank in range(2)]


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """What the processes found, by name and precision."""
    directory = tmp_path_factory.mktemp("sharded")
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import {__name__} as t; t.train_sharded({str(directory)!r}, {rank})",
            ],
            cwd=Path(__file__).parent,
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    return torch.load(directory / "results", weights_only=False)


@pytest.mark.parametrize("half", HALVES, ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_steps_of_a_sharded_tower(sharded, name, half):
    """Equal those of a whole one to the bit, and in bfloat16 the angles stay in float32."""
    weights, losses, seen = sharded[name, half]
    expected, expected_losses = train_whole(name, half)
    assert losses == expected_losses
    for key, x in weights.items():
        assert torch.equal(x, expected[key]), key
    assert seen == {(torch.bfloat16 if half else torch.float32, torch.float32, torch.float32)}
