"""Samples of any number of rows to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from qvl_fast._output.batch import BatchRows, ImagePlanes, ImageRows, PaddedRows
from qvl_fast._output.torch import as_tensor

# What the samples of a batch have one after another.
_JOINED = (
    "pixel_values",
    "image_grid_thw",
    "image_sizes",
    "num_patches",
    "batch_num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "pixel_values_videos",
    "video_grid_thw",
    "second_per_grid_ts",
)


@dataclass(frozen=True, slots=True)
class Collate:
    """Makes one batch of samples: rows and grids follow each other, sequences are padded.

    - What processors make of images and videos, of any family and form, is joined; a sample may
      lack it. Planes that differ in shape are refused, as LLaVA-NeXT's with other numbers of tiles
      do; rows may be of any number.
    - Entries that ``padding`` names are sequences ``(S,)``: they are padded at the right to the
      longest, ``(B, longest)``. ``attention_mask``, int64, is 1 where ``input_ids`` has a token;
      samples that have masks of their own, as tokenizers make them, keep these, padded with 0.
    - Every other entry becomes a list.

    What is joined comes last: ``Trainer`` of transformers takes the length of a batch's first
    tensor for the number of its samples. Of an ``IterableDataset`` it would cut all tensors to that
    length, unless it has ``accelerator_config={"dispatch_batches": False}``.

    Attributes:
        padding: for each entry to pad what to pad it with.
        pin_memory: whether to write the batch to page-locked memory. Only where the loader has no
            workers: elsewhere give the loader ``pin_memory=True``, which pins what arrives.

    Example:
        >>> samples = [{"input_ids": torch.tensor([5, 6])}, {"input_ids": torch.tensor([7])}]
        >>> batch = Collate()(samples)
        >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist()
        ([[5, 6], [7, 0]], [[1, 1], [1, 0]])
    """

    padding: Mapping[str, int] = field(default_factory=lambda: {"input_ids": 0, "labels": -100})
    pin_memory: bool = False

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> BatchRows[Any]:
        """A batch of samples.

        Returns:
            :class:`~qvl_fast.ImagePlanes` or :class:`~qvl_fast.PaddedRows` of samples that have
            these; else :class:`~qvl_fast.ImageRows`, without entries for images if there are none.

        Raises:
            ValueError: there is no sample, rows of samples are of different kinds, or a sample
                lacks an entry that others have.
            RuntimeError: ``pin_memory`` without an accelerator.
        """
        if not samples:
            raise ValueError("samples must hold at least one sample, got none")
        batch: dict[str, Any] = {}
        names = dict.fromkeys(name for sample in samples for name in sample)
        padding = {"attention_mask": 0, **self.padding}
        for name in sorted(names, key=_JOINED.__contains__):
            values = [sample[name] for sample in samples if name in sample]
            if name in _JOINED:
                batch[name] = self._joined(name, values)
                continue
            if len(values) < len(samples):
                place = next(i for i, sample in enumerate(samples) if name not in sample)
                raise ValueError(f"samples[{place}] has no {name!r}, but others have")
            if name not in padding:
                batch[name] = values
                continue
            rows = [torch.as_tensor(value) for value in values]
            batch[name] = self._pinned(pad_sequence(rows, True, padding[name]))
            if name == "input_ids" and "attention_mask" not in names:
                masks = [torch.ones(len(row), dtype=torch.int64) for row in rows]
                batch["attention_mask"] = self._pinned(pad_sequence(masks, True))
        return _kind(batch)(batch)

    def _joined(self, name: str, values: list[Any]) -> torch.Tensor:
        parts = [torch.as_tensor(as_tensor(value)) for value in values]
        kinds = {(part.dtype, part.shape[1:]) for part in parts}
        if len(kinds) > 1:
            found = " and ".join(sorted(f"{dtype} (n, *{[*shape]})" for dtype, shape in kinds))
            raise ValueError(f"{name} must be of one kind in all samples, got {found}")
        [(dtype, width)] = kinds
        # Allocated here so that pinned rows, the largest part by far, are copied once.
        rows = sum(map(len, parts))
        out = torch.empty((rows, *width), dtype=dtype, pin_memory=self.pin_memory)
        return torch.cat(parts, out=out)

    def _pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.pin_memory() if self.pin_memory else tensor


def _kind(batch: Mapping[str, Any]) -> type[BatchRows[Any]]:
    if "spatial_shapes" in batch:
        return PaddedRows
    if "pixel_values" in batch and batch["pixel_values"].ndim > 2:
        return ImagePlanes
    return ImageRows
