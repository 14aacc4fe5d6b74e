"""Reads the labels of a table from the columns that hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Targets
from dpnet.config.model import Task
from dpnet.data.classes import Classes
from dpnet.data.tables.columns import Table
from dpnet.data.tables.labels.yes_or_no import says_yes_or_no, sets_of
from dpnet.data.tables.numbers import targets_of
from dpnet.data.tables.targets import check_labels, labels_of, number_texts, place_of
from dpnet.data.tasks import KINDS
from dpnet.errors import DataError
from dpnet.text import listed

READERS: dict[Task, Callable[..., npt.NDArray[Any]]] = {
    "classification": labels_of,
    "regression": targets_of,
    "multilabel": sets_of,
}
"""What reads a column of labels, by task."""


def labels_in(table: Table, targets: Sequence[str], task: Task, *, kept: bool) -> npt.NDArray[Any]:
    """The labels of a table, as `make_split` takes them.

    Args:
        table: the data.
        targets: columns of the labels, in the order of the outputs.
        task: what they are.
        kept: see `labels_of`.

    Raises:
        DataError: a label is missing, or is none of the task; or there are several columns, and the task has one label,
            and they are not one-hot.
    """
    kind, read = KINDS[task], READERS[task]
    if not kind.in_rows:
        return read(table, targets[0], kept=kept) if len(targets) == 1 else _one_hot(table, targets)
    columns = [
        kind.read(read(table, name, kept=kept), table.file, place_of(table, name))[0].reshape(table.rows, -1)
        for name in targets
    ]
    return np.hstack(columns)


def numbered_in(table: Table, targets: Sequence[str], task: Task, *, kept: bool) -> tuple[Targets, Classes]:
    """The labels of a table as a Split has them, and what their numbers mean; see `labels_in`."""
    file = of_columns(table, targets)
    if task == "classification" and len(targets) == 1:
        column = check_labels(table, targets[0], kept=kept)
        if column.kind == "text":
            return number_texts(column, file)
    return KINDS[task].read(labels_in(table, targets, task, kept=kept), file, place_in(table, targets))


def _one_hot(table: Table, targets: Sequence[str]) -> npt.NDArray[np.str_]:
    """The names of the columns that say yes, of which each row has one: (rows,)."""
    named = f"{len(targets)} columns, {listed(map(repr, targets), 3)}"
    ways = 'For several: model.task = "multilabel", whether a row has each label, or "regression", numbers.'
    if not all(says_yes_or_no(table.columns[name]) for name in targets):
        raise DataError(
            f"{table.file}: data.target names {named}, and a classification has one label for each row: in one column, "
            f"or in columns of 0 and 1 with one 1 in each row (one-hot). {ways}"
        )
    said = np.stack([sets_of(table, name, kept=False) for name in targets], axis=1)
    counts = said.sum(axis=1)
    if (counts != 1).any():
        row = int(np.argmax(counts != 1))
        raise DataError(
            f"{place_in(table, targets)(row)}: of data.target, {named}, {counts[row]} say yes; a row of a "
            f"classification has one label. {ways}"
        )
    names: npt.NDArray[np.str_] = np.array(targets)[said.argmax(axis=1)]
    return names


def of_columns(table: Table, targets: Sequence[str]) -> str:
    """The columns of the labels, for messages."""
    word = "column" if len(targets) == 1 else "columns"
    more = f" and {len(targets) - 3} more" if len(targets) > 3 else ""
    return f"{table.name}, {word} {', '.join(map(repr, targets[:3]))}{more}"


def place_in(table: Table, targets: Sequence[str]) -> Callable[[int], str]:
    """Where the labels of a row stand, for messages."""
    if len(targets) == 1:
        return place_of(table, targets[0])
    return table.places
