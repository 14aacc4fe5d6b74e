"""Tasks: what the labels of a task are, and how they are read. The one place in `data` that tells tasks apart.

    classification    one of several classes for each sample       (n,) int64, numbers of the classes
    regression        a number for each output                     (n, outputs) float64, scaled for the network
    multilabel        yes or no for each label                     (n, labels) bool

What a task is beyond its data stands in tables like this one, where it is needed: its loss and its scores in
`parallel.replica`, its predictions in `inference.answers`, its measures in `config.model.METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from dpnet.compute.arrays import Targets
from dpnet.config.model import Task
from dpnet.data.classes import Classes, plain_classes
from dpnet.data.label_sets import check_label_sets
from dpnet.data.labels import Place, number_labels
from dpnet.data.targets import Numbers, check_targets


@dataclass(frozen=True)
class Kind:
    """What the labels of a task are.

    Attributes:
        read: turns labels as a file holds them into those that `Split` has, and into the classes that they mean; it
            raises DataError where they are none.
        in_rows: they are (n, outputs), a number for each output, and not a number of a class.
        are_scaled: they are scaled as inputs are: to mean 0 and deviation 1.
        words: what the outputs stand for.
    """

    read: Callable[[npt.NDArray[Any], str, Place | None], tuple[Targets, Classes]]
    in_rows: bool
    are_scaled: bool
    words: str


def _numbers(targets: npt.NDArray[Any], file: str, place: Place | None) -> tuple[Numbers, Classes]:
    return check_targets(targets, file, place), plain_classes(0)


KINDS: dict[Task, Kind] = {
    "classification": Kind(number_labels, in_rows=False, are_scaled=False, words="classes"),
    "regression": Kind(_numbers, in_rows=True, are_scaled=True, words="targets"),
    "multilabel": Kind(check_label_sets, in_rows=True, are_scaled=False, words="labels"),
}
"""By the name of the task."""
