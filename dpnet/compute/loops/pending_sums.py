"""A sum of vectors that has not been done yet: what is to be added, and in which order.

Whoever uses the sum does it block by block as it goes, so it need not be in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Indices, Matrix, aligned_zeros
from dpnet.compute.loops.choose import Loops

SUMMED_AT_A_TIME = 4096
"""Elements that are summed before the next ones are touched: they stay in the cache."""


@dataclass(frozen=True, eq=False)
class PendingSum:
    """The sum of the first len(joins) rows of `vectors`, in the order of `joins`.

    Attributes:
        vectors: (rows, columns), C order.
        joins: (terms,) see `reference.sum_block`.
        offset: column of element 0 of the sum; negative where the first elements have no column.
        depth: rows of the stack that summing needs.
    """

    vectors: Matrix
    joins: Indices
    offset: int
    depth: int


def pending_sum(vectors: Matrix, joins: Sequence[int], offset: int = 0) -> PendingSum:
    """The sum of the rows of `vectors`, in the order of `joins`, element 0 being that of column `offset`."""
    assert vectors.flags.c_contiguous
    depth = deepest = 0
    for count in joins:
        depth += 1 - count
        deepest = max(deepest, depth)
    return PendingSum(vectors, np.array(joins, np.int64), offset, deepest)


def _nothing() -> None:
    pass


@dataclass(frozen=True, eq=False)
class Tile:
    """A part of a vector that can be had when it is needed.

    Attributes:
        start: its first element.
        stop: one past its last.
        sum: holds the elements start..stop, from a call of `prepare` to that of another tile.
        prepare: must be called before `sum` is used.
    """

    start: int
    stop: int
    sum: PendingSum
    prepare: Callable[[], None] = _nothing


def scratch_for(sums: Sequence[PendingSum], dtype: npt.DTypeLike) -> Matrix:
    """What adding up any of some sums needs."""
    return aligned_zeros((max((pending.depth for pending in sums), default=1), SUMMED_AT_A_TIME), dtype)


def complete(tiles: Sequence[Tile], out: Matrix, work: Matrix, loops: Loops) -> None:
    """Add up all tiles.

    Args:
        tiles: of one vector.
        out: (rows, length): what remains of every sum, see `reference.sum_block`; most often one row.
        work: see `scratch_for`.
        loops: element-wise work.
    """
    for tile in tiles:
        tile.prepare()
        pending = tile.sum
        target = out[:, tile.start : tile.stop]
        loops.sum_rows(pending.vectors, pending.joins, pending.offset + tile.start, work, target)
