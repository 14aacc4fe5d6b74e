"""Scaling: the network sees x = (raw - offset) * factor.

Offset and factor come from the training data alone. A checkpoint records them, so evaluation and prediction scale their
samples exactly as training did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.data.statistics import Moments
from dpnet.errors import CheckpointError, DataError

OFFSET, FACTOR = "scaling.offset", "scaling.factor"
"""Names in the checkpoint."""
LEAST_SPREAD = 1e-150
"""A smaller spread counts as none: the squares of such deviations underflow float64."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """x = (raw - offset) * factor.

    Attributes:
        offset: (features,) float64, or (1,): one number for all features.
        factor: (features,) or (1,) float64, never 0.
    """

    offset: Vector
    factor: Vector

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of a checkpoint, by name."""
        return {OFFSET: self.offset, FACTOR: self.factor}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Scaling:
        """The scaling of a checkpoint; other tensors among `tensors` are ignored.

        Raises:
            CheckpointError: an array is missing or is not a vector of finite numbers, or a factor is 0.
        """
        for name in (OFFSET, FACTOR):
            if name not in tensors:
                raise CheckpointError(f"The checkpoint has no tensor {name}; use one that dpnet wrote.")
            tensor = tensors[name]
            if tensor.dtype.kind != "f" or tensor.ndim != 1 or not np.isfinite(tensor).all():
                raise CheckpointError(
                    f"The tensor {name} of the checkpoint is not a vector of finite numbers; use another."
                )
            if name == FACTOR and not tensor.all():
                raise CheckpointError(f"The tensor {name} of the checkpoint holds a factor of 0; use another.")
        return cls(*(np.array(tensors[name], dtype=np.float64) for name in (OFFSET, FACTOR)))


UNSCALED = Scaling(np.zeros(1), np.ones(1))
"""Leaves all values as they are."""


def fit(kind: str, moments: Moments) -> Scaling:
    """The scaling called `kind` for training data with these statistics.

    Args:
        kind: a key of SCALINGS.
            none: values stay as they are.
            unit: (x - low) / (high - low), with the smallest and the largest of all training values; to 0..1.
            standardize: each feature less its mean, divided by its population standard deviation, as scikit-learn's
                StandardScaler does; a feature that is constant up to rounding is only centred.
        moments: of all training samples.

    Raises:
        DataError: the values are so large that their range or deviation is beyond float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaling = SCALINGS[kind](moments)
    # Only a range or deviation that overflowed gives a factor of 0.
    if not (np.isfinite(scaling.offset).all() and np.isfinite(scaling.factor).all() and scaling.factor.all()):
        raise DataError(
            f"The training inputs range from {moments.low:g} to {moments.high:g}: "
            f'too wide for data.scale = "{kind}" in float64; rescale the data first.'
        )
    return scaling


def _none(moments: Moments) -> Scaling:
    return UNSCALED


def _unit(moments: Moments) -> Scaling:
    return Scaling(np.array([moments.low]), _inverse(np.array([moments.high - moments.low]), np.array([moments.low])))


def _standardize(moments: Moments) -> Scaling:
    return Scaling(moments.mean, _inverse(np.sqrt(moments.m2 / moments.count), moments.mean))


def _inverse(spread: Vector, values: Vector) -> Vector:
    """1 / spread; 1 where the spread is at most the rounding of `values`."""
    constant = spread <= np.maximum(8 * np.finfo(np.float64).eps * np.abs(values), LEAST_SPREAD)
    return 1 / np.where(constant, 1, spread)


SCALINGS: dict[str, Callable[[Moments], Scaling]] = {"none": _none, "unit": _unit, "standardize": _standardize}
"""The choices of data.scale."""
