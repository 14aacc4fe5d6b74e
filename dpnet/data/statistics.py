"""Exact statistics of training data that do not depend on how many ranks share the work.

The number of rows alone decides how they are cut into chunks. Any rank measures a chunk, in one pass, and the results
are combined in the order of the chunks:

    rows     |--- chunk 0 ---|--- chunk 1 ---|-- ... --|--- chunk 255 ---|
                  Moments         Moments                   Moments
                     └──────┬────────┘                         │
                            └───────────── ... ────────────────┘

So every rank gets the same bits, whatever the number of ranks. Only a few rows of a chunk are in memory at a time, so a
file may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from dpnet.compute.shares import share
from dpnet.data.finite import check_finite
from dpnet.data.split import Inputs, Split

NUM_CHUNKS = 256
TILE_BYTES = 1 << 20
"""Bytes of a tile, the rows of a chunk that are measured at a time, as float64: it stays in the second-level cache."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and spread of some rows.

    Attributes:
        count: number of rows.
        origin: (features,) float64, the first row of the split; the same in all parts of a split.
        total: (features,) float64, sum of the differences from `origin`.
        m2: (features,) float64, sum of the squared deviations from the mean.
        low: the smallest of all values.
        high: the largest of all values.
    """

    count: int
    origin: npt.NDArray[np.float64]
    total: npt.NDArray[np.float64]
    m2: npt.NDArray[np.float64]
    low: float
    high: float

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """(features,) float64; infinite if the values are too large for their sum."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.origin + self.total / self.count


def chunks(num_samples: int) -> list[tuple[int, int]]:
    """Row ranges (first, one past the last) that cover all rows: as many as rows, at most NUM_CHUNKS."""
    parts = min(NUM_CHUNKS, num_samples)
    return [share(num_samples, part, parts) for part in range(parts)]


def tiles(split: Split, chunk: tuple[int, int]) -> Iterator[tuple[int, Inputs]]:
    """The rows of a chunk, tile by tile: number of the first row, and the inputs as they are stored."""
    start, stop = chunk
    rows = max(1, TILE_BYTES // (8 * split.features))
    for first in range(start, stop, rows):
        yield first, split.block(first, min(first + rows, stop))


def measure(
    split: Split, chunk: tuple[int, int], *, check: bool = True, see: Callable[[Inputs], object] | None = None
) -> Moments:
    """The Moments of the rows of one chunk, in one pass.

    Every value counts as the float64 nearest to it: integers of up to 53 bits and all floats are exact.

    Args:
        split: the samples.
        chunk: one of `chunks(len(split))`; not empty.
        check: raise if an input is not a finite number; otherwise the results may be NaN or infinite.
        see: is called with the inputs of each tile, in order, while they are in the cache.

    Raises:
        DataError: an input is NaN or infinite.
    """
    # With differences from one row, sums of integers are exact, a constant feature has no spread at all, and the
    # rounding of a mean that is large beside the spread does not enter the spread.
    origin = split.block(0, 1)[0].astype(np.float64)
    whole: Moments | None = None
    for first, raw in tiles(split, chunk):
        if see is not None:
            see(raw)
        # An overflow makes the results infinite or NaN, which `scaling.fit` refuses with a helpful message.
        with np.errstate(over="ignore", invalid="ignore"):
            tile = _measure_tile(raw, origin)
        if check and not np.isfinite(tile.total).all():
            # A sum of finite values can overflow.
            check_finite(raw, split.in_file(first, first + len(raw)), split.inputs_file)
        whole = tile if whole is None else combine((whole, tile))
    assert whole is not None
    return whole


def combine(parts: Sequence[Moments]) -> Moments:
    """The Moments of all rows of `parts`, at least one. The same parts in the same order give the same bits.

    The update is that of T. Chan, G. Golub and R. LeVeque, "Algorithms for Computing the Sample Variance", 1983,
    equation 2.1: the squared deviations of two parts add up, plus a term for the distance of their means.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return reduce(_combine_two, parts)


def _combine_two(a: Moments, b: Moments) -> Moments:
    count = a.count + b.count
    delta = b.total / b.count - a.total / a.count
    m2 = a.m2 + b.m2 + delta * delta * (a.count * (b.count / count))
    return Moments(count, a.origin, a.total + b.total, m2, min(a.low, b.low), max(a.high, b.high))


def _measure_tile(raw: Inputs, origin: npt.NDArray[np.float64]) -> Moments:
    """Computes the mean first, then the deviations from it, while the rows are in the cache."""
    values = raw.astype(np.float64)
    values -= origin
    total = values.sum(axis=0)
    values -= total / len(values)
    np.square(values, out=values)
    return Moments(len(values), origin, total, values.sum(axis=0), float(raw.min()), float(raw.max()))
