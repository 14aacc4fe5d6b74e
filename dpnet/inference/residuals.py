"""How a regression errs: scores of every output, how its errors are spread, and where they are largest.

The error of a sample is prediction - target, in the units of the data. Where samples have weights, all of it is
weighted, and samples of weight 0 enter nothing. A quantile is scikit-learn's and numpy's "averaged inverted CDF": of
the sorted errors the first up to which that share of the weight lies, and the mean of this and the next one where it is
that share exactly; so the median is what one knows as such.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector

Numbers = npt.NDArray[np.float64]
SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Of which quantiles are shown."""
MOST = 10
"""Errors that are listed one by one."""


@dataclass(frozen=True)
class OutputScores:
    """Scores of one output of a regression.

    Attributes:
        name: of the column of its targets, or its number from 0.
        r2: see `parallel.scores`.
        rmse: likewise.
        mae: likewise.
        bias: mean error: above 0 where predictions are too large.
        median_absolute_error: median of the sizes of the errors. As
            https://scikit-learn.org/stable/modules/generated/sklearn.metrics.median_absolute_error.html
        max_error: the largest size of an error. As
            https://scikit-learn.org/stable/modules/generated/sklearn.metrics.max_error.html
        error_quantiles: of the errors, for each of SHARES.
    """

    name: str
    r2: float
    rmse: float
    mae: float
    bias: float
    median_absolute_error: float
    max_error: float
    error_quantiles: tuple[float, ...]


@dataclass(frozen=True)
class LargeError:
    """A sample with a large error.

    Attributes:
        row: its number in the file, from 0.
        name: what the data call it: its name, or its line in a file of text; empty: neither.
        output: the name of the output.
        target: what it should have been.
        prediction: what the network gives.
    """

    row: int
    name: str
    output: str
    target: float
    prediction: float


@dataclass(frozen=True)
class NumberDetails:
    """Scores of a regression beyond those of an evaluation.

    Attributes:
        outputs: of each.
        largest: the samples with the largest errors, the largest first; of several outputs by deviations of the target.
        weighted: the samples have weights.
    """

    outputs: tuple[OutputScores, ...]
    largest: tuple[LargeError, ...] = field(default=())
    weighted: bool = False


def output_scores(name: str, r2: float, rmse: float, mae: float, errors: Vector, weights: Vector) -> OutputScores:
    """Scores of one output.

    Args:
        name: see OutputScores.
        r2: likewise.
        rmse: likewise.
        mae: likewise.
        errors: (samples,) of all that have a weight above 0.
        weights: (samples,) of the same.
    """
    sizes = np.abs(errors)
    bias = math.fsum(weights * errors) / math.fsum(weights)
    quantiles = tuple(quantile(errors, weights, share) for share in SHARES)
    return OutputScores(name, r2, rmse, mae, bias, quantile(sizes, weights, 0.5), float(sizes.max()), quantiles)


def quantile(values: Vector, weights: Vector, share: float) -> float:
    """A quantile, see the module's text.

    Args:
        values: (samples,) at least one.
        weights: (samples,) above 0.
        share: from 0 to 1.
    """
    order = np.argsort(values, kind="stable")
    until = np.cumsum(weights[order])
    reached, last = share * until[-1], len(values) - 1
    first = min(int(np.searchsorted(until, reached, "left")), last)
    after = min(int(np.searchsorted(until, reached, "right")), last)
    if share in (0.0, 1.0):
        return float(values[order[0 if share == 0 else last]])
    return float((values[order[first]] + values[order[after]]) / 2)
