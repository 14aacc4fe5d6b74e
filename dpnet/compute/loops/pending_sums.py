"""A pending sum: which vectors are to be added, and in which order.

Its user computes the sum tile by tile as needed, so the whole sum need not be in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Indices, Matrix, aligned_zeros
from dpnet.compute.loops.interface import Loops

SUMMED_TILE = 4096
"""Elements in a tile: what is summed before the next elements, and stays in the cache."""


@dataclass(frozen=True, eq=False)
class PendingSum:
    """The sum of the first len(joins) rows of `vectors`, in the order of `joins`.

    Attributes:
        vectors: (rows, columns), C order.
        joins: (terms,) order of additions, see `reference.sum_tile`.
        offset: column of element 0 of the sum; negative where the first elements have no column.
        depth: rows of scratch that summing needs.
    """

    vectors: Matrix
    joins: Indices
    offset: int
    depth: int


def pending_sum(vectors: Matrix, joins: Sequence[int], offset: int = 0) -> PendingSum:
    """The pending sum of the rows of `vectors`, in the order of `joins`; element 0 is column `offset`."""
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
    """A part of a vector that is made when needed.

    Attributes:
        start: first element.
        stop: one past the last.
        sum: the elements start..stop; valid from a call of `prepare` until another tile is prepared.
        prepare: makes the elements; call it before `sum` is used.
    """

    start: int
    stop: int
    sum: PendingSum
    prepare: Callable[[], None] = _nothing


def scratch_for(sums: Sequence[PendingSum], dtype: npt.DTypeLike) -> Matrix:
    """Scratch for computing any of `sums`, one at a time."""
    return aligned_zeros((max((pending.depth for pending in sums), default=1), SUMMED_TILE), dtype)


def complete(tiles: Sequence[Tile], out: Matrix, work: Matrix, loops: Loops) -> None:
    """Compute the sums of all tiles.

    Args:
        tiles: the tiles of one vector.
        out: (rows, length); overwritten with what remains of every sum, see `reference.sum_tile`: usually one row.
        work: scratch, from `scratch_for`.
        loops: element-wise work.
    """
    for tile in tiles:
        tile.prepare()
        pending = tile.sum
        target = out[:, tile.start : tile.stop]
        loops.sum_rows(pending.vectors, pending.joins, pending.offset + tile.start, work, target)
