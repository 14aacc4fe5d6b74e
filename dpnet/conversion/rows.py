"""Looks at the inputs of samples, in one pass and in bounded memory: their range, what is not finite, rows that recur.

Of each row a hash of 8 bytes is kept, so that rows which occur in two splits are found wherever they lie. Rows of equal
hashes are compared byte by byte: what is counted is exact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.data.identity import ChunkHasher, check_chunk
from dpnet.data.split import Inputs, Split
from dpnet.data.statistics import chunks, tiles

Numbers = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
BLOCK = 4096
"""Rows that are compared at a time."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of the inputs of a split.

    Attributes:
        low: (features,) float64, the smallest finite value of each; NaN where there is none.
        high: likewise the largest.
        nonfinite: (features,) int64, how many values are NaN or infinite.
        hashes: (samples,) uint64, of each row.
    """

    low: Numbers
    high: Numbers
    nonfinite: npt.NDArray[np.int64]
    hashes: Hashes

    @property
    def constant(self) -> npt.NDArray[np.intp]:
        """The features that have one and the same value in all samples."""
        return np.flatnonzero((self.low == self.high) & (self.nonfinite == 0))


def look(split: Split, dtype: npt.DTypeLike, done: Callable[[int], object] = lambda num_bytes: None) -> Seen:
    """Look at all inputs of a split.

    Args:
        split: the samples.
        dtype: in which rows are hashed: one that the inputs of all splits have, once they are converted.
        done: is called with the number of bytes of each part that was read.

    Raises:
        DataError: they were converted, and are not what was written.
    """
    low, high = np.full(split.features, np.nan), np.full(split.features, np.nan)
    nonfinite, hashes = np.zeros(split.features, np.int64), np.zeros(len(split), np.uint64)
    is_whole = split.input_sums is not None and split.rows is None
    for number, chunk in enumerate(chunks(len(split))):
        hasher = ChunkHasher(split, chunk)
        for first, rows in tiles(split, chunk):
            if is_whole:
                hasher.see(rows)
            finite = rows if rows.dtype.kind != "f" else _finite(rows, nonfinite)
            with np.errstate(invalid="ignore"):
                low = np.fmin(low, np.fmin.reduce(finite, axis=0))
                high = np.fmax(high, np.fmax.reduce(finite, axis=0))
            hashes[first : first + len(rows)] = _hashes(rows, np.dtype(dtype))
        if is_whole:
            check_chunk(split, number, hasher.of_inputs().hex())
        done((chunk[1] - chunk[0]) * split.features * split.inputs.itemsize)
    return Seen(low, high, nonfinite, hashes)


def _finite(rows: Inputs, nonfinite: npt.NDArray[np.int64]) -> Inputs:
    """The rows, with NaN for what is infinite; counts what is not finite."""
    bad = ~np.isfinite(rows)
    if not bad.any():
        return rows
    nonfinite += bad.sum(axis=0)
    return np.where(bad, rows.dtype.type(np.nan), rows)


def _hashes(rows: Inputs, dtype: np.dtype[Any]) -> Hashes:
    same = rows.astype(dtype)
    if dtype.kind == "f":
        same += 0  # -0.0 is 0.0.
    content = same.view(np.uint8).reshape(len(same), -1)
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in content)
    return np.frombuffer(digests, np.uint64)


def count_again(split: Split, seen: Seen, other: Split, of_other: Seen) -> int:
    """How many samples of a split have the inputs of a sample of another split.

    Args:
        split: whose samples are counted.
        seen: what was seen of it.
        other: the other split.
        of_other: what was seen of that.
    """
    order = np.argsort(of_other.hashes, kind="stable")
    sorted_hashes = of_other.hashes[order]
    places = np.minimum(np.searchsorted(sorted_hashes, seen.hashes), len(order) - 1)
    alike = np.flatnonzero(sorted_hashes[places] == seen.hashes)
    count = 0
    for first in range(0, len(alike), BLOCK):
        rows = alike[first : first + BLOCK]
        equal = (_of(split, rows) == _of(other, order[places[rows]])).all(axis=1)
        count += int(equal.sum())
        # Another row may have the same hash by chance.
        count += sum(_is_further(split, row, other, order, sorted_hashes, int(places[row])) for row in rows[~equal])
    return count


def _of(split: Split, samples: npt.NDArray[np.intp]) -> Numbers:
    rows = np.asarray(split.inputs)[samples if split.rows is None else split.rows[samples]]
    return np.asarray(rows, np.float64)


def _is_further(
    split: Split, row: int, other: Split, order: npt.NDArray[np.intp], sorted_hashes: Hashes, place: int
) -> bool:
    """Whether a row is one of the other split that has the same hash, but not the first of these."""
    last = int(np.searchsorted(sorted_hashes, sorted_hashes[place], side="right"))
    same = _of(other, order[place + 1 : last])
    return bool((same == _of(split, np.array([row]))).all(axis=1).any())
