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
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.config.model import Task
from dpnet.data.classes import Classes
from dpnet.data.label_sets import LabelSets
from dpnet.data.labels import Place
from dpnet.data.readers.guards import check_memory
from dpnet.data.readers.svmlight_text import PACKED, Parsed, begins_so, parse
from dpnet.data.split import Indices, Split, make_split
from dpnet.errors import DataError
from dpnet.text import counted

ENDINGS = (".svm", ".libsvm", ".svmlight")
"""How the names of such files end, before the ending of a compression."""
ROWS = 1 << 14
"""Rows that are spread out at a time."""
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
        """All samples of the file, with float64 inputs in memory.

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
    parsed = parse(path, several=task in ("multilabel", None))
    first, width = _numbering(path, parsed, like)
    rows = len(parsed.labels)
    columns = parsed.indices - first
    beyond = columns >= width
    remarks = [_counting(path, first, width)] if like is None else []
    if beyond.any():
        remarks.append(_beyond(path, parsed, beyond, first, width))
    if parsed.groups:
        remarks.append(
            f"{path}: {counted(parsed.groups, 'line')} of {rows:,} with qid, a group to rank within; each sample "
            "stands by itself"
        )
    inputs = _spread(path, parsed, columns, width)

    def place(row: int) -> str:
        return f"{path}, line {parsed.lines[row]}"

    if task == "multilabel":
        sets, classes = _sets(path, parsed, place, must_have=like is None)
        split = make_split(inputs, None, path, path, place)
        split = dataclasses.replace(split, labels=sets, classes=classes, task=task)
    else:
        split = make_split(inputs, _whole(parsed.labels), path, path, place, task=task)
    return dataclasses.replace(split, first_index=first, remarks=(*split.remarks, *remarks))


def _sets(path: str, parsed: Parsed, place: Place, *, must_have: bool) -> tuple[LabelSets, Classes]:
    """Which labels each sample has, and what these are called: the numbers in the file.

    Raises:
        DataError: one is NaN, or there are none, and there must be.
    """
    rows = np.repeat(np.arange(len(parsed.sets)), [len(one) for one in parsed.sets])
    labels = np.array([label for one in parsed.sets for label in one], np.float64)
    if not np.isfinite(labels).all():
        row = int(rows[np.argmin(np.isfinite(labels))])
        raise DataError(f"{place(row)} has the labels {parsed.sets[row]}; expected finite numbers.")
    if must_have and not len(labels):
        raise DataError(f"{path} has no sample with a label; expected labels such as 1,3,7 before the first pair.")
    names, columns = np.unique(labels, return_inverse=True)
    names = names if len(names) else np.zeros(1)  # Of which no sample has it: arrays without a column are nothing.
    check_memory(path, len(parsed.sets) * len(names), f"{counted(len(names), 'label')} of each sample")
    sets = np.zeros((len(parsed.sets), len(names)), np.bool_)
    sets[rows, columns] = True
    return sets, Classes(_whole(names))


def _numbering(path: str, parsed: Parsed, like: Indices | None) -> tuple[int, int]:
    """The index of the first feature, 0 or 1, and the number of features.

    Raises:
        DataError: the indices contradict those of the training data, or do not tell where they begin.
    """
    low, high = int(parsed.indices.min()), int(parsed.indices.max())
    if like is None:
        first = 0 if low == 0 else 1
        return first, high + 1 - first
    width = like.features
    if like.first == 1 and low == 0:
        line = parsed.line(int(np.argmin(parsed.indices)))
        raise DataError(
            f"{path}, line {line} has the index 0, and the training data count from 1: no sample of them has an index "
            "0. If all count from 0, write the pair 0:0 into a line of the training data."
        )
    if like.first == 0 and low > 0 and high >= width:
        line = parsed.line(int(np.argmax(parsed.indices)))
        raise DataError(
            f"{path}, line {line} has the index {high}, and none is 0: it seems to count from 1, and the training data "
            f"count from 0, to {width - 1}. Let all count from the same; a pair 0:0 in one line says from 0."
        )
    if like.first is not None:
        return like.first, width
    if low > 0 and high > width:
        line = parsed.line(int(np.argmax(parsed.indices)))
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


def _beyond(path: str, parsed: Parsed, beyond: npt.NDArray[np.bool_], first: int, width: int) -> str:
    """A sentence on features that no training sample has, as rows of sparse data may well have them.

    Raises:
        DataError: most samples have such features: these are other data.
    """
    entry = int(np.argmax(beyond))
    rows = len(np.unique(np.searchsorted(parsed.starts, np.flatnonzero(beyond), side="right")))
    seen = f"line {parsed.line(entry)} has the index {parsed.indices[entry]}"
    known = f"those of the training data end at {width - 1 + first}"
    if 2 * rows > len(parsed.labels):
        raise DataError(
            f"{path}, {seen}, and {known}. So it is with {rows:,} of {counted(len(parsed.labels), 'sample')}: these "
            "are data of other features; give data of the same."
        )
    return (
        f"{path}: {counted(rows, 'sample')} with a feature that no training sample has, and that is left out: {seen}, "
        f"and {known}"
    )


def _spread(path: str, parsed: Parsed, columns: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.float64]:
    """The entries as rows of all features."""
    rows = len(parsed.labels)
    check_memory(path, 8 * rows * width, f"{counted(rows, 'sample')} of {counted(width, 'feature')}, with their zeros,")
    inputs = np.zeros((rows, width))
    for start in range(0, rows, ROWS):
        stop = min(start + ROWS, rows)
        part = slice(parsed.starts[start], parsed.starts[stop])
        of_row = np.repeat(np.arange(start, stop), np.diff(parsed.starts[start : stop + 1]))
        known = columns[part] < width
        inputs[of_row[known], columns[part][known]] = parsed.values[part][known]
    return inputs


def _whole(labels: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Labels as integers where all are whole: +1 is the class 1."""
    if (np.abs(labels) < EXACT).all() and (labels == np.floor(labels)).all():
        return labels.astype(np.int64)
    return labels
