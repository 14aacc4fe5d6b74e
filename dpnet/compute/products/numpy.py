"""Matrix products by the BLAS that numpy brings: the default, and what other libraries leave to it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from dpnet.compute.arrays import Matrix


class NumpyProducts:
    """See Products."""

    name = "numpy"

    def bind(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> Callable[[], object]:
        """See Products."""
        # The method dot calls the same routine as np.dot and np.matmul, with less overhead.
        return functools.partial((a.T if transpose_a else a).dot, b.T if transpose_b else b, out)


NUMPY = NumpyProducts()

WARM_UP_ROWS = 512
"""Rows and columns of a product that uses all the scratch that smaller ones come near."""


def warm_up(threads: int) -> None:
    """Makes numpy's BLAS write to its scratch once; called when the BLAS uses `threads` threads.

    OpenBLAS copies operands to scratch, block by block, and its loops prefetch beyond what they have copied. Scratch
    that was never written has no pages yet, and each prefetch of it costs a failed page walk: on a virtual machine,
    products of 64 x 64 matrices took 1.7 times as long, some of 128 rows 3 times, until a larger product came along. A
    training whose products are all small never has one.
    """
    rows = np.zeros((WARM_UP_ROWS * threads, WARM_UP_ROWS), np.float32)  # Threads share the rows out.
    np.dot(rows, rows[:WARM_UP_ROWS])
