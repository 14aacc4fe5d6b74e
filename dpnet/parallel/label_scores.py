"""Scores where a sample may have several labels, from sums over samples that can be made in any pieces.

With w the weight of a sample, and of a label

    support      sum w [the sample has it]
    predicted    sum w [it is predicted: its logit is above 0, its probability above 1/2]
    hits         sum w [both]

the scores are

    F1 of a label      2 hits / (support + predicted)      the harmonic mean of precision and recall
    macro F1           the mean F1 of all labels
    micro F1           2 sum hits / (sum support + sum predicted)      sums over labels
    subset accuracy    sum w [all labels of the sample are predicted, and no other] / sum w

They are those of scikit-learn (`f1_score` with average="macro" and "micro", `accuracy_score`), and a ratio of nothing
is 0, as there with zero_division=0: so macro F1 counts a label that no sample has as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, Targets, Vector
from dpnet.nn.losses.interface import Loss
from dpnet.parallel.scores import Scores
from dpnet.parallel.weights import total

Numbers = npt.NDArray[np.float64]


class LabelCounts(NamedTuple):
    """Of each label, see the module's text: (labels,) float64; or int64, the numbers of samples without weights."""

    hits: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    support: npt.NDArray[Any]

    @property
    def precision(self) -> Numbers:
        """(labels,) hits / predicted; 0 for a label that was never predicted."""
        return ratio(self.hits, self.predicted)

    @property
    def recall(self) -> Numbers:
        """(labels,) hits / support; 0 for a label that no sample has."""
        return ratio(self.hits, self.support)

    @property
    def f1(self) -> Numbers:
        """(labels,) see the module's text; 0 for a label that no sample has and that was never predicted."""
        return ratio(2 * self.hits, self.support + self.predicted)

    @property
    def micro_f1(self) -> float:
        """See the module's text."""
        whole = self.support.sum() + self.predicted.sum()
        return float(2 * self.hits.sum() / whole) if whole else 0.0


class OfLabels:
    """The scores of a network that says of each label whether a sample has it.

    Args:
        loss: gives the loss and the weight of the samples without a mistake.
        labels: number of labels.
    """

    def __init__(self, loss: Loss, labels: int) -> None:
        self._loss = loss
        self.num_sums = 3 + 3 * labels

    def sums(self, outputs: Matrix, targets: Targets, weights: Vector | None) -> Sequence[float]:
        """Weight, loss and weight of the samples without a mistake; and the LabelCounts, one after the other.

        See Scorer.sums.
        """
        predicted = outputs > 0
        counts = [_sums(which, weights) for which in (predicted & targets, predicted, targets)]
        sums = total(len(outputs), weights), *self._loss(outputs, targets, 1.0, weights)
        return *sums, *np.hstack(counts).tolist()

    def scores(self, sums: Sequence[float], samples: int) -> Scores:
        """See Scorer.scores."""
        weight, loss, right = sums[:3]
        counts = counts_of(sums)
        return Scores(
            loss / weight,
            None,
            samples,
            micro_f1=counts.micro_f1,
            macro_f1=float(counts.f1.mean()),
            subset_accuracy=right / weight,
        )


def _sums(which: npt.NDArray[np.bool_], weights: Vector | None) -> npt.NDArray[Any]:
    """(labels,) of every label the weight, or the number, of the rows that are meant: (rows, labels)."""
    if weights is None:
        return np.count_nonzero(which, axis=0)  # type: ignore[no-any-return]
    return np.asarray(np.add.reduce(np.broadcast_to(weights[:, np.newaxis], which.shape), axis=0, where=which))


def counts_of(sums: Sequence[float], *, weighted: bool = True) -> LabelCounts:
    """The counts in the sums of OfLabels, of samples with weights or without."""
    return LabelCounts(*np.array(sums[3:]).astype(np.float64 if weighted else np.int64).reshape(3, -1))


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Numbers:
    """Element by element; 0 where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0))
