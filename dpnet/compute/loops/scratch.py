"""Scratch that a thread keeps from call to call, so that no call allocates."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import aligned_zeros


class _Kept(threading.local):
    """Scratch of a thread: one array for each use and dtype."""

    def __init__(self) -> None:
        self.arrays: dict[tuple[str, str], npt.NDArray[Any]] = {}


_KEPT = _Kept()


def scratch(use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Scratch of the given shape, content undefined. The next call for the same use returns the same memory.

    The largest array of each use is kept as long as the thread lives.
    """
    size, key = math.prod(shape), (use, dtype.str)
    array = _KEPT.arrays.get(key)
    if array is None or len(array) < size:
        array = _KEPT.arrays[key] = aligned_zeros(size, dtype)
    return array[:size].reshape(shape)
