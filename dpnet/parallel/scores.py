"""Scores: how good a network is, from sums over samples that can be made in any pieces.

With w the weight of a sample, t its target, z what the network gives for it, and m the mean target of all samples,
each sum over samples weighted by w:

    accuracy    sum w [the largest logit is that of the label] / sum w
    R2          1 - sum w (z - t)^2 / sum w (t - m)^2       the share of the targets' variance that is explained
    RMSE        (sum w (z - t)^2 / sum w)^(1/2)             in the units of the target
    MAE         sum w |z - t| / sum w                       in the units of the target

These are the definitions of scikit-learn (`r2_score`, `root_mean_squared_error`, `mean_absolute_error`), also for
several outputs: R2, RMSE and MAE are the plain means of those of the outputs. Where all targets are the same there is
no variance to explain, and R2 is 1 if they are met exactly, else 0; of a single sample, too.

sum w (t - m)^2 is made without a first pass for m: with sums about any origin o it is

    sum w (t - o)^2 - (sum w (t - o))^2 / sum w

which loses digits where o lies far from m. The target of a sample with the largest weight is taken. Its own distance
enters the variance, so of n samples the second term is at most n times the result; and of targets that are all the
same, both terms are 0. A deviation below LEAST_SPREAD counts as none, as in the scaling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dpnet.compute.arrays import Matrix, Targets, Vector
from dpnet.data.scaling import LEAST_SPREAD, Scaling
from dpnet.nn.losses.interface import Loss
from dpnet.parallel.weights import total

MEASURES = {
    "accuracy": "accuracy",
    "r2": "R2",
    "rmse": "RMSE",
    "mae": "MAE",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "subset_accuracy": "subset accuracy",
    "loss": "loss",
}
"""The measures among the scores, by their names in Scores; as people know them, and in the order in which they read."""
LARGE = 1e6
"""From here on a number is shown with an exponent."""
SMALLER_IS_BETTER = ("rmse", "mae", "loss")
SHARES = ("accuracy", "subset_accuracy")
"""Measures that are shown in percent."""
WITH_UNITS = ("rmse", "mae")
"""Measures in the units of the data."""
MEASURED = {"classification": "accuracy", "regression": "mae", "multilabel": "subset_accuracy"}
"""What is measured of the samples of a step besides their loss, by task: `Sums.hits` makes it."""


@dataclass(frozen=True)
class Scores:
    """Result of an evaluation. A measure that the task does not have is None.

    Attributes:
        loss: mean loss, weighted where the samples have weights: negative log-likelihood, in nats; or of errors in
            deviations of the targets. With several labels for each sample, the mean over these, too.
        accuracy: fraction of samples whose largest logit is that of their label; of their weight, where they have one.
        samples: number of samples.
        r2: see the module's text.
        rmse: likewise.
        mae: likewise.
        micro_f1: see `parallel.label_scores`.
        macro_f1: likewise.
        subset_accuracy: likewise.
    """

    loss: float
    accuracy: float | None
    samples: int
    r2: float | None = None
    rmse: float | None = None
    mae: float | None = None
    micro_f1: float | None = None
    macro_f1: float | None = None
    subset_accuracy: float | None = None

    @property
    def measures(self) -> dict[str, float]:
        """The measures that the task has, by name."""
        return {name: value for name in MEASURES if (value := getattr(self, name)) is not None}

    @property
    def not_finite(self) -> str:
        """A measure that is not finite, as people know it, the loss before others; empty: there is none."""
        bad = [MEASURES[name] for name, value in self.measures.items() if not math.isfinite(value)]
        return bad[-1] if bad else ""


class Scorer(Protocol):
    """Makes the sums of some samples, and scores of the sums of all.

    Attributes:
        num_sums: how many sums there are; the first is that of the weights.
    """

    num_sums: int

    def sums(self, outputs: Matrix, targets: Targets, weights: Vector | None) -> Sequence[float]:
        """The sums over some rows.

        Args:
            outputs: (rows, outputs) of the network; overwritten.
            targets: of the rows.
            weights: (rows,), or None: each counts as 1.
        """

    def scores(self, sums: Sequence[float], samples: int) -> Scores:
        """The scores, of sums over so many samples that do not weigh 0 together."""


class OfClasses:
    """The scores of a classifier.

    Args:
        loss: gives the loss and the hits.
    """

    num_sums = 3

    def __init__(self, loss: Loss) -> None:
        self._loss = loss

    def sums(self, outputs: Matrix, targets: Targets, weights: Vector | None) -> Sequence[float]:
        """Weight, loss and hits; see Scorer.sums."""
        return total(len(outputs), weights), *self._loss(outputs, targets, 1.0, weights)

    def scores(self, sums: Sequence[float], samples: int) -> Scores:
        """See Scorer.scores."""
        weight, loss, hits = sums
        return Scores(loss / weight, hits / weight, samples)


class OfNumbers:
    """The scores of a regression.

    Args:
        loss: gives the loss.
        scaling: of the targets.
        origin: (outputs,) o of the module's text, scaled as the targets are.
    """

    def __init__(self, loss: Loss, scaling: Scaling, origin: Vector) -> None:
        self._loss, self._units, self._origin = loss, scaling.units, origin
        self.num_sums = 2 + 4 * len(self._units)

    def sums(self, outputs: Matrix, targets: Targets, weights: Vector | None) -> Sequence[float]:
        """Weight and loss; and of each output t - o, its square, the square of the error, and its size.

        See Scorer.sums.
        """
        errors, centred = outputs.astype(np.float64) - targets, targets - self._origin
        terms = np.hstack([centred, np.square(centred), np.square(errors), np.abs(errors)])
        if weights is not None:
            terms *= weights[:, np.newaxis]
        loss, _ = self._loss(outputs, targets, 1.0, weights)
        return total(len(outputs), weights), loss, *np.add.reduce(terms, axis=0).tolist()

    def scores(self, sums: Sequence[float], samples: int) -> Scores:
        """See Scorer.scores."""
        r2, rmse, mae = (float(np.mean(of_output)) for of_output in self.of_outputs(sums))
        return Scores(sums[1] / sums[0], None, samples, r2=r2, rmse=rmse, mae=mae)

    def of_outputs(self, sums: Sequence[float]) -> tuple[Vector, Vector, Vector]:
        """R2, RMSE and MAE, each (outputs,), of sums as `scores` takes them."""
        weight, _, *of_outputs = sums
        shifts, squares, of_errors, sizes = np.array(of_outputs).reshape(4, -1)
        with np.errstate(over="ignore", invalid="ignore"):
            variance = np.maximum(squares - np.square(shifts) / weight, 0)
            varies = variance > weight * LEAST_SPREAD**2
            # Without variance 1 - 0 or 1 - 1; NaN stays NaN.
            unexplained = np.divide(of_errors, variance, out=np.where(of_errors > 0, 1.0, of_errors), where=varies)
        return 1 - unexplained, np.sqrt(of_errors / weight) * self._units, sizes / weight * self._units


def measure_text(name: str, value: float | None, *, digits: int = 4) -> str:
    """A measure in words: `accuracy 93.20%`; one that is not known is said to be so.

    Args:
        name: one of MEASURES.
        value: of the measure.
        digits: behind the point of a loss, an R2 or an F1; what has the units of the data has as many that are not 0,
            and one, and so has what is very large.
    """
    if value is None:
        return f"{MEASURES[name]} unknown"
    kind = f".{digits - 2}%" if name in SHARES else f".{digits}f"
    if name in WITH_UNITS or abs(value) >= LARGE:
        kind = f".{digits + 1}g"
    return f"{MEASURES[name]} {value:{kind}}"


def scores_text(measures: Mapping[str, float | None], *, digits: int = 4, between: str = ", ") -> str:
    """Measures in words, see `measure_text`."""
    return between.join(measure_text(name, measures[name], digits=digits) for name in MEASURES if name in measures)
