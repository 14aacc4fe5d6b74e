"""Packets: several arrays in one message, zeros of a ReLU as one bit each.

A message costs its latency, whatever is in it, so all that a rank sends another in a step is one message. An array of
which few elements are 0 travels as it is; one with many, as a bit for each element and the elements that are not 0. The
sender decides for every array anew, since the share of zeros changes as a network learns. Nothing is lost either way:
what is tested are the bits, and of all numbers only 0.0 has none set (-0.0 and NaN have).

    dense     -1     | elements
    sparse    number | a bit for each element, 1: it is not 0 | so many elements
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Bits, Vector
from dpnet.compute.loops.interface import Loops
from dpnet.compute.shares import ceil_div, round_up

WORD = 8
"""Bytes. Every part of a packet begins at a multiple of it."""
DENSE = -1
BITS: dict[int, np.dtype[np.unsignedinteger]] = {4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}
"""Unsigned integers by their bytes."""


def room(elements: int, itemsize: int) -> int:
    """Most bytes that an array takes in a packet."""
    return WORD + _bits_bytes(elements) + round_up(elements * itemsize, WORD)


class Packet:
    """Arrays one after the other: those that are put come out in the same order.

    Args:
        num_bytes: the sum of `room` for all arrays.
        dtype: of their elements.
        loops: element-wise work.
    """

    def __init__(self, num_bytes: int, dtype: npt.DTypeLike, loops: Loops) -> None:
        self._bytes = np.zeros(round_up(num_bytes, WORD) // WORD, np.int64).view(np.uint8)
        self._bits, self._loops = BITS[np.dtype(dtype).itemsize], loops
        self._at = 0

    @property
    def whole(self) -> npt.NDArray[np.uint8]:
        """All bytes, for a message to be received in."""
        return self._bytes

    @property
    def content(self) -> npt.NDArray[np.uint8]:
        """The bytes of what has been put, or taken."""
        return self._bytes[: self._at]

    def rewind(self) -> None:
        """Begin again at the start."""
        self._at = 0

    def put(self, array: Vector, *, sparse: bool) -> None:
        """Append an array (n,); with `sparse`, as its elements that are not 0 if this takes less."""
        values = array.view(self._bits)
        header, present, elements = self._parts(len(values))
        number = DENSE
        if sparse:
            number = self._loops.pack(values, present, elements[: len(values)])
            if present.nbytes + number * self._bits.itemsize >= values.nbytes:
                number = DENSE
        header[0] = number
        if number == DENSE:
            self._elements(len(values))[:] = values
        self._skip(number, len(values))

    def take(self, array: Vector) -> None:
        """Overwrite an array (n,) with the next one."""
        values = array.view(self._bits)
        header, present, elements = self._parts(len(values))
        number = int(header[0])
        if number == DENSE:
            values[:] = self._elements(len(values))
        else:
            self._loops.unpack(present, elements[:number], values)
        self._skip(number, len(values))

    def _parts(self, length: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], Bits]:
        """The header, and the bits and elements of an array that is sparse."""
        start = self._at + WORD
        stop = start + _bits_bytes(length)
        header = self._bytes[self._at : start].view(np.int64)
        return header, self._bytes[start : start + ceil_div(length, 8)], self._from(stop, length)

    def _elements(self, length: int) -> Bits:
        """The elements of an array that is dense."""
        return self._from(self._at + WORD, length)

    def _from(self, start: int, length: int) -> Bits:
        elements: Bits = self._bytes[start : start + length * self._bits.itemsize].view(self._bits)
        return elements

    def _skip(self, number: int, length: int) -> None:
        size = self._bits.itemsize
        taken = length * size if number == DENSE else _bits_bytes(length) + number * size
        self._at += WORD + round_up(taken, WORD)


def _bits_bytes(elements: int) -> int:
    return round_up(ceil_div(elements, 8), WORD)
