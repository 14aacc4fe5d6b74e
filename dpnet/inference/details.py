"""How a network errs: scores of every class or label, and scores that weigh all alike, from exact counts.

    recall of a class       hits / support                      support: its samples
    precision of a class    hits / predicted                    predicted: the guesses that name it
    F1 of a class           2 hits / (support + predicted)      hits: its samples with such a guess

The definitions are scikit-learn's, and a ratio of nothing is 0, as there with zero_division=0. Where the counts come
from is not known here: see `inference.tally`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.data.classes import Classes
from dpnet.parallel.label_scores import LabelCounts, ratio

Counts = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Ratios = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Details:
    """Scores of a classifier beyond loss and accuracy; of the same samples, at least one.

    Where samples have weights, "samples" below means their weight, as with scikit-learn's sample_weight.

    Attributes:
        classes: of the network, in the order of all arrays below.
        log_loss: mean negative log-likelihood, in nats, from the logits: no probability is clipped. As
            https://scikit-learn.org/stable/modules/generated/sklearn.metrics.log_loss.html
        support: (classes,) samples of each class.
        predicted: (classes,) samples that each class was predicted for.
        hits: (classes,) samples of each class that it was predicted for.
        confusion: (classes, classes) samples of the row's class that the column's class was predicted for; None: there
            are too many classes, see `tally.MAX_MATRIX`. As
            https://scikit-learn.org/stable/modules/generated/sklearn.metrics.confusion_matrix.html
        top_k: number of guesses in the top-k accuracy; None: it was not computed.
        top_k_hits: samples whose class is among the `top_k` with the largest logits. Of equal logits the first counts
            as larger, as in the accuracy.
        auc: with two classes, the area under the ROC curve, see `area_under_roc`. None: there are more classes, or one
            of the two has no sample.
        weighted: the samples have weights.
    """

    classes: Classes
    log_loss: float
    support: Counts
    predicted: Counts
    hits: Counts
    confusion: Counts | None
    top_k: int | None
    top_k_hits: int | float
    auc: float | None
    weighted: bool = False

    def __eq__(self, other: object) -> bool:
        names = [field.name for field in dataclasses.fields(self)]
        return isinstance(other, Details) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in names
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def recall(self) -> Ratios:
        """(classes,) hits / support; 0 for a class without samples."""
        return ratio(self.hits, self.support)

    @property
    def precision(self) -> Ratios:
        """(classes,) hits / predicted; 0 for a class that was never predicted."""
        return ratio(self.hits, self.predicted)

    @property
    def f1(self) -> Ratios:
        """(classes,) 2 hits / (support + predicted), the harmonic mean of precision and recall; 0 without both."""
        return ratio(2 * self.hits, self.support + self.predicted)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have samples.

        https://scikit-learn.org/stable/modules/generated/sklearn.metrics.balanced_accuracy_score.html
        """
        return float(self.recall[self.support > 0].mean())

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have samples or were predicted.

        With average="macro", zero_division=0:
        https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html
        """
        return float(self.f1[self.support + self.predicted > 0].mean())

    @property
    def top_k_accuracy(self) -> float | None:
        """Fraction of samples whose class is among the `top_k` best guesses.

        As scikit-learn, but for equal logits, of which the last counts as larger there:
        https://scikit-learn.org/stable/modules/generated/sklearn.metrics.top_k_accuracy_score.html
        """
        return None if self.top_k is None else float(self.top_k_hits / self.support.sum())


@dataclass(frozen=True, eq=False)
class LabelDetails:
    """Scores of every label, where a sample may have several; see `parallel.label_scores`.

    Attributes:
        labels: of the network, in the order of all arrays of the counts.
        counts: of the samples, or of their weights.
        weighted: the samples have weights.
    """

    labels: Classes
    counts: LabelCounts
    weighted: bool


def area_under_roc(
    negatives: Vector, positives: Vector, of_negatives: Vector | None = None, of_positives: Vector | None = None
) -> float | None:
    """The area under the ROC curve: how probably a sample of the second class has the larger score; ties count half.

    It is U / (N P) for N negatives and P positives, where U is the number of pairs with negative < positive plus half
    of those with negative = positive (H. B. Mann and D. R. Whitney, 1947). 2 U is a whole number: only the division
    rounds. With weights a pair counts as the product of its two.
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.roc_auc_score.html

    Args:
        negatives: (N,) scores of the samples of the first class.
        positives: (P,) scores of the samples of the second class.
        of_negatives: (N,) their weights; None: all count alike.
        of_positives: (P,) likewise.

    Returns:
        The area; None if N or P is 0, or their weight: it is not defined then.
    """
    if of_negatives is not None and of_positives is not None:
        return _weighted_area(negatives, positives, of_negatives, of_positives)
    if not (len(negatives) and len(positives)):
        return None
    low, high = np.sort(negatives), np.sort(positives)
    twice = int(np.searchsorted(low, high, "left").sum()) + int(np.searchsorted(low, high, "right").sum())
    return twice / (2 * len(low) * len(high))


def _weighted_area(negatives: Vector, positives: Vector, of_negatives: Vector, of_positives: Vector) -> float | None:
    if not (of_negatives.any() and of_positives.any()):
        return None
    order = np.argsort(negatives, kind="stable")
    low, below = negatives[order], np.append(0.0, np.cumsum(of_negatives[order]))
    of_pairs = (below[np.searchsorted(low, positives, "left")] + below[np.searchsorted(low, positives, "right")]) / 2
    return math.fsum(of_positives * of_pairs) / (math.fsum(of_positives) * float(below[-1]))
