"""Counts of right and wrong guesses, or sums of their weights, exact over ranks.

Every rank counts its own samples. Counts are whole numbers, whose sum over ranks is exact in any order, so the scores
that follow from them are the same for every world_size. Weights are cut into whole numbers, see `exact_sums`.
"""

from __future__ import annotations

import numpy as np

from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.compute.arrays import Indices, Labels, Matrix, SampleIds, Vector
from dpnet.data.classes import Classes
from dpnet.errors import ConfigError
from dpnet.inference.details import Details, area_under_roc
from dpnet.inference.exact_sums import PARTS, ExactWeights

MAX_MATRIX = 2048
"""Most classes of a confusion matrix, which is 32 MiB on every rank then, or 96 MiB with weights."""
DEFAULT_TOP_K = 5
"""k of the top-k accuracy, where there are more classes than that."""


class Tally:
    """Counts the samples of a rank.

    Args:
        classes: of the network.
        top_k: k of the top-k accuracy; None: DEFAULT_TOP_K, where there are more classes than that.

    Raises:
        ConfigError: a top-k accuracy of these classes would be 1 for every network, or 0.
    """

    def __init__(self, classes: Classes, top_k: int | None) -> None:
        number = len(classes)
        if top_k is None and number > DEFAULT_TOP_K:
            top_k = DEFAULT_TOP_K
        if top_k is not None and not 1 <= top_k < number:
            expected = f"expected at least 1 and less than the number of classes, which is {number}"
            raise ConfigError(f"top-k is {top_k}; {expected}", agreed=True)
        self._classes, self._top_k = classes, top_k
        self._margins: tuple[list[Vector], list[Vector]] = ([], [])
        self._weights: tuple[list[Vector], list[Vector]] = ([], [])
        self.weigh(None)

    def weigh(self, largest: float | None) -> None:
        """Begin anew, with samples of no larger weight; None: they have none."""
        number, self._exact = len(self._classes), None if largest is None else ExactWeights(largest)
        parts = 1 if self._exact is None else PARTS
        self._support, self._predicted, self._hits = np.zeros((3, parts, number))
        self._confusion = np.zeros((parts, number, number) if number <= MAX_MATRIX else (parts, 0, 0))
        self._top_k_hits = np.zeros((parts, 1))

    def add(self, logits: Matrix, labels: Labels, weights: Vector | None = None, ids: SampleIds | None = None) -> None:
        """Count some samples.

        Args:
            logits: (rows, classes), finite; only read.
            labels: (rows,) numbers of their classes.
            weights: (rows,) of them, where `weigh` was told of any.
            ids: not used.
        """
        number, guesses = len(self._classes), logits.argmax(axis=1)
        right = guesses == labels
        among = None if self._top_k is None else _places(logits, labels) < self._top_k
        weights = np.ones(len(labels)) if weights is None else weights
        parts = weights[np.newaxis] if self._exact is None else self._exact.cut(weights)
        for place, part in enumerate(parts):
            self._support[place] += np.bincount(labels, part, number)
            self._predicted[place] += np.bincount(guesses, part, number)
            self._hits[place] += np.bincount(labels[right], part[right], number)
            if self._confusion.size:
                np.add.at(self._confusion[place], (labels, guesses), part)
            if among is not None:
                self._top_k_hits[place] += part[among].sum()
        if number == 2:
            # The probability of the second class grows with this, and rounds to 1 where this still tells rows apart.
            margins = logits[:, 1].astype(np.float64) - logits[:, 0]
            for label in (0, 1):
                self._margins[label].append(margins[labels == label])
                self._weights[label].append(weights[labels == label])

    def total(self, group: Group, log_loss: float) -> Details:
        """The scores of the samples of all ranks, the same on every rank; collective.

        Args:
            group: all ranks.
            log_loss: of all samples.
        """
        parts = [self._support, self._predicted, self._hits, self._confusion, self._top_k_hits]
        # Whole numbers up to 2^53 are exact in float64, and so is every sum of them.
        counts = np.concatenate([part.ravel() for part in parts])
        group.allreduce(counts)
        ends = np.cumsum([part.size for part in parts])[:-1]
        sums = [one.reshape(part.shape) for one, part in zip(np.split(counts, ends), parts, strict=True)]
        support, predicted, hits, confusion, top_k_hits = (
            one[0].astype(np.int64) if self._exact is None else self._exact.join(one) for one in sums
        )
        return Details(
            classes=self._classes,
            log_loss=log_loss,
            support=support,
            predicted=predicted,
            hits=hits,
            confusion=confusion if confusion.size else None,
            top_k=self._top_k,
            top_k_hits=top_k_hits.tolist()[0],
            auc=self._area(group) if len(self._classes) == 2 else None,
            weighted=self._exact is not None,
        )

    def _area(self, group: Group) -> float | None:
        """The area under the ROC curve; rank 0 gets the margins of all samples, 8 bytes each, and their weights."""
        margins = [gathered(np.concatenate([np.zeros(0), *of_label]), group) for of_label in self._margins]
        if self._exact is None:
            return on_root(group, lambda: area_under_roc(*margins))
        weights = [gathered(np.concatenate([np.zeros(0), *of_label]), group) for of_label in self._weights]
        return on_root(group, lambda: area_under_roc(*margins, *weights))


def gathered(mine: Vector, group: Group) -> Vector:
    """The vectors of all ranks, one after the other, on rank 0; elsewhere nothing. Collective."""
    counts = group.allgather(len(mine))
    whole = np.zeros(sum(counts) if group.rank == 0 else 0)
    group.gather_into(mine, whole if group.rank == 0 else None, counts)
    return whole


def _places(logits: Matrix, labels: Labels) -> Indices:
    """How many classes come before the right one: (rows,); of equal logits the first comes first."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    places: Indices = np.count_nonzero((logits > own) | ((logits == own) & earlier), axis=1)
    return places
