"""What a library of matrix products does, the one that numpy brings, and what calls through ctypes have in common.

A product is written into an array that exists, with either operand transposed. The bits of a product depend on the
library, its kernels for the processor at hand, and its number of threads: all three are in the fingerprint of a
checkpoint (see `threads.numerics`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from dpnet.arrays import Matrix


class Products(Protocol):
    """A library of matrix products."""

    name: str

    def __call__(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> None:
        """Out = a b, or with an operand transposed: out = a^T b, out = a b^T.

        Args:
            a: (m, k), or (k, m) to be transposed. C order, or some columns of an array in C order. All three are of one
                dtype, float32 or float64.
            b: (k, n), or (n, k) to be transposed; likewise.
            out: (m, n), C order; overwritten, with zeros where k is 0. None of the memory of the others.
            transpose_a: multiply with a^T.
            transpose_b: multiply with b^T.
        """


class NumpyProducts:
    """The BLAS that numpy brings."""

    name = "numpy"

    def __call__(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> None:
        """See Products."""
        # np.dot calls the same routine as np.matmul, and gets there faster.
        np.dot(a.T if transpose_a else a, b.T if transpose_b else b, out)


NUMPY = NumpyProducts()

WORK_ROWS = 512
"""Rows and columns of matrices that fill what OpenBLAS has of its work memory in the caches."""


def warm_up(threads: int) -> None:
    """Have numpy's BLAS write to its work memory once; called when it uses `threads` threads.

    OpenBLAS copies operands there, block by block, and its loops prefetch beyond what they have copied. Where that
    memory was never written, no page is there yet, and the processor looks for it in vain, again and again: on a
    virtual machine, products of 64 x 64 matrices took 1.7 times as long, some of 128 rows 3 times, until a larger
    product came along. A training whose products are all small never has one.
    """
    rows = np.zeros((WORK_ROWS * threads, WORK_ROWS), np.float32)  # Threads share the rows out.
    np.dot(rows, rows[:WORK_ROWS])


Call = tuple[Callable[..., object], Sequence[Any]]
"""A foreign function and its arguments."""


class ForeignProducts(ABC):
    """A library that is called through ctypes: the arguments of a call are made once for the same three arrays."""

    MAX_KEPT: ClassVar[int] = 1 << 14
    """Calls that are kept. A training uses some dozens, some thousands where it is very large, for the same arrays."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int, int, bool, bool], tuple[Callable[..., object], Sequence[Any], object]] = {}

    def __call__(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> None:
        """See Products."""
        key = id(a), id(b), id(out), transpose_a, transpose_b
        kept = self._kept.get(key)
        if kept is None:
            assert all(_has_plain_rows(array) and array.dtype == out.dtype for array in (a, b, out))
            if len(self._kept) >= self.MAX_KEPT:
                self._kept.clear()
            # The arrays are kept as well: while they live, nothing else has their ids.
            kept = self._kept[key] = *self._call(a, b, out, transpose_a, transpose_b), (a, b, out)
        routine, arguments, _ = kept
        routine(*arguments)

    @abstractmethod
    def _call(self, a: Matrix, b: Matrix, out: Matrix, transpose_a: bool, transpose_b: bool) -> Call:
        """How to compute a product."""


def row_length(array: Matrix) -> int:
    """Elements from the start of one row to that of the next, as BLAS wants it: at least 1, at least the width."""
    length: int = max(1, array.shape[1], array.strides[0] // array.itemsize)
    return length


def _has_plain_rows(array: Matrix) -> bool:
    return array.size == 0 or array.shape[1] == 1 or array.strides[1] == array.itemsize
