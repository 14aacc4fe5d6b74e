"""A sum of vectors that has not been done yet: what is to be added, and in which order.

Whoever uses the sum does it block by block as it goes, so it need not be in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dpnet.arrays import Indices, Matrix


@dataclass(frozen=True, eq=False)
class PendingSum:
    """The sum of the first len(joins) rows of vectors[:, offset : offset + length], in the order of `joins`.

    Attributes:
        vectors: (rows, size), C order. Not changed by summing.
        joins: (terms,) see `spec.sum_block`.
        offset: first column.
        length: number of columns.
        depth: rows of the stack that summing needs.
    """

    vectors: Matrix
    joins: Indices
    offset: int
    length: int
    depth: int


def pending_sum(vectors: Matrix, joins: Sequence[int], columns: slice) -> PendingSum:
    """The sum of the rows of `vectors` in `columns`, in the order of `joins`."""
    assert vectors.flags.c_contiguous
    depth = deepest = 0
    for count in joins:
        depth += 1 - count
        deepest = max(deepest, depth)
    return PendingSum(vectors, np.array(joins, np.int64), columns.start, columns.stop - columns.start, deepest)
