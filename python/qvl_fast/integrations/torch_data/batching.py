"""Batches of as many samples as fit a number of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import distributed
from torch.utils.data import Sampler

from qvl_fast import environment
from qvl_fast._input.arrays import integer_array
from qvl_fast.config.checks import integer, positive_integer
from qvl_fast.index.packing import pack

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike


class TokenBatchSampler(Sampler[list[int]]):
    """Batches whose samples together have at most so many tokens, for ``batch_sampler=``.

    In each epoch the samples are shuffled, cut into windows, and each window is packed into as few
    batches as :func:`qvl_fast.pack` finds (``"best"``). Seed and epoch decide the batches, so that
    every rank finds the same and takes its share; where the number of batches is no multiple of
    that of ranks, the last few are left out, as a rank that is short of a batch would make all
    others wait.

    Its iterators have ``state_dict`` and ``load_state_dict``, by which ``StatefulDataLoader`` of
    torchdata goes on exactly where it was stopped.

    Args:
        lengths: integers ``(n,)``, the tokens of each sample; see :func:`image_lengths`.
        capacity: tokens of a batch.
        shuffle: whether to shuffle samples and batches anew for each epoch; if not, samples stay in
            order and a batch is closed when the next sample does not fit.
        seed: of the shuffling.
        window: samples that are packed together. More fill batches better; fewer leave them more
            random.
        rank: of this process among those that share the batches.
        num_replicas: how many those are. Both must be given where several processes train, as only
            the program knows who shares what: those of ``torch.distributed``; those of the
            data-parallel group where some processes see the same data; or 0 and 1 where somebody
            else hands each process its share of a loader's batches, as ``prepare`` of Accelerate
            does.

    Attributes:
        epoch: which epoch the next iteration is of.

    Raises:
        TypeError: a number is not an integer.
        ValueError: a sample is longer than the capacity, a number out of range, or ``rank`` and
            ``num_replicas`` are not given where ``torch.distributed`` or torchrun has several
            processes.

    Example:
        >>> sampler = TokenBatchSampler([5, 3, 4, 2], capacity=8, shuffle=False)
        >>> list(sampler)
        [[0, 1], [2, 3]]
    """

    def __init__(
        self,
        lengths: ArrayLike | torch.Tensor,
        capacity: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        window: int = 1024,
        rank: int | None = None,
        num_replicas: int | None = None,
    ) -> None:
        self._lengths = integer_array("lengths", lengths)
        self._capacity = positive_integer("capacity", capacity)
        self._shuffle = shuffle
        self._seed = integer("seed", seed, 0)
        self._window = positive_integer("window", window)
        self._rank, self._replicas = _place(rank, num_replicas)
        pack(self._lengths, self._capacity)  # Refuses what no batch can hold.
        self.epoch = 0
        # Those of one epoch, which are asked for by their number as well.
        self._kept: tuple[int, list[list[int]]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, which decides how it is shuffled."""
        self.epoch = integer("epoch", epoch, 0)

    def __iter__(self) -> Batches:
        return Batches(self)

    def __len__(self) -> int:
        """Batches of this rank in the epoch."""
        return len(self.batches(self.epoch))

    def batches(self, epoch: int) -> list[list[int]]:
        """The batches of this rank in an epoch; not to be changed."""
        if self._kept is None or self._kept[0] != epoch:
            self._kept = epoch, self._share(self._packed(epoch))
        return self._kept[1]

    def _packed(self, epoch: int) -> list[list[int]]:
        """The batches of all ranks."""
        if not self._shuffle:
            return [list(members) for members in pack(self._lengths, self._capacity).bins]
        generator = np.random.default_rng([self._seed, epoch])
        order = generator.permutation(len(self._lengths))
        found: list[list[int]] = []
        for first in range(0, len(order), self._window):
            window = order[first : first + self._window]
            packing = pack(self._lengths[window], self._capacity, strategy="best")
            found += [window[list(members)].tolist() for members in packing.bins]
        # In each window the longest samples come first.
        return [found[place] for place in generator.permutation(len(found)).tolist()]

    def _share(self, batches: list[list[int]]) -> list[list[int]]:
        whole = len(batches) - len(batches) % self._replicas
        return batches[self._rank : whole : self._replicas]


class Batches(Iterator[list[int]]):
    """The batches of one epoch of a :class:`TokenBatchSampler`, and how far they are."""

    def __init__(self, sampler: TokenBatchSampler) -> None:
        self._sampler = sampler
        self._start(sampler.epoch, 0)

    def __next__(self) -> list[int]:
        if self._yielded == len(self._batches):
            raise StopIteration
        self._yielded += 1
        return list(self._batches[self._yielded - 1])

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs to go on from here."""
        return {"epoch": self._epoch, "yielded": self._yielded}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken, which sets the sampler's epoch, too.

        Raises:
            ValueError: the state is of other batches than this sampler makes.
        """
        self._start(state_dict["epoch"], integer("yielded", state_dict["yielded"], 0))
        self._sampler.set_epoch(self._epoch)

    def _start(self, epoch: int, yielded: int) -> None:
        self._batches = self._sampler.batches(epoch)
        self._epoch, self._yielded = epoch, yielded
        if yielded > len(self._batches):
            raise ValueError(
                f"state_dict must be of this sampler, which has {len(self._batches)} batches in "
                f"epoch {epoch}, got one after {yielded}"
            )


def _place(rank: int | None, num_replicas: int | None) -> tuple[int, int]:
    """The rank of this process, and the number of all.

    Raises:
        TypeError: a number is not an integer.
        ValueError: one is out of range, or has to be given.
    """
    if rank is None and num_replicas is None:
        if (processes := _processes()) > 1:
            raise ValueError(
                f"rank and num_replicas must be given where {processes} processes train: those of "
                "torch.distributed, or 0 and 1 if somebody else, such as Accelerate, hands each "
                "process its share of the batches"
            )
        return 0, 1
    if rank is None or num_replicas is None:
        raise ValueError(
            f"rank and num_replicas must be given together, got {rank} and {num_replicas}"
        )
    replicas = positive_integer("num_replicas", num_replicas)
    number = integer("rank", rank, 0)
    if number >= replicas:
        raise ValueError(f"rank must be below num_replicas {replicas}, got {number}")
    return number, replicas


def _processes() -> int:
    """How many processes train together, as far as that can be seen from here."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return environment.world_size()
