"""Scaling: the network sees x = (raw - offset) * factor.

Offset and factor come from the training data alone. A checkpoint records them, so evaluation and prediction scale their
samples exactly as training did. Targets that are numbers are scaled likewise, each to mean 0 and deviation 1: a network
whose outputs are near 0 at first need not learn the units of the data. In predictions and scores that is undone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.config.model import Task
from dpnet.data.statistics import Moments
from dpnet.data.tasks import KINDS
from dpnet.errors import CheckpointError, DataError

OFFSET, FACTOR = "scaling.offset", "scaling.factor"
"""Names in the checkpoint."""
OF_TARGETS = "targets."
"""Begins the names of the scaling of targets there."""
LEAST_SPREAD = 1e-150
"""A smaller spread counts as none: the squares of such deviations underflow float64."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """x = (raw - offset) * factor.

    Attributes:
        offset: (features,) float64, or (1,): one number for all features.
        factor: (features,) or (1,) float64, never 0.
        targets: the same of the targets of a regression, (outputs,); None: there are none.
    """

    offset: Vector
    factor: Vector
    targets: Scaling | None = None

    @property
    def units(self) -> Vector:
        """1 / factor: what 1 is once it is scaled back."""
        return np.asarray(1 / self.factor)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of a checkpoint, by name."""
        of_targets = {} if self.targets is None else self.targets.to_tensors()
        own = {OFFSET: self.offset, FACTOR: self.factor}
        return own | {OF_TARGETS + name: tensor for name, tensor in of_targets.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Scaling:
        """The scaling of a checkpoint; other tensors among `tensors` are ignored.

        Raises:
            CheckpointError: an array is missing or is not a vector of finite numbers, or a factor is 0.
        """
        names = [name for name in (OFFSET, FACTOR) if OF_TARGETS + name in tensors]
        of_targets = {name: tensors[OF_TARGETS + name] for name in names}
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
        offset, factor = (np.array(tensors[name], dtype=np.float64) for name in (OFFSET, FACTOR))
        return cls(offset, factor, cls.from_tensors(of_targets) if of_targets else None)


def check_targets_scaling(scaling: Scaling, task: Task, outputs: int) -> None:
    """Check that the scaling of a checkpoint is that of a task with so many outputs.

    Raises:
        CheckpointError: it is not.
    """
    targets = scaling.targets
    seen = 0 if targets is None else len(targets.offset)
    if seen != (outputs if KINDS[task].are_scaled else 0) or (targets is not None and len(targets.factor) != seen):
        raise CheckpointError(
            f"The checkpoint's model.task is {task}, with {outputs} outputs, and its scaling is of {seen} targets; use "
            "another."
        )
    with np.errstate(over="ignore"):
        if targets is not None and not np.isfinite(targets.units).all():
            raise CheckpointError("The scaling of the checkpoint's targets is too small for float64; use another.")


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


def fit_targets(targets: npt.NDArray[np.float64], weights: Vector | None, file: str) -> Scaling:
    """The scaling of targets: each less its mean, divided by its population standard deviation, if it is not constant.

    A sum is rounded once, at its end: it does not depend on a machine. Samples count by their weights, as in the loss:
    of one of weight 0 the target may be anything.

    Args:
        targets: (rows, outputs) of the training samples, finite.
        weights: (rows,), see `Split.weights`.
        file: their origin, for messages.

    Raises:
        DataError: they are so far apart that the deviation is beyond float64.
    """
    heavy = np.flatnonzero(np.ones(len(targets)) if weights is None else weights)
    w = np.ones(len(heavy)) if weights is None else weights[heavy].astype(np.float64)
    whole = math.fsum(w.tolist())
    means: list[float] = []
    spreads: list[float] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for values in targets[heavy].T:
            from_first = values - values[0]  # As in `statistics.measure`.
            mean = _sum(w * from_first) / whole
            means.append(values[0] + mean)
            spreads.append(math.sqrt(_sum(w * np.square(from_first - mean)) / whole))
    offset, spread = np.array(means), np.array(spreads)
    if not (np.isfinite(offset).all() and np.isfinite(spread).all()):
        raise DataError(
            f"{file}: the targets range from {targets[heavy].min():g} to {targets[heavy].max():g}: too wide for "
            "float64; rescale them first."
        )
    return Scaling(offset, _inverse(spread, offset))


def _sum(values: npt.NDArray[np.float64]) -> float:
    try:
        return math.fsum(values.tolist())
    except (OverflowError, ValueError):  # What is not finite, or becomes so.
        return math.inf


SCALINGS: dict[str, Callable[[Moments], Scaling]] = {"none": _none, "unit": _unit, "standardize": _standardize}
"""The choices of data.scale."""
