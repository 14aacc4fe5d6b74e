"""Counts of right and wrong guesses, exact over ranks.

Every rank counts its own samples. Counts are whole numbers, whose sum over ranks is exact in any order, so the scores
that follow from them are the same for every world_size.
"""

from __future__ import annotations

import numpy as np

from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.compute.arrays import Labels, Matrix, Vector
from dpnet.data.classes import Classes
from dpnet.errors import ConfigError
from dpnet.inference.details import Counts, Details, area_under_roc

MAX_MATRIX = 2048
"""Most classes of a confusion matrix, which is 32 MiB on every rank then."""
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
        self._classes, self._top_k, self._top_k_hits = classes, top_k, 0
        self._support, self._predicted, self._hits = np.zeros((3, number), np.int64)
        self._confusion = np.zeros((number, number) if number <= MAX_MATRIX else (0, 0), np.int64)
        self._margins: tuple[list[Vector], list[Vector]] = ([], [])

    def add(self, logits: Matrix, labels: Labels) -> None:
        """Count some samples.

        Args:
            logits: (rows, classes), finite; only read.
            labels: (rows,) numbers of their classes.
        """
        number, guesses = len(self._classes), logits.argmax(axis=1)
        self._support += np.bincount(labels, minlength=number)
        self._predicted += np.bincount(guesses, minlength=number)
        self._hits += np.bincount(labels[guesses == labels], minlength=number)
        if self._confusion.size:
            np.add.at(self._confusion, (labels, guesses), 1)
        if self._top_k is not None:
            self._top_k_hits += int(np.count_nonzero(_places(logits, labels) < self._top_k))
        if number == 2:
            # The probability of the second class grows with this, and rounds to 1 where this still tells rows apart.
            margins = logits[:, 1].astype(np.float64) - logits[:, 0]
            for label in (0, 1):
                self._margins[label].append(margins[labels == label])

    def total(self, group: Group, log_loss: float) -> Details:
        """The scores of the samples of all ranks, the same on every rank; collective.

        Args:
            group: all ranks.
            log_loss: of all samples.
        """
        parts = [self._support, self._predicted, self._hits, self._confusion, np.array([self._top_k_hits])]
        # Whole numbers up to 2^53 are exact in float64, and so is every sum of them.
        counts = np.concatenate([part.ravel() for part in parts]).astype(np.float64)
        group.allreduce(counts)
        ends = np.cumsum([part.size for part in parts])[:-1]
        support, predicted, hits, confusion, top_k_hits = np.split(counts.astype(np.int64), ends)
        return Details(
            classes=self._classes,
            log_loss=log_loss,
            support=support,
            predicted=predicted,
            hits=hits,
            confusion=confusion.reshape(self._confusion.shape) if confusion.size else None,
            top_k=self._top_k,
            top_k_hits=int(top_k_hits[0]),
            auc=self._area(group) if len(self._classes) == 2 else None,
        )

    def _area(self, group: Group) -> float | None:
        """The area under the ROC curve; rank 0 gets the margins of all samples, 8 bytes each."""
        mine = [np.concatenate([np.zeros(0), *margins]) for margins in self._margins]
        negatives, positives = zip(*group.allgather((len(mine[0]), len(mine[1]))), strict=True)
        whole = [np.zeros(sum(counts) if group.rank == 0 else 0) for counts in (negatives, positives)]
        for part, every, counts in zip(mine, whole, (negatives, positives), strict=True):
            group.gather_into(part, every if group.rank == 0 else None, counts)
        return on_root(group, lambda: area_under_roc(*whole))


def _places(logits: Matrix, labels: Labels) -> Counts:
    """How many classes come before the right one: (rows,); of equal logits the first comes first."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    places: Counts = np.count_nonzero((logits > own) | ((logits == own) & earlier), axis=1)
    return places
