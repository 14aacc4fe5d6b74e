"""Text of svmlight and libsvm, which scikit-learn parses: on each line a label, and INDEX:VALUE of what is not 0.

    -1 1:0.5 4:2          a sample of 4 features, counted from 1: 0.5 0 0 2
    +1 2:1 3:0.25 # new   0 1 0.25 0
    1,3,7 2:1             a sample of several labels, where model.task = "multilabel"; one without any begins with 2:1

The format says neither whether indices count from 0 or from 1, nor how many features there are. The training data
decide both, for all other data too: a file that contradicts them is refused, never shifted by one.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds, Vector
from dpnet.config.model import Task
from dpnet.data.classes import Classes
from dpnet.data.in_parts import is_wanted
from dpnet.data.label_sets import LabelSets
from dpnet.data.labels import Place
from dpnet.data.readers.guards import check_memory
from dpnet.data.readers.svmlight_parsed import Found
from dpnet.data.readers.svmlight_rows import TextInParts
from dpnet.data.readers.svmlight_text import PACKED, WholeText, begins_so
from dpnet.data.split import Indices, Split, make_split
from dpnet.errors import DataError
from dpnet.text import counted

ENDINGS = (".svm", ".libsvm", ".svmlight")
"""How the names of such files end, before the ending of a compression."""
EXACT = 2**53
"""Up to this one float64 tells integers apart."""


class SvmFile:
    """A file of text in the format of svmlight and libsvm.

    Args:
        alone: its samples serve as those of any split, and not to train on alone.
    """

    description = "a file of svmlight or libsvm text (.svm, .libsvm, or as it was downloaded: a9a, a9a.bz2)"

    def __init__(self, *, alone: bool = False) -> None:
        self._alone = alone

    def fits(self, source: str) -> bool:
        """Whether the source is a file that is called so, or whose first line is of this format."""
        name = source.lower()
        for ending in PACKED:
            name = name.removesuffix(ending)
        return os.path.isfile(source) and (name.endswith(ENDINGS) or begins_so(source))

    def has(self, source: str, split: str) -> bool:
        """Whether the samples serve as those of the split."""
        return self._alone or split == "train"

    def read(self, source: str, split: str, task: Task | None = "classification", like: Indices | None = None) -> Split:
        """All samples of the file, with float64 inputs in memory; for a conversion they are read in parts.

        Args:
            source: the file.
            split: what the samples are for.
            task: what the labels are; None: they are not looked at.
            like: what the training data say of the features; None: these are the training data.
        """
        return read_svmlight(source, like, task)


def read_svmlight(path: str, like: Indices | None = None, task: Task | None = "classification") -> Split:
    """See `SvmFile.read`.

    Raises:
        DataError: the file cannot be read, a line is not of the format, or the samples do not fit in memory; or the
            indices are not those of the training data.
        ConfigError: scikit-learn is not installed.
    """
    text = (TextInParts if is_wanted() else WholeText)(path, several=task in ("multilabel", None))
    found = text.found
    first, width = _numbering(path, found, like)
    remarks = [_counting(path, first, width)] if like is None else []
    if (found.highest - first >= width).any():
        remarks.append(_beyond(path, text, first, width))
    if found.groups:
        remarks.append(
            f"{path}: {counted(found.groups, 'line')} of {found.rows:,} with qid, a group to rank within; each sample "
            "stands by itself"
        )
    inputs = text.inputs(first, width)
    place = _InLines(path, found.lines)
    if task == "multilabel":
        sets, classes = _sets(path, found, place, must_have=like is None)
        split = make_split(inputs, None, path, path, place)
        split = dataclasses.replace(split, labels=sets, classes=classes, task=task)
    else:
        split = make_split(inputs, _whole(found.labels), path, path, place, task=task)
    return dataclasses.replace(split, first_index=first, remarks=(*split.remarks, *remarks))


@dataclass(frozen=True, eq=False)
class _InLines:
    """The place of a label, by the line of each row in a file of text."""

    file: str
    lines: SampleIds

    def __call__(self, row: int) -> str:
        return f"{self.file}, line {self.lines[row]}"


def _sets(path: str, found: Found, place: Place, *, must_have: bool) -> tuple[LabelSets, Classes]:
    """Which labels each sample has, and what these are called: the numbers in the file.

    Raises:
        DataError: one is NaN, or there are none, and there must be.
    """
    rows, labels = np.repeat(np.arange(found.rows), found.counts), found.of_sets
    if not np.isfinite(labels).all():
        row = int(rows[np.argmin(np.isfinite(labels))])
        raise DataError(f"{place(row)} has the labels {found.set_of(row)}; expected finite numbers.")
    if must_have and not len(labels):
        raise DataError(f"{path} has no sample with a label; expected labels such as 1,3,7 before the first pair.")
    names, columns = np.unique(labels, return_inverse=True)
    names = names if len(names) else np.zeros(1)  # Of which no sample has it: arrays without a column are nothing.
    check_memory(path, found.rows * len(names), f"{counted(len(names), 'label')} of each sample")
    sets = np.zeros((found.rows, len(names)), np.bool_)
    sets[rows, columns] = True
    return sets, Classes(_whole(names))


def _numbering(path: str, found: Found, like: Indices | None) -> tuple[int, int]:
    """The index of the first feature, 0 or 1, and the number of features.

    Raises:
        DataError: the indices contradict those of the training data, or do not tell where they begin.
    """
    low, high = found.lowest, int(found.highest.max())
    if like is None:
        first = 0 if low == 0 else 1
        return first, high + 1 - first
    width = like.features
    line = found.lines[np.argmax(found.highest)]
    if like.first == 1 and low == 0:
        raise DataError(
            f"{path}, line {found.lowest_line} has the index 0, and the training data count from 1: no sample of "
            "them has an index 0. If all count from 0, write the pair 0:0 into a line of the training data."
        )
    if like.first == 0 and low > 0 and high >= width:
        raise DataError(
            f"{path}, line {line} has the index {high}, and none is 0: it seems to count from 1, and the training data "
            f"count from 0, to {width - 1}. Let all count from the same; a pair 0:0 in one line says from 0."
        )
    if like.first is not None:
        return like.first, width
    if low > 0 and high > width:
        raise DataError(
            f"{path}, line {line} has the index {high}, for {width} features, and none is 0: do they count from 0 or "
            f"from 1? Leave out what is beyond the {width} features, and write a pair that tells it into one line: 0:0 "
            f"if from 0, {width}:0 if from 1."
        )
    if low > 0 and high < width:
        raise DataError(
            f"{path} has the indices {low} to {high}, for {width} features: do they count from 0 or from 1? Write a "
            f"pair that tells it into one line: 0:0 if from 0, {width}:0 if from 1."
        )
    return (0 if low == 0 else 1), width


def _counting(path: str, first: int, width: int) -> str:
    return f"{path}: indices count from {first}, to {width - 1 + first}, so {counted(width, 'feature')}"


def _beyond(path: str, text: WholeText | TextInParts, first: int, width: int) -> str:
    """A sentence on features that no training sample has, as rows of sparse data may well have them.

    Raises:
        DataError: most samples have such features: these are other data.
    """
    found = text.found
    beyond = found.highest - first >= width
    rows, row = int(beyond.sum()), int(np.argmax(beyond))
    indices = text.indices(row)
    seen = f"line {found.lines[row]} has the index {indices[indices - first >= width][0]}"
    known = f"those of the training data end at {width - 1 + first}"
    if 2 * rows > found.rows:
        raise DataError(
            f"{path}, {seen}, and {known}. So it is with {rows:,} of {counted(found.rows, 'sample')}: these "
            "are data of other features; give data of the same."
        )
    return (
        f"{path}: {counted(rows, 'sample')} with a feature that no training sample has, and that is left out: {seen}, "
        f"and {known}"
    )


def _whole(labels: Vector) -> npt.NDArray[Any]:
    """Labels as integers where all are whole: +1 is the class 1."""
    if (np.abs(labels) < EXACT).all() and (labels == np.floor(labels)).all():
        return labels.astype(np.int64)
    return labels
