"""The interface of a library of matrix products, and how a matrix is passed to a C library.

A product is bound to its arrays once and computed as often as wanted, from what they then hold: a training uses the
same arrays in every step. It is written in place of an existing array, with either operand transposed. The bits of a
product depend on the library, its kernels for this processor, and its number of threads: a checkpoint records all three
(see `fingerprint`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Protocol

from dpnet.compute.arrays import Matrix


class Products(Protocol):
    """A library of matrix products.

    Attributes:
        name: a key of `choose.PRODUCTS`.
    """

    name: str

    def bind(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> Callable[[], object]:
        """A call that computes out = a b, or with an operand transposed: out = a^T b, out = a b^T.

        Args:
            a: (m, k), or (k, m) to be transposed. C order, or some columns of an array in C order. All three arrays
                have one dtype, float32 or float64.
            b: (k, n), or (n, k) to be transposed. C order, or some columns of an array in C order.
            out: (m, n), C order; overwritten, with zeros where k is 0. Shares no memory with the operands.
            transpose_a: multiply with a^T.
            transpose_b: multiply with b^T.

        Returns:
            the call. It keeps the arrays alive; its return value means nothing.
        """


def operand(array: Matrix) -> tuple[ctypes.c_void_p, int]:
    """The address of a matrix for a C function, and its leading dimension: elements from one row to the next.

    BLAS requires a leading dimension of at least 1 and at least the width. The pointer keeps the array alive.
    """
    assert array.size == 0 or array.shape[1] == 1 or array.strides[1] == array.itemsize, array.strides
    return array.ctypes.data_as(ctypes.c_void_p), max(1, array.shape[1], array.strides[0] // array.itemsize)
