"""The matrix products: the one seam through which all of them go, to numpy's BLAS or to MKL.

A product is written into an array that exists, with either operand transposed. The bits of a product depend on the
library, its kernels for the processor at hand, and its number of threads: all three are in the fingerprint of a
checkpoint (see `threads.numerics`).
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from dpnet.arrays import Matrix
from dpnet.errors import ConfigError


class Products(Protocol):
    """A library of matrix products."""

    name: str

    def __call__(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> None:
        """Out = a b, or with an operand transposed: out = a^T b, out = a b^T.

        Args:
            a: (m, k), or (k, m) to be transposed; C order, as all three, and of one dtype, float32 or float64.
            b: (k, n), or (n, k) to be transposed.
            out: (m, n); overwritten, with zeros where k is 0. None of the memory of the others.
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


class MklProducts:
    """Intel's Math Kernel Library, as its wheel `mkl` installs it.

    Args:
        threads: of this rank. It decides which of its threading layers the library loads, so once per process.

    Raises:
        ConfigError: the library cannot be loaded.
    """

    name = "mkl"

    MAX_KEPT = 1024
    """Argument lists that are kept. A training uses a dozen, always for the same arrays."""

    def __init__(self, threads: int) -> None:
        os.environ["MKL_THREADING_LAYER"] = "SEQUENTIAL" if threads == 1 else "INTEL"
        # Threads that spin after a product would take the cores from what comes next.
        os.environ.setdefault("KMP_BLOCKTIME", "0")
        library = _load_mkl()
        library.MKL_Set_Dynamic(0)  # It must never choose fewer threads by itself: bits depend on them.
        library.MKL_Set_Num_Threads(threads)
        self._routines = {"f": (library.cblas_sgemm, ctypes.c_float), "d": (library.cblas_dgemm, ctypes.c_double)}
        for routine, _ in self._routines.values():
            routine.restype = None
        self._kept: dict[tuple[int, int, int, bool, bool], tuple[Callable[..., None], list[Any], Any]] = {}

    def __call__(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> None:
        """See Products."""
        key = (id(a), id(b), id(out), transpose_a, transpose_b)
        if key not in self._kept:
            if len(self._kept) >= self.MAX_KEPT:
                self._kept.clear()
            self._kept[key] = self._prepared(a, b, out, transpose_a, transpose_b)
        routine, arguments, _ = self._kept[key]
        routine(*arguments)

    def _prepared(
        self, a: Matrix, b: Matrix, out: Matrix, transpose_a: bool, transpose_b: bool
    ) -> tuple[Callable[..., None], list[Any], Any]:
        assert all(array.flags.c_contiguous and array.dtype == out.dtype for array in (a, b, out))
        (rows, columns), inner = out.shape, a.shape[0] if transpose_a else a.shape[1]
        routine, number = self._routines[out.dtype.char]
        row_major, plain, transposed = 101, 111, 112
        flags = [row_major, transposed if transpose_a else plain, transposed if transpose_b else plain]
        pointers = [(ctypes.c_void_p(x.ctypes.data), ctypes.c_int(max(1, x.shape[1]))) for x in (a, b, out)]
        sizes = [ctypes.c_int(size) for size in (*flags, rows, columns, inner)]
        arguments = [*sizes, number(1), *pointers[0], *pointers[1], number(0), *pointers[2]]
        # The arrays are kept as well: while they live, nothing else has their ids.
        return routine, arguments, (a, b, out)


PRODUCTS: dict[str, Callable[[int], Products]] = {"numpy": lambda threads: NUMPY, "mkl": MklProducts}
"""Makes the products of `train.blas`, with a number of threads."""


def choose_products(setting: str) -> str:
    """The library that `train.blas` asks for, as a key of PRODUCTS.

    "auto" is MKL where it is installed and the processor is Intel's: there it is up to a third faster, elsewhere it is
    not (see benchmarks/README.md). It follows from the machine, never from a measurement: bits depend on it.

    Raises:
        ConfigError: MKL is asked for, and is not installed.
    """
    installed = _find_mkl() is not None
    if setting == "mkl" and not installed:
        raise ConfigError('train.blas is "mkl", which is not installed; pip install \'dpnet[mkl]\', or take "auto"')
    if setting == "auto":
        return "mkl" if installed and _is_intel() else "numpy"
    return setting


def _find_mkl() -> str | None:
    """Path of the one dynamic library of the wheel `mkl`; None where it is not installed."""
    try:
        files = importlib.metadata.files("mkl") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [file for file in files if file.name.startswith("libmkl_rt.so")]
    return str(found[0].locate()) if found else None


def _load_mkl() -> Any:
    path = _find_mkl()
    try:
        assert path is not None, "choose_products has looked"
        return ctypes.CDLL(os.path.realpath(path))
    except OSError as error:
        raise ConfigError(f'cannot load MKL: {error}; reinstall it, or set train.blas to "numpy"') from error


def _is_intel() -> bool:
    try:
        with open("/proc/cpuinfo") as file:
            return any(line.startswith("vendor_id") and "GenuineIntel" in line for line in file)
    except OSError:
        return False
