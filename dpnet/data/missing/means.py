"""The means of what is known of each feature, and how many values are missing, in bounded memory.

A mean has the bits of numpy's, as the columns of a table have it: numpy halves a row of numbers until at most 128 are
left, and adds up the sums of the halves. The number of known values says where it halves. So one pass finds the means
of the features in which nothing is missing, and counts what is missing; only features with gaps need a second one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.data.finite import check_infinite
from dpnet.data.split import Inputs, Split

PIECE_BYTES = 1 << 23
"""Bytes of the rows that are read at a time, as float64."""
UNDIVIDED = 128
"""So many numbers numpy adds without halving them."""
Counts = npt.NDArray[np.int64]
"""(features,) how many values of each are missing."""


class Known(NamedTuple):
    """What was seen of each feature.

    Attributes:
        missing: (features,) int64, how many values are missing.
        means: (features,) float64 of all others, NaN where there are none; infinite where their sum is beyond float64.
    """

    missing: Counts
    means: Vector


def count_missing(split: Split, *, refuse: bool = False) -> Counts:
    """How many values of each feature are missing.

    Args:
        split: the samples.
        refuse: a value that is infinite is an error.

    Raises:
        DataError: a value is infinite, and is refused.
    """
    missing = np.zeros(split.features, np.int64)
    for first, rows in _pieces(split):
        _count(split, first, rows, missing, refuse=refuse)
    return missing


def is_whole(split: Split) -> bool:
    """Whether no value is missing; ends at the first that is."""
    return not any(np.isnan(rows).any() for _, rows in _pieces(split))


def known_means(split: Split) -> Known:
    """The means of what is known of each feature, and how many values are missing.

    Raises:
        DataError: a value is infinite.
    """
    missing, adder, first = np.zeros(split.features, np.int64), _Adder(len(split), piece_rows(split.features)), 0
    with np.errstate(over="ignore", invalid="ignore"):
        while size := adder.wanted:
            rows = split.block(first, first + size)
            _count(split, first, rows, missing, refuse=True)
            adder.add(np.add.reduce(np.ascontiguousarray(rows.T, np.float64), axis=1))
            first += size
        means = adder.total / len(split)
        if len(gaps := np.flatnonzero(missing)):
            means[gaps] = _means_between(split, gaps, len(split) - missing[gaps])
    return Known(missing, means)


def _means_between(split: Split, features: npt.NDArray[np.intp], counts: Counts) -> Vector:
    """The means of features in which values are missing, of which so many are known."""
    sums = [_Sum(int(count), piece_rows(split.features)) for count in counts]
    for _, rows in _pieces(split):
        values = np.ascontiguousarray(rows[:, features].T, np.float64)
        for one, of_feature, known in zip(sums, values, ~np.isnan(values), strict=True):
            one.see(of_feature[known])
    return np.array([one.total for one in sums]) / counts


def _count(split: Split, first: int, rows: Inputs, missing: Counts, *, refuse: bool) -> None:
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        if refuse:
            check_infinite(rows, split.in_file(first, first + len(rows)), split.inputs_file)
        missing += np.isnan(rows).sum(axis=0)


def _pieces(split: Split) -> Iterator[tuple[int, Inputs]]:
    """The rows in order, some at a time, with the number of the first; none of types that know no NaN."""
    step = piece_rows(split.features)
    for first in range(0, len(split) if split.inputs.dtype.kind == "f" else 0, step):
        yield first, split.block(first, min(first + step, len(split)))


def piece_rows(features: int) -> int:
    """Rows that are read at a time; numpy's halves are never cut."""
    return max(PIECE_BYTES // (8 * features), UNDIVIDED)


def _adding(count: int, most: int) -> Generator[int, Vector, Vector]:
    """Asks for the sum of the next numbers, at most so many; the sum of all, added up as numpy does it."""
    if count <= most:
        return (yield count)
    half = count // 2
    half -= half % 8
    first = yield from _adding(half, most)
    return first + (yield from _adding(count - half, most))


class _Adder:
    """Adds up sums of so many rows, of at most `most` each.

    Attributes:
        wanted: rows whose sum comes next; 0: there are no more.
        total: of all rows, once they were added.
    """

    def __init__(self, count: int, most: int) -> None:
        self._adding = _adding(count, most)
        self.wanted = next(self._adding)
        self.total: Vector = np.zeros(())

    def add(self, sums: Vector) -> None:
        """Add the sum of the rows that were wanted."""
        try:
            self.wanted = self._adding.send(sums)
        except StopIteration as end:
            self.wanted, self.total = 0, end.value


class _Sum:
    """The sum of numbers that come a few at a time.

    Args:
        count: of all numbers.
        most: numbers that are kept.
    """

    def __init__(self, count: int, most: int) -> None:
        self._adder, self._there = _Adder(count, most), 0
        self._kept: list[Vector] = []

    @property
    def total(self) -> float:
        """The sum, once all were seen."""
        return float(self._adder.total)

    def see(self, values: Vector) -> None:
        """Take in the next numbers."""
        self._kept.append(values)
        self._there += len(values)
        if self._there < self._adder.wanted:
            return
        there = np.concatenate(self._kept)
        while (size := self._adder.wanted) and len(there) >= size:
            self._adder.add(np.add.reduce(there[:size]))
            there = there[size:]
        self._kept, self._there = [there], len(there)
