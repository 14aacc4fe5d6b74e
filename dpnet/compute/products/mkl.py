"""Matrix products by Intel's Math Kernel Library, from the wheel `mkl`."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import ClassVar

from dpnet.compute.arrays import Matrix
from dpnet.compute.products.interface import operand
from dpnet.compute.products.wheels import load


class MklProducts:
    """See Products.

    Args:
        threads: number of threads of this rank. The number decides which threading layer the library loads: once per
            process.

    Raises:
        ConfigError: the library cannot be loaded.
    """

    name = "mkl"
    may_grow: ClassVar[bool] = False
    """Whether this process may later ask for more threads than one, though it asks for one now."""

    def __init__(self, threads: int) -> None:
        os.environ["MKL_THREADING_LAYER"] = "SEQUENTIAL" if threads == 1 and not self.may_grow else "INTEL"
        library = load("mkl")
        library.MKL_Set_Dynamic(0)  # MKL must never choose fewer threads by itself: bits depend on them.
        library.MKL_Set_Num_Threads(threads)
        self._routines = {"f": (library.cblas_sgemm, ctypes.c_float), "d": (library.cblas_dgemm, ctypes.c_double)}
        for routine, _ in self._routines.values():
            routine.restype = None

    def bind(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> Callable[[], object]:
        """See Products."""
        assert a.dtype == b.dtype == out.dtype
        (rows, columns), inner = out.shape, a.shape[0] if transpose_a else a.shape[1]
        routine, number = self._routines[out.dtype.char]
        row_major, plain, transposed = 101, 111, 112
        flags = [row_major, transposed if transpose_a else plain, transposed if transpose_b else plain]
        places = [(pointer, ctypes.c_int(length)) for pointer, length in map(operand, (a, b, out))]
        sizes = [ctypes.c_int(size) for size in (*flags, rows, columns, inner)]
        return functools.partial(routine, *sizes, number(1), *places[0], *places[1], number(0), *places[2])
