"""Batches of as many samples as fit a number of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Sampler

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
        num_replicas: how many those are.

    Attributes:
        epoch: which epoch the next iteration is of.

    Raises:
        TypeError: a number is not an integer.
        ValueError: a sample is longer than the capacity, or a number out of range.

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
        rank: int = 0,
        num_replicas: int = 1,
    ) -> None:
        self._lengths = integer_array("lengths", lengths)
        self._capacity = positive_integer("capacity", capacity)
        self._shuffle = shuffle
        self._seed = integer("seed", seed, 0)
        self._window = positive_integer("window", window)
        self._replicas = positive_integer("num_replicas", num_replicas)
        self._rank = integer("rank", rank, 0)
        if self._rank >= self._replicas:
            raise ValueError(f"rank must be below num_replicas {num_replicas}, got {rank}")
        pack(self._lengths, self._capacity)  # Refuses what no batch can hold.
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, which decides how it is shuffled."""
        self.epoch = integer("epoch", epoch, 0)

    def __iter__(self) -> Batches:
        return Batches(self)

    def __len__(self) -> int:
        """Batches of this rank in the epoch."""
        return len(self.batches(self.epoch))

    def batches(self, epoch: int) -> list[list[int]]:
        """The batches of this rank in an epoch."""
        if not self._shuffle:
            found = [list(members) for members in pack(self._lengths, self._capacity).bins]
            return self._share(found)
        generator = np.random.default_rng([self._seed, epoch])
        order = generator.permutation(len(self._lengths))
        found: list[list[int]] = []
        for first in range(0, len(order), self._window):
            window = order[first : first + self._window]
            packing = pack(self._lengths[window], self._capacity, strategy="best")
            found += [window[list(members)].tolist() for members in packing.bins]
        # In each window the longest samples come first.
        return self._share([found[place] for place in generator.permutation(len(found)).tolist()])

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
        return self._batches[self._yielded - 1]

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs to go on from here."""
        return {"epoch": self._epoch, "yielded": self._yielded}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken, which sets the sampler's epoch, too.

        Raises:
            ValueError: the state is of other batches than this sampler makes.
        """
        self._start(state_dict["epoch"], state_dict["yielded"])
        self._sampler.set_epoch(self._epoch)

    def _start(self, epoch: int, yielded: int) -> None:
        self._batches = self._sampler.batches(epoch)
        self._epoch, self._yielded = epoch, yielded
        if yielded > len(self._batches):
            raise ValueError(
                f"state_dict must be of this sampler, which has {len(self._batches)} batches in "
                f"epoch {epoch}, got one after {yielded}"
            )
