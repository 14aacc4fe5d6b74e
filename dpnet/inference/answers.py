"""What a network says of a sample, made of its outputs: a class with the probabilities of all, numbers, or labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Indices, Matrix
from dpnet.config.model import Task
from dpnet.data.classes import Classes
from dpnet.data.scaling import Scaling
from dpnet.inference.network import Network
from dpnet.nn.losses.binary_nll import sigmoid
from dpnet.nn.losses.softmax_nll import softmax


class Answers(Protocol):
    """Makes answers of outputs.

    Attributes:
        unknown: what stands for the answer to a sample that has none, in words.
    """

    unknown: str

    def finish(self, outputs: Matrix) -> None:
        """Turn outputs (rows, outputs) in place into what other ranks can be sent."""

    def record(self, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
        """The fields of an answer in an .npy file, as numpy describes them; outputs have this `dtype`."""

    def fill(self, records: npt.NDArray[Any], finished: Matrix) -> None:
        """Put the answers of finished outputs, in which a row without one is NaN, into records."""

    def names(self) -> list[str]:
        """The columns of a .csv file."""

    def cells(self, finished: Matrix) -> list[list[str]]:
        """The same answers as the rows of that file; a number is read back as the same."""


class ClassAnswers:
    """The label, and the probabilities of all classes.

    Args:
        classes: of the network.
    """

    def __init__(self, classes: Classes) -> None:
        self._classes, self._labels = classes, _labels(classes)
        self._texts = [*map(str, classes.values.tolist()), str(self._labels[-1])]
        self.unknown = f"label {self._texts[-1]} and NaN" if self._texts[-1] else "an empty label and NaN"

    def finish(self, outputs: Matrix) -> None:
        """See Answers.finish: to probabilities."""
        softmax(outputs)

    def record(self, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
        """See Answers.record: `label` and `probabilities`."""
        return [("label", self._labels.dtype), ("probabilities", dtype, (len(self._classes),))]

    def fill(self, records: npt.NDArray[Any], finished: Matrix) -> None:
        """See Answers.fill."""
        records["label"], records["probabilities"] = self._labels[_guesses(finished)], finished

    def names(self) -> list[str]:
        """See Answers.names; "id" is none of them."""
        between = "" if self._classes.plain else "_"
        return ["label", *(f"p{between}{label}" for label in self._classes.values)]

    def cells(self, finished: Matrix) -> list[list[str]]:
        """See Answers.cells."""
        digits = {4: 9, 8: 17}[finished.dtype.itemsize]
        rows = zip(_guesses(finished).tolist(), finished.tolist(), strict=True)
        return [[self._texts[place], *(f"{value:.{digits}g}" for value in row)] for place, row in rows]


class NumberAnswers:
    """The numbers, in the units of the targets, as float64.

    Args:
        scaling: of the targets.
        targets: the columns of a table that hold them, if there are several; else they are called 0, 1, ...
    """

    unknown = "NaN"

    def __init__(self, scaling: Scaling, targets: Sequence[str] = ()) -> None:
        self._scaling, self._targets = scaling, targets

    def finish(self, outputs: Matrix) -> None:
        """See Answers.finish: nothing is to be done."""

    def record(self, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
        """See Answers.record: `prediction`, float64; an array where there are several outputs."""
        outputs = len(self._scaling.offset)
        return [("prediction", np.float64, (outputs,) if outputs > 1 else ())]

    def fill(self, records: npt.NDArray[Any], finished: Matrix) -> None:
        """See Answers.fill."""
        numbers = self._numbers(finished)
        records["prediction"] = numbers if numbers.shape[1] > 1 else numbers[:, 0]

    def names(self) -> list[str]:
        """See Answers.names."""
        outputs = len(self._scaling.offset)
        if len(self._targets) == outputs > 1:
            return [f"prediction_{target}" for target in self._targets]
        return ["prediction"] if outputs == 1 else [f"prediction{place}" for place in range(outputs)]

    def cells(self, finished: Matrix) -> list[list[str]]:
        """See Answers.cells."""
        return [[*map(repr, row)] for row in self._numbers(finished).tolist()]

    def _numbers(self, finished: Matrix) -> npt.NDArray[np.float64]:
        return np.asarray(finished.astype(np.float64) * self._scaling.units + self._scaling.offset)


class LabelAnswers:
    """Whether the sample has each label, 1 or 0, and the probabilities of all labels.

    Args:
        labels: of the network.
    """

    unknown = "no label and NaN"

    def __init__(self, labels: Classes) -> None:
        self._labels = labels

    def finish(self, outputs: Matrix) -> None:
        """See Answers.finish: to probabilities."""
        sigmoid(outputs)

    def record(self, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
        """See Answers.record: `labels`, int8, and `probabilities`."""
        shape = (len(self._labels),)
        return [("labels", np.int8, shape), ("probabilities", dtype, shape)]

    def fill(self, records: npt.NDArray[Any], finished: Matrix) -> None:
        """See Answers.fill."""
        records["labels"], records["probabilities"] = finished > 0.5, finished

    def names(self) -> list[str]:
        """See Answers.names: of each label whether the sample has it, and then the probabilities."""
        between = "" if self._labels.plain else "_"
        return [f"{what}{between}{label}" for what in ("label", "p") for label in self._labels.values]

    def cells(self, finished: Matrix) -> list[list[str]]:
        """See Answers.cells; whether a sample without an answer has a label is left empty."""
        digits = {4: 9, 8: 17}[finished.dtype.itemsize]
        return [[*map(_said, row), *(f"{value:.{digits}g}" for value in row)] for row in finished.tolist()]


def _said(probability: float) -> str:
    return "" if math.isnan(probability) else str(int(probability > 0.5))


def _numbers(network: Network) -> Answers:
    assert network.scaling.targets is not None
    return NumberAnswers(network.scaling.targets, () if network.schema is None else network.schema.targets)


ANSWERS: dict[Task, Callable[[Network], Answers]] = {
    "classification": lambda network: ClassAnswers(network.classes),
    "regression": _numbers,
    "multilabel": lambda network: LabelAnswers(network.classes),
}
"""What networks of each task say."""


def answers_of(network: Network) -> Answers:
    """What a network says."""
    return ANSWERS[network.job.model.task](network)


def _guesses(probabilities: Matrix) -> Indices:
    """The place of the class of each row; -1 for a row of NaN."""
    return np.where(np.isnan(probabilities[:, 0]), -1, probabilities.argmax(axis=1))


def _labels(classes: Classes) -> npt.NDArray[Any]:
    """The labels of all classes as a file holds them, and after them what stands for no label.

    That is -1, or the number below the smallest class; NaN where labels are floats; the empty text. Booleans become
    0 and 1.
    """
    values = classes.values
    if values.dtype.kind in "ib":
        whole = values.astype(np.int64)
        return np.append(whole, min(-1, int(whole[0]) - 1))
    return np.append(values, np.array([np.nan if values.dtype.kind == "f" else ""], values.dtype))
