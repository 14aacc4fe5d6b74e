"""Random bits from identity, not history: they depend on (seed, purpose, index) and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SHUFFLE, INITIALISE, GRADCHECK, HOLD_OUT, VALIDATION = range(5)
"""Purposes of random numbers; no two share a stream."""


def random_bits(count: int, *, seed: int, purpose: int, index: int = 0) -> npt.NDArray[np.uint64]:
    """`count` random 64-bit words.

    The counter-based generator is Philox4x64-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011),
    whose raw stream is the same in every version of numpy.
    """
    key = np.array([seed, (purpose << 48) | index], dtype=np.uint64)
    return np.random.Philox(key=key).random_raw(count)
