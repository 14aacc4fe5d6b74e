"""How numbers travel between nodes: as they are computed, or rounded to bfloat16, in half the bytes.

A bfloat16 is the upper half of a float32: the same exponent, and 8 significant bits of 24. Only what travels is
rounded, to the nearest and ties to even, and sums are made in float32. So a gradient is rounded twice: as the partial
sum of a node, and as the finished sum. Nothing is kept from step to step, as error feedback would: that is state of a
node, which a resume on other nodes could not have.

All numbers pass through here, those that stay on their node as well. So the sum depends on nodes alone, not on who
finishes which part of it; and all nodes see the same bits, those that finished a part included.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, aligned_zeros
from dpnet.compute.loops.interface import Loops


class AsComputed:
    """Numbers that travel as they are.

    Args:
        shape: of the numbers, (rows, columns).
        dtype: that they are computed in.
        loops: element-wise work.

    Attributes:
        travels_as: dtype of what travels; None: as computed.
        numbers: (rows, columns), zeros at first.
        wire: (rows, columns), what is sent or received.
    """

    travels_as: ClassVar[npt.DTypeLike | None] = None

    def __init__(self, shape: tuple[int, int], dtype: npt.DTypeLike, loops: Loops) -> None:
        self.numbers: Matrix = aligned_zeros(shape, dtype)
        self.wire: npt.NDArray[Any] = self.numbers

    def pack(self) -> None:
        """Write what is to be sent, from the numbers."""

    def unpack(self) -> None:
        """Write the numbers, from what was received."""


class Bfloat16(AsComputed):
    """Numbers of float32 that travel as bfloat16: see AsComputed."""

    travels_as: ClassVar[npt.DTypeLike | None] = np.uint16

    def __init__(self, shape: tuple[int, int], dtype: npt.DTypeLike, loops: Loops) -> None:
        assert np.dtype(dtype) == np.float32, dtype
        super().__init__(shape, dtype, loops)
        self.wire = np.zeros(shape, np.uint16)
        self._loops = loops

    def pack(self) -> None:
        """See AsComputed.pack."""
        self._loops.to_bfloat16(self.numbers.reshape(-1), self.wire.reshape(-1))

    def unpack(self) -> None:
        """See AsComputed.unpack."""
        self._loops.from_bfloat16(self.wire.reshape(-1), self.numbers.reshape(-1))


WIRES: dict[str, type[AsComputed]] = {"float32": AsComputed, "bfloat16": Bfloat16}
"""By their names in `train.wire`."""
