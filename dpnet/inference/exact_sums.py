"""Weights as whole numbers, whose sums are exact and so the same in any order, on any number of ranks.

    weight / scale = 0.10110...    in base 2, cut into three numbers of 20 bits; scale: the power of 2 above all weights

The sum of each of the three over up to 2^33 samples is below 2^53, where float64 still counts. What a weight has beyond
60 bits below the scale is cut off.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector

BITS, PARTS = 20, 3
Numbers = npt.NDArray[np.float64]


class ExactWeights:
    """Cuts weights into whole numbers, and joins their sums.

    Args:
        largest: no weight is larger; above 0.
    """

    def __init__(self, largest: float) -> None:
        self._exponent = math.frexp(largest)[1]

    def cut(self, weights: Vector) -> Numbers:
        """(parts, rows) whole numbers, of weights (rows,)."""
        rest, found = np.ldexp(weights, -self._exponent), []
        for _ in range(PARTS):
            rest = rest * 2.0**BITS
            found.append(np.floor(rest))
            rest = rest - found[-1]
        return np.stack(found)

    def join(self, sums: Numbers) -> Numbers:
        """Sums of weights, of (parts, ...) sums of whole numbers."""
        joined = np.zeros(sums.shape[1:])
        for part in sums[::-1]:
            joined = (joined + part) * 2.0**-BITS
        return np.ldexp(joined, self._exponent)
