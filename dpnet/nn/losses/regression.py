"""Losses of numbers: squared, absolute and Huber's error, each with its gradient.

The last layer computes one number z for each target t of a sample. A loss sees their difference alone, the error

    e = z - t        de/dz = 1        so        dL/dz = dL/de

**Squared error**, the negative log-likelihood of errors of normal distribution, but for a constant and a factor:

    L = e^2                  dL/de = 2 e

Without 1/2, as PyTorch's MSELoss and the mean squared error of everybody have it; scikit-learn's MLPRegressor
minimises half of it. It is least at the mean of the targets that samples of the same inputs have. A large error counts
by its square, so a few wrong targets pull a network far.

**Absolute error**, that of a Laplace distribution:

    L = |e|                  dL/de = 1 if e > 0, -1 if e < 0

It is least at the median. All errors pull alike, however large. At e = 0 it has a kink and no derivative; every slope
from -1 to 1 lies below the curve there (a subgradient), and 0 is taken: a target that is met exactly pulls nothing, and
at a minimum nothing moves. So has PyTorch's L1Loss. The slope does not fade near the minimum: a constant learning rate
keeps jumping about it.

**Huber's error** is the squared one up to a bound d and goes on as a straight line beyond it (P. J. Huber, "Robust
Estimation of a Location Parameter", 1964):

    L = e^2 / 2              dL/de = e                  if |e| <= d
    L = d (|e| - d / 2)      dL/de = d if e > 0, -d     elsewhere

Both pieces and both slopes agree at |e| = d, so there is no kink anywhere; only the second derivative jumps, from 1
to 0. With c = min(|e|, d) the two pieces are one formula, without a case:

    L = c (|e| - c / 2)      dL/de = max(-d, min(e, d))

As PyTorch's HuberLoss. With d = 1 it is SmoothL1Loss; as d grows it becomes half of the squared error.

**Several targets.** The loss of a sample is the mean over its K targets, and their gradients are divided by K: each
target has its own output, and no output sees another's error.

**Weights.** A sample of weight w counts as w samples: its loss, its gradient and its absolute error are multiplied by
w. A weight of 0 leaves it out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, Targets, Vector

Numbers = npt.NDArray[np.float64]


class RegressionLoss(ABC):
    """A loss of numbers, its gradient, and the absolute error, for one batch at a time. Errors are float64.

    Args:
        max_rows: most rows of a call.
        units: (targets,) float64, what 1 of each target is in the units that the absolute error is wanted in.
    """

    has_kink: ClassVar[bool] = False
    """Whether there is an error at which the loss has no derivative."""

    def __init__(self, max_rows: int, units: Vector) -> None:
        self._num_targets, self._units = len(units), units / len(units)
        self._errors, self._work = np.zeros((2, max_rows, len(units)))

    def __call__(
        self, outputs: Matrix, targets: Targets, scale: float, weights: Vector | None = None
    ) -> tuple[float, float]:
        """The loss and the absolute error, summed over the batch.

        Args:
            outputs: (rows, targets), C order. Overwritten with d loss / d outputs * scale.
            targets: (rows, targets) float64.
            scale: factor on the gradient, 1 / global number of samples in this step, or 1 / their weight. Nothing else
                is ever divided by a number of samples: all later sums, over rows, shards and ranks, are plain sums.
            weights: (rows,) float64, each at least 0: how much a row counts; None: each counts as 1.

        Returns:
            The loss and the absolute error in `units`, both the mean over the targets of a row, weighted, summed over
            the rows in float64, and not multiplied by scale. Both are 0 without rows. They are not finite if an output
            is not.
        """
        rows = len(outputs)
        errors, work = self._errors[:rows], self._work[:rows]
        np.subtract(outputs, targets, out=errors)
        np.abs(errors, out=work)
        np.multiply(work, self._units, out=work)
        distance = _total(work, weights)
        self._turn(errors, work)
        loss = _total(work, weights) / self._num_targets
        if weights is not None:
            np.multiply(errors, weights[:, np.newaxis], out=errors)
        np.multiply(errors, scale / self._num_targets, out=outputs, casting="same_kind")
        return loss, distance

    @abstractmethod
    def _turn(self, errors: Numbers, losses: Numbers) -> None:
        """Overwrite `losses` (rows, targets) with the losses of the errors, and the errors with the slopes there."""


class SquaredError(RegressionLoss):
    """L = e^2, see the module's text."""

    def _turn(self, errors: Numbers, losses: Numbers) -> None:
        np.multiply(errors, errors, out=losses)
        np.multiply(errors, 2.0, out=errors)


class AbsoluteError(RegressionLoss):
    """L = |e|, see the module's text."""

    has_kink: ClassVar[bool] = True

    def _turn(self, errors: Numbers, losses: Numbers) -> None:
        np.abs(errors, out=losses)
        np.sign(errors, out=errors)


class HuberError(RegressionLoss):
    """Squared up to `delta` and a straight line beyond it, see the module's text.

    Args:
        max_rows: see RegressionLoss.
        units: see RegressionLoss.
        delta: d of the module's text, above 0.
    """

    def __init__(self, max_rows: int, units: Vector, delta: float) -> None:
        super().__init__(max_rows, units)
        self._delta, self._near = delta, np.zeros((max_rows, len(units)))

    def _turn(self, errors: Numbers, losses: Numbers) -> None:
        near = self._near[: len(errors)]  # c of the module's text; first its half, with d / 2 in place of d.
        np.abs(errors, out=losses)
        np.multiply(losses, 0.5, out=near)
        np.minimum(near, self._delta / 2, out=near)
        np.subtract(losses, near, out=losses)
        np.multiply(near, 2.0, out=near)
        np.multiply(losses, near, out=losses)
        np.clip(errors, -self._delta, self._delta, out=errors)


def _total(values: Numbers, weights: Vector | None) -> float:
    """The sum of all values; each row times its weight."""
    if weights is None:
        return float(np.add.reduce(values, axis=None))
    return float(np.add.reduce(np.add.reduce(values, axis=1) * weights))
