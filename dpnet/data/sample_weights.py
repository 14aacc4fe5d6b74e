"""Weights of samples as files hold them: how much a sample counts in losses and means."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.data.labels import Place
from dpnet.errors import DataError

LARGEST = 1e30
"""The sum of very many such weights, and its square, are still finite."""
LEAST = 1e-250
"""Losses are divided by sums of weights: 1 / LEAST is finite, also once weights of classes have made it smaller."""


def check_weights(weights: npt.NDArray[Any], samples: int, file: str, place: Place | None = None) -> Vector:
    """Weights as float64, of which one or more is above 0.

    Args:
        weights: (samples,) or (samples, 1), of numbers or booleans.
        samples: number of samples.
        file: origin of the weights, for messages.
        place: says where the weight of a row stands; None: in that row of `file`.

    Raises:
        DataError: there are more or fewer, or one is not finite, below 0 or too small, or all are 0.
    """
    if weights.ndim == 2 and weights.shape[1] == 1:
        weights = weights[:, 0]
    if weights.shape != (samples,) or weights.dtype.kind not in "biuf":
        raise DataError(
            f"{file} holds weights of type {weights.dtype} and shape {weights.shape}; expected a number for each of "
            f"the {samples:,} samples: ({samples},)."
        )
    values = weights.astype(np.float64)
    right = (values == 0) | ((values >= LEAST) & (values <= LARGEST))
    if not right.all():
        row = int(np.argmin(right))
        where = f"{file}, row {row} (from 0)" if place is None else place(row)
        raise DataError(
            f"{where}: the weight is {values[row]}; expected 0, or a number from {LEAST:g} to {LARGEST:g}. A "
            "weight of 0 leaves a sample out of loss and scores."
        )
    if not values.any():
        raise DataError(f"{file}: all weights are 0; expected one or more above it.")
    return values


def weights_text(weights: Vector) -> str:
    """A sentence that says what weights there are."""
    seen = f"every sample has a weight in the loss and in the scores, from {weights.min():g} to {weights.max():g}"
    unused = int((weights == 0).sum())
    return f"{seen}; {unused:,} of {len(weights):,} have the weight 0" if unused else seen
