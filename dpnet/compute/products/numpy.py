"""What a library of matrix products does, and the one that numpy brings.

A product is bound to its arrays once and computed as often as wanted, from what they hold then: in a training they are
the same in every step. It is written into an array that exists, with either operand transposed. The bits of a product
depend on the library, its kernels for the processor at hand, and its number of threads: all three are in the
fingerprint of a checkpoint (see `threads.numerics`).
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np

from dpnet.compute.arrays import Matrix


class Products(Protocol):
    """A library of matrix products."""

    name: str

    def bind(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> Callable[[], object]:
        """A call that computes out = a b, or with an operand transposed: out = a^T b, out = a b^T.

        Args:
            a: (m, k), or (k, m) to be transposed. C order, or some columns of an array in C order. All three are of one
                dtype, float32 or float64.
            b: (k, n), or (n, k) to be transposed; likewise.
            out: (m, n), C order; overwritten, with zeros where k is 0. None of the memory of the others.
            transpose_a: multiply with a^T.
            transpose_b: multiply with b^T.

        Returns:
            the call; it holds on to the arrays. What it returns means nothing.
        """


class NumpyProducts:
    """The BLAS that numpy brings."""

    name = "numpy"

    def bind(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> Callable[[], object]:
        """See Products."""
        # The method dot calls the same routine as np.dot and np.matmul, and gets there faster.
        return functools.partial((a.T if transpose_a else a).dot, b.T if transpose_b else b, out)


NUMPY = NumpyProducts()

WORK_ROWS = 512
"""Rows and columns of a product that uses all the work memory that smaller ones come near."""


def warm_up(threads: int) -> None:
    """Have numpy's BLAS write to its work memory once; called when it uses `threads` threads.

    OpenBLAS copies operands there, block by block, and its loops prefetch beyond what they have copied. Where that
    memory was never written, no page is there yet, and the processor looks for it in vain, again and again: on a
    virtual machine, products of 64 x 64 matrices took 1.7 times as long, some of 128 rows 3 times, until a larger
    product came along. A training whose products are all small never has one.
    """
    rows = np.zeros((WORK_ROWS * threads, WORK_ROWS), np.float32)  # Threads share the rows out.
    np.dot(rows, rows[:WORK_ROWS])


def operand(array: Matrix) -> tuple[ctypes.c_void_p, int]:
    """Where a matrix lies, for a foreign function, and its leading dimension: elements from one row to the next.

    BLAS wants at least 1, and at least the width. The pointer holds on to the array.
    """
    assert array.size == 0 or array.shape[1] == 1 or array.strides[1] == array.itemsize, array.strides
    return array.ctypes.data_as(ctypes.c_void_p), max(1, array.shape[1], array.strides[0] // array.itemsize)
