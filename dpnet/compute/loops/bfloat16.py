"""bfloat16, the upper half of float32: to and from it, in numpy. A part of `reference`."""

from __future__ import annotations

import numpy as np

from dpnet.compute.arrays import Halves, Vector
from dpnet.compute.loops.scratch import scratch

TILE = 32768
"""Elements that go through all passes before the next ones: see `reference.NUMPY_TILE`."""
NAN = np.uint16(0x7FC0)


def to_bfloat16(numbers: Vector, out: Halves) -> None:
    """Round `numbers` (n,) float32 to the nearest bfloat16, ties to even; NaN stays NaN. `out` (n,) is overwritten."""
    for start in range(0, len(numbers), TILE):
        bits = numbers[start : start + TILE].view(np.uint32)
        target = out[start : start + TILE]
        rounded, is_nan = scratch("bits", bits.shape, np.dtype(np.uint32)), scratch("nan", bits.shape, np.dtype(bool))
        # Adding just under half of the last place carries where it should; at a tie, where the last place is odd.
        np.right_shift(bits, 16, out=rounded)
        np.bitwise_and(rounded, 1, out=rounded)
        np.add(rounded, bits, out=rounded)
        np.add(rounded, 0x7FFF, out=rounded)
        np.right_shift(rounded, 16, out=rounded)
        np.copyto(target, rounded, casting="same_kind")
        # The carry would make an infinity of a NaN, or a zero.
        np.isnan(numbers[start : start + TILE], out=is_nan)
        np.copyto(target, NAN, where=is_nan)


def from_bfloat16(halves: Halves, out: Vector) -> None:
    """The numbers that `halves` (n,) are, exactly, as float32; `out` (n,) is overwritten."""
    bits = out.view(np.uint32)
    np.copyto(bits, halves)
    np.left_shift(bits, 16, out=bits)
