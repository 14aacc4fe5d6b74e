"""Labels as files hold them: checked, and turned into classes and their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Labels
from dpnet.data.classes import Classes, find_classes, label_text, plain_classes
from dpnet.errors import DataError

BLOCK = 1 << 16
"""Rows of one-hot labels that are looked at together."""
MAX_TEXT = 1000
"""Most characters of a label."""


SEVERAL = 'Several labels, of which a sample has each or not: model.task = "multilabel".'
NO_REGRESSION = 'Targets that are numbers: model.task = "regression".'

Place = Callable[[int], str]
"""Where the label of a row stands, for messages."""


@dataclass(frozen=True)
class _InRows:
    """See in_rows_of. No function: a split can be packed, as one rank of a node reads data for all of them."""

    file: str

    def __call__(self, row: int) -> str:
        return f"{self.file}, row {row} (from 0)"


def in_rows_of(file: str) -> Place:
    """The place of a label that has the row of its sample in a file of labels."""
    return _InRows(file)


def number_labels(labels: npt.NDArray[Any], file: str, place: Place | None = None) -> tuple[Labels, Classes]:
    """The classes of labels, and the number of the class of each.

    Args:
        labels: as `split.make_split` takes them.
        file: their origin, for messages.
        place: of each; None: the row of the file.

    Raises:
        DataError: they are not the labels of classes, or one of them is missing.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "biuf":
        return _one_hot(labels, file), plain_classes(labels.shape[1])
    if labels.ndim != 1:
        raise DataError(
            f"{file} holds labels of type {labels.dtype} and shape {labels.shape}; expected one for each sample: "
            "(samples,)."
        )
    checked = _checked(labels, file, place or in_rows_of(file))
    classes = find_classes(checked, file=file)
    return classes.number(checked), classes


def _one_hot(rows: npt.NDArray[Any], file: str) -> Labels:
    """The place of the 1 in each row."""
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        right = ((block == 0) | (block == 1)).all(axis=1) & (block.sum(axis=1) == 1)
        if not right.all():
            row = int(np.argmin(right))
            are_sets = bool(((block == 0) | (block == 1)).all())
            ways = 'Probabilities: y.argmax(axis=1). Several numbers as targets: model.task = "regression".'
            raise DataError(
                f"{file} holds labels of shape {rows.shape}; expected one label for each sample, or rows of 0 with a "
                f"single 1 (one-hot); row {first + row} (from 0) is {label_text(block[row].tolist())}. "
                f"{SEVERAL if are_sets else ways}"
            )
    return np.asarray(rows.argmax(axis=1), np.int64)


def _checked(labels: npt.NDArray[Any], file: str, place: Place) -> npt.NDArray[Any]:
    """Labels as int64, float64, bool or text."""
    kind = labels.dtype.kind
    if kind == "b":
        return labels
    if kind in "iu":
        high = int(labels.max())
        if high > np.iinfo(np.int64).max:
            row = int(np.argmax(labels))
            raise DataError(f"{place(row)}: the label is {high}; expected at most 2**63 - 1.")
        return labels.astype(np.int64)
    if kind == "f":
        return _whole(labels, place)
    if kind in "US":
        return _text(labels, file, place)
    raise DataError(
        f"{file} holds labels of type {labels.dtype}; expected integers, booleans, whole numbers or text, one for each "
        "class; convert them: y.astype(str)."
    )


def _whole(labels: npt.NDArray[np.floating[Any]], place: Place) -> npt.NDArray[np.float64]:
    missing = np.isnan(labels)
    if missing.any():
        raise DataError(f"{place(int(np.argmax(missing)))}: the label is nan, as if it were missing; leave it out.")
    whole = labels == np.floor(labels)
    whole &= np.isfinite(labels)
    if not whole.all():
        row = int(np.argmin(whole))
        raise DataError(
            f"{place(row)}: the label is {labels[row]}; expected whole numbers, booleans or text, one for each class. "
            f"{NO_REGRESSION}"
        )
    bits = min(np.finfo(labels.dtype).nmant, 52) + 1
    if (wide := np.abs(labels) >= 2.0**bits).any():
        row = int(np.argmax(wide))
        raise DataError(
            f"{place(row)}: the label is {labels[row]:.0f}, and {labels.dtype} does not tell whole numbers "
            f"from 2**{bits} on apart; give such labels as integers or text."
        )
    return labels.astype(np.float64)


def too_long(place: str, length: int) -> DataError:
    """The error for a label of more than MAX_TEXT characters."""
    return DataError(f"{place}: the label has {length} characters; expected at most {MAX_TEXT}: the name of a class.")


def _text(labels: npt.NDArray[Any], file: str, place: Place) -> npt.NDArray[np.str_]:
    if labels.dtype.itemsize > 4 * MAX_TEXT:
        row = int(np.argmax(np.char.str_len(labels)))
        length = len(labels[row])
        if length > MAX_TEXT:
            raise too_long(place(row), length)
    try:
        text = (
            np.char.decode(labels, "utf-8")
            if labels.dtype.kind == "S"
            else labels.astype(labels.dtype.newbyteorder("="))
        )
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} holds labels that are not UTF-8 ({error}); save them as text: y.astype(str)."
        ) from error
    empty = text == ""
    if empty.any():
        row = int(np.argmax(empty))
        raise DataError(f"{place(row)}: the label is empty, as if it were missing; leave it out.")
    return text
