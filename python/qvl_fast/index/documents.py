"""Rows that are packed from several documents, taken apart and put together again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PackedRows:
    """Where the documents of a batch of packed rows lie.

    Args:
        documents: int64 ``(B, S)``, the number of each token's document, 0 at padding. Neighbours
            with one number are one document.

    Attributes:
        kept: bool ``(D, longest)``, True where a document has a token.

    Raises:
        ValueError: a row has no token.
    """

    def __init__(self, documents: NDArray[np.int64]) -> None:
        if not documents.any(axis=1).all():
            row = int(np.flatnonzero(~documents.any(axis=1))[0])
            raise ValueError(f"documents must have a token in every row, got none in row {row}")
        self._shape = documents.shape
        edges = np.diff(documents, axis=1, prepend=0, append=0) != 0
        # For each document its row and the place of its first token and of what follows its last.
        self._spans = [
            (row, start, end)
            for row, ends in enumerate(map(np.flatnonzero, edges))
            for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
            if documents[row, start]
        ]
        lengths = np.array([end - start for _, start, end in self._spans])
        self.kept: NDArray[np.bool_] = np.arange(lengths.max()) < lengths[:, np.newaxis]

    def separate(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """``(B, S)`` to ``(D, longest)``: a row for each document, 0 behind its end."""
        result = np.zeros(self.kept.shape, np.int64)
        for place, (row, start, end) in enumerate(self._spans):
            result[place, : end - start] = values[row, start:end]
        return result

    def joined(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Position ids of the documents as those of the rows, and the offset of later tokens.

        Args:
            ids: ``(3, D, longest)``.

        Returns:
            int64 ``(3, B, S)``, 0 at padding; int64 ``(B, 1)``: what to add to the number of a
            later token, which belongs to the last document of its row.
        """
        result = np.zeros((3, *self._shape), np.int64)
        deltas = np.zeros((self._shape[0], 1), np.int64)
        tokens = np.zeros_like(deltas)
        for place, (row, start, end) in enumerate(self._spans):
            part = ids[:, place, : end - start]
            result[:, row, start:end] = part
            tokens[row] += end - start
            deltas[row] = part.max() + 1 - tokens[row]
        return result, deltas
