"""Classes: the labels of data, whatever they are, and the numbers 0, 1, 2, ... that stand for them in the network.

    labels as they came        cat dog cat eel        1 2 7 2        1.0 2.0 1.0        True False
    classes, sorted            cat dog eel            1 2 7          1.0 2.0            False True
    numbers of the classes     0   1   0   2          0 1 2 1        0   1   0          1    0

The labels of the training data make the classes. They are kept in every checkpoint, so that other data are numbered in
the same way, and predictions have the labels that the user knows.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Labels
from dpnet.errors import DataError
from dpnet.text import shorten

UNKNOWN = -1
"""Stands for a label that is none of the classes."""
COUNTED = 1 << 20
"""Integers up to this one are counted; beyond it, labels are sorted instead."""
SHOWN = 5
"""Classes that a message lists at most."""
MAX_RECORD = 1 << 20
"""Most bytes of the record in a checkpoint, whose manifest is read as a whole."""


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of some data.

    Attributes:
        values: (classes,) the labels, sorted, each once: int64, float64, bool or text.
        written: they are text only as a file of text had among them some that is no number: 1 may mean the number 1.
    """

    values: npt.NDArray[Any]
    written: bool = False

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Classes) and self.kind == other.kind and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    @property
    def kind(self) -> str:
        """What the labels are, in a word."""
        return {"i": "integers", "f": "numbers", "b": "booleans", "U": "text"}[self.values.dtype.kind]

    @property
    def plain(self) -> bool:
        """Whether the labels are the numbers of the classes themselves: 0, 1, 2, ... without a gap."""
        if not len(self):
            return True
        return self.values.dtype.kind == "i" and bool((self.values[[0, -1]] == (0, len(self) - 1)).all())

    def number(self, labels: npt.NDArray[Any]) -> Labels:
        """The number of the class of each label; UNKNOWN for labels that are none of the classes.

        Args:
            labels: (n,) int64, float64, bool or text. Numbers are compared by value: 1.0 is the class 1.
        """
        if (labels.dtype.kind == "U") != (self.values.dtype.kind == "U"):
            return np.full(len(labels), UNKNOWN, np.int64)
        if self.plain and labels.dtype.kind == "i":
            known = (labels >= 0) & (labels < len(self))
            return labels if known.all() else np.where(known, labels, UNKNOWN)
        places = np.minimum(np.searchsorted(self.values, labels), len(self) - 1)
        return np.where(self.values[places] == labels, places, UNKNOWN).astype(np.int64)

    def number_of(self, other: Classes) -> Labels:
        """The number of the class that each class of other data is; UNKNOWN where it is none."""
        if not other.written or self.kind == "text":
            return self.number(other.values)
        places = {value: place for place, value in enumerate(self.values.tolist())}
        return np.array([places.get(_meant(str(text)), UNKNOWN) for text in other.values], np.int64)

    def record(self) -> list[Any] | None:
        """The classes as a checkpoint keeps them; None where they are plain."""
        return None if self.plain else self.values.tolist()

    def text(self) -> str:
        """The labels, as far as a message has room."""
        return label_list(self.values)


def _meant(text: str) -> int | float | bool | None:
    """The number or the boolean that a text stands for; None: neither."""
    text = text.strip().lower()
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        if "_" not in text and text.isascii():
            with contextlib.suppress(ValueError):
                return kind(text)
    return None


def find_classes(labels: npt.NDArray[Any], *, file: str) -> Classes:
    """The classes of labels.

    Args:
        labels: (n,) int64, float64, bool or text, at least one.
        file: origin of the labels, for messages.

    Raises:
        DataError: there are more classes than a checkpoint can name.
    """
    if labels.dtype.kind == "i" and labels.min() >= 0 and labels.max() <= COUNTED:
        classes = Classes(np.flatnonzero(np.bincount(labels)).astype(np.int64))
    else:
        classes = Classes(np.unique(labels))
    record = classes.record()
    if record is not None and (size := len(json.dumps(record))) > MAX_RECORD:
        raise DataError(
            f"{file} holds {len(classes):,} different labels, {classes.text()}, of {size >> 20:,} MiB together; "
            "expected those of classes. Number the classes if there are so many: np.unique(y, return_inverse=True)[1]."
        )
    return classes


def plain_classes(number: int) -> Classes:
    """The classes 0, 1, ..., number - 1."""
    return Classes(np.arange(number))


def recorded_classes(record: Any, number: int, *, in_order: bool = False) -> Classes:
    """The classes that a checkpoint recorded.

    Args:
        record: as `Classes.record` made it; but another program may have written it.
        number: of classes that the network of the checkpoint has.
        in_order: they may stand in any order, as the columns of labels do.

    Raises:
        ValueError: these are not the labels of so many classes.
    """
    if record is None:
        return plain_classes(number)
    kinds = {type(label) for label in record} if isinstance(record, list) else set()
    if len(kinds) != 1 or not kinds <= {int, float, bool, str} or len(record) != number:
        raise ValueError(f"the labels of the classes are {shorten(repr(record))}; expected {number} of one kind")
    values = np.array(record)
    if in_order and values.dtype.kind == "U" and len({*record}) == number:
        return Classes(values)
    if not (values[:-1] < values[1:]).all() or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise ValueError(f"the labels of the classes are {shorten(repr(record))}; expected them sorted, each once")
    return Classes(values)


def label_list(labels: Sequence[Any] | npt.NDArray[Any]) -> str:
    """Labels for a message: `0, 1, 2`, or `cat, dog, eel, emu, ..., yak`."""
    named = [label_text(label) for label in (*labels[:SHOWN], *labels[-1:])]
    if len(labels) <= SHOWN + 1:
        return ", ".join(named[: len(labels)])
    return f"{', '.join(named[:-1])}, ..., {named[-1]}"


def label_text(label: Any) -> str:
    """A label for a message: quoted where it could be misread or control a terminal, and cut where it is long."""
    text = str(label)
    clear = text.isprintable() and text.strip() == text and not set(text) & set(",'\"")
    return shorten(text if clear or not isinstance(label, str) else repr(text), 40)
