"""Names for the shapes of arrays, and memory aligned to cache lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.floating]
"""(n,) float32 or float64."""
Matrix = npt.NDArray[np.floating]
"""(rows, columns) float32 or float64, C order."""
Halves = npt.NDArray[np.uint16]
"""(n,) bfloat16: the upper halves of float32 numbers. numpy has no such dtype."""
Labels = npt.NDArray[np.int64]
"""(n,) int64."""
Targets = npt.NDArray[Any]
"""What a network should give: (rows,) int64, numbers of classes; or (rows, outputs), float64 numbers or bool labels."""
Indices = npt.NDArray[np.int64]
"""int64: positions in other arrays."""

Bits = npt.NDArray[np.unsignedinteger]
"""(n,) uint32 or uint64: the bits of float32 or float64 numbers."""

SampleIds = npt.NDArray[np.int64]
"""(rows,) int64: rows of a split."""

Zeros = Callable[[int, npt.DTypeLike], Vector]
"""Makes a vector of zeros from its size and dtype; the kind of memory is up to the function."""

CACHE_LINE_BYTES = 64


def aligned_zeros(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    """Zeros whose first byte lies on a cache line.

    Every buffer then has the same alignment on every run and rank, so a vectorised kernel takes the same path through
    it.
    """
    shape = (shape,) if isinstance(shape, int) else shape
    num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(num_bytes + CACHE_LINE_BYTES, dtype=np.uint8)
    start = -raw.ctypes.data % CACHE_LINE_BYTES
    return raw[start : start + num_bytes].view(dtype).reshape(shape)
