"""Labels of which a sample may have several, as files hold them: a column of 0 and 1 for each label."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.data.classes import Classes, label_list, label_text, plain_classes
from dpnet.data.labels import BLOCK, Place, in_rows_of
from dpnet.errors import DataError

LabelSets = npt.NDArray[np.bool_]
"""(n, labels) which labels each sample has."""


def check_label_sets(labels: npt.NDArray[Any], file: str, place: Place | None = None) -> tuple[LabelSets, Classes]:
    """Which labels each sample has.

    Args:
        labels: (n, labels), or (n,) for a single one; booleans, or integers or real numbers that are 0 or 1.
        file: their origin, for messages.
        place: of each row; None: the row of the file.

    Returns:
        (n, labels), and what the labels are called: 0, 1, ...

    Raises:
        DataError: they are of another type or shape, or one is neither 0 nor 1.
    """
    place = place or in_rows_of(file)
    shape = labels.shape
    if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2) or 0 in shape[1:]:
        raise DataError(
            f'{file} holds labels of type {labels.dtype} and shape {shape}; with model.task = "multilabel" expected '
            "(samples, labels) of 0 and 1: a column for each label. Names of labels, several for each sample: "
            "sklearn.preprocessing.MultiLabelBinarizer makes such columns of them."
        )
    columns = labels.reshape(len(labels), -1)
    found = np.zeros(columns.shape, np.bool_)
    for first in range(0, len(columns), BLOCK):
        block = columns[first : first + BLOCK]
        wrong = (block != 0) & (block != 1)
        if wrong.any():
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            one_each = "" if labels.ndim > 1 else ' One class for each sample: model.task = "classification".'
            raise DataError(
                f"{place(first + row)}: label {column} (from 0) is {block[row, column]}; expected 0 or 1, whether the "
                f"sample has that label.{one_each}"
            )
        np.equal(block, 1, out=found[first : first + BLOCK])
    return found, plain_classes(columns.shape[1])


def columns_as(others: Classes, own: Classes, file: str, of: str) -> list[int]:
    """Where the labels of other data stand among one's own, in their order.

    Args:
        others: labels of the other data.
        own: one's own.
        file: of one's own, for messages.
        of: the other data, for messages: "the training data".

    Raises:
        DataError: these are not the same labels.
    """
    names, wanted = own.values.tolist(), others.values.tolist()
    if len(names) == len(wanted) and (own.plain or others.plain):
        return list(range(len(names)))  # Columns of arrays have no names, but places.
    if sorted(map(str, names)) != sorted(map(str, wanted)):
        raise DataError(
            f"{file} has the labels {own.text()}, and {of} has {others.text()}; give data of the same labels."
        )
    return [names.index(name) for name in wanted]


def listed_as(
    others: Classes, own: Classes, sets: LabelSets, place: Place, of: str, way: str | None
) -> tuple[LabelSets, str]:
    """Labels of samples that list theirs, in the columns of other data: of what no sample lists none has any.

    Args:
        others: labels of the other data.
        own: labels that are listed.
        sets: (n, own labels).
        place: where the list of a row stands, for messages.
        of: the other data, for messages: "the training data".
        way: what the user can do about labels that the other data do not have; None: they are left out.

    Returns:
        (n, other labels), and a sentence on labels that were left out, or nothing.

    Raises:
        DataError: there are such labels, and they are not to be left out.
    """
    column_of = {name: column for column, name in enumerate(others.values.tolist())}
    known = np.array([name in column_of for name in own.values.tolist()], np.bool_) | ~sets.any(axis=0)
    found = np.zeros((len(sets), len(others)), np.bool_)
    for column in np.flatnonzero(known & sets.any(axis=0)):
        found[:, column_of[own.values[column].item()]] = sets[:, column]
    if known.all():
        return found, ""
    rows = sets[:, ~known].any(axis=1)
    row = int(np.argmax(rows))
    seen = label_list(own.values[~known])
    if way is None:
        return found, f"labels that no training sample has are left out: {seen}"
    raise DataError(
        f"{place(row)}: the labels are {label_list(own.values[sets[row]])}, and {of} has the labels {others.text()}. "
        f"{rows.sum():,} of {len(sets):,} samples have a label that it does not have: {seen}. {way} leaves out such "
        "labels."
    )


def label_sets_text(sets: LabelSets, classes: Classes, what: str = "training samples") -> str:
    """What labels samples have, in words; these are called `what`."""
    counts, sizes = sets.sum(axis=0), sets.sum(axis=1)
    if not counts.any():
        return f"none of {len(sets):,} {what} has any of {len(classes):,} labels: there is nothing to learn"
    rare, many = int(np.argmin(counts)), len(classes)
    if many == 1:
        return f"{counts[0]:,} of {len(sets):,} {what} have the label {label_text(classes.values[0])}"
    return (
        f"{len(sets):,} {what} with {sizes.min():,} to {sizes.max():,} of {many:,} labels, "
        f"{sizes.mean():.2g} on average; the rarest, {label_text(classes.values[rare])}, has {counts[rare]:,}"
    )


def missing_labels(sets: LabelSets, classes: Classes) -> str:
    """The labels that no sample has, for a message; empty: there are none."""
    return label_list(classes.values[~sets.any(axis=0)])
