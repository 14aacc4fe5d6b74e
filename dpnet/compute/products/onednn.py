"""Matrix products by oneDNN, which compiles its kernels at run time for the processor it runs on, Intel's or not.

The library comes from the wheel `onednn-cpu-gomp` and is called through its C interface. It multiplies in two ways, and
each is the faster one somewhere (measured in benchmarks/README.md): `dnnl_sgemm`, a BLAS routine, reads matrices in
place and wins unless `b` is transposed; the primitive `matmul` copies blocks of a transposed `b` into order, and wins
there.

oneDNN multiplies float32 only. numpy computes products in float64, and small ones, where it has less overhead.

Source: https://uxlfoundation.github.io/oneDNN, "BLAS functions" and "Matrix Multiplication".
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from dpnet.compute.arrays import Matrix
from dpnet.compute.products.interface import operand
from dpnet.compute.products.numpy import NUMPY
from dpnet.compute.products.wheels import load

SMALL_FLOPS = 2_000_000
"""numpy computes products of fewer floating-point operations."""

CPU, IN_ORDER, F32, MAX_AXES = 1, 1, 3, 12
SOURCE, WEIGHTS, DESTINATION = 1, 33, 17
"""Constants of the C interface; `a`, `b` and `out` are its source, weights and destination."""


class OneDnnProducts:
    """See Products.

    Args:
        threads: number of threads of this rank; not read here: `threads.limit_threads` sets it, as for numpy.

    Raises:
        ConfigError: the library cannot be loaded.
    """

    name = "onednn"

    def __init__(self, threads: int) -> None:
        self._library = _Library()

    def bind(
        self, a: Matrix, b: Matrix, out: Matrix, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> Callable[[], object]:
        """See Products."""
        assert a.dtype == b.dtype == out.dtype
        (rows, columns), inner = out.shape, a.shape[0] if transpose_a else a.shape[1]
        # At least 1: dnnl_sgemm does not write `out` where the inner dimension is 0.
        if out.dtype != np.float32 or 2 * rows * columns * inner < max(1, SMALL_FLOPS):
            return NUMPY.bind(a, b, out, transpose_a=transpose_a, transpose_b=transpose_b)
        if transpose_b:
            return _Matmul(self._library, a.T if transpose_a else a, b.T, out)
        letters = [ctypes.c_char(b"T" if transpose_a else b"N"), ctypes.c_char(b"N")]
        sizes = [ctypes.c_int64(size) for size in (rows, columns, inner)]
        places = [(pointer, ctypes.c_int64(length)) for pointer, length in map(operand, (a, b, out))]
        number = ctypes.c_float
        arguments = [*letters, *sizes, number(1), *places[0], *places[1], number(0), *places[2]]
        return functools.partial(self._library.routines.dnnl_sgemm, *arguments)


class _Library:
    """The loaded library, with the engine (this processor) and the stream (in order) that its primitives run on."""

    def __init__(self) -> None:
        self.routines = load("onednn")
        for name in ("dnnl_sgemm", "dnnl_primitive_execute"):
            getattr(self.routines, name).restype = _check
        self.engine = self.new("engine_create", CPU, ctypes.c_size_t(0))
        self.stream = self.new("stream_create", self.engine, IN_ORDER)

    def new(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        """The object that a function of the library creates."""
        made = ctypes.c_void_p()
        status = getattr(self.routines, f"dnnl_{function}")(ctypes.byref(made), *arguments)
        assert status == 0, f"dnnl_{function} of oneDNN failed with status {status}"
        return made


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"oneDNN could not multiply, status {status}" + (": out of memory" if status == 1 else ""))


class _Argument(ctypes.Structure):
    _fields_ = (("number", ctypes.c_int), ("memory", ctypes.c_void_p))


class _Matmul:
    """The primitive `matmul` for three arrays, of any strides."""

    def __init__(self, library: _Library, a: Matrix, b: Matrix, out: Matrix) -> None:
        self._library = library
        self._primitive, self._memories = (
            ctypes.c_void_p(),
            list[ctypes.c_void_p](),
        )  # For __del__, if the rest fails.
        self._execute = library.routines.dnnl_primitive_execute
        self._arrays = (a, b, out)
        descriptions = [self._description(array) for array in self._arrays]
        source, weights, destination = descriptions
        described = library.new(
            "matmul_primitive_desc_create", library.engine, source, weights, None, destination, None
        )
        self._primitive = library.new("primitive_create", described)
        self._memories = [
            library.new("memory_create", description, library.engine, ctypes.c_void_p(array.ctypes.data))
            for description, array in zip(descriptions, self._arrays, strict=True)
        ]
        numbers = (SOURCE, WEIGHTS, DESTINATION)
        self._arguments = (_Argument * 3)(*(_Argument(*pair) for pair in zip(numbers, self._memories, strict=True)))
        for description in descriptions:
            library.routines.dnnl_memory_desc_destroy(description)
        library.routines.dnnl_primitive_desc_destroy(described)

    def __call__(self) -> None:
        """Multiply."""
        self._execute(self._primitive, self._library.stream, len(self._arguments), self._arguments)

    def __del__(self) -> None:
        for memory in self._memories:
            self._library.routines.dnnl_memory_destroy(memory)
        if self._primitive:
            self._library.routines.dnnl_primitive_destroy(self._primitive)

    def _description(self, array: Matrix) -> ctypes.c_void_p:
        numbers = ctypes.c_int64 * MAX_AXES
        strides = [stride // array.itemsize for stride in array.strides]
        return self._library.new(
            "memory_desc_create_with_strides", array.ndim, numbers(*array.shape), F32, numbers(*strides)
        )
