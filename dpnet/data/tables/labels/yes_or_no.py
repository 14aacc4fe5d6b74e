"""A column that says of one label whether a row has it: 0 and 1, booleans, or yes and no."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpnet.data.classes import label_text
from dpnet.data.tables.column import Column
from dpnet.data.tables.columns import Table
from dpnet.data.tables.texts import first_row
from dpnet.errors import DataError

MEANS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y"), True),
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n"), False),
}
"""What a text says, in lower case."""
EXPECTED = "expected 0 or 1, true or false, yes or no: whether the row has that label"


def sets_of(table: Table, target: str, *, kept: bool) -> npt.NDArray[np.bool_]:
    """Whether each row has a label: (rows,).

    Args:
        table: the data.
        target: column of the label.
        kept: data.categorical names the column.

    Raises:
        DataError: it is not said of a row, or something else is.
    """
    column = table.columns[target]
    if kept:
        raise DataError(
            f'data.categorical has {target!r}, the target, and model.task is "multilabel", of whose labels a row has '
            "each or not; leave one of the two out."
        )
    if column.missing is not None:
        raise DataError(f"{table.first_gap(target, 'label', column.missing)}; {EXPECTED}. Nothing is not taken for no.")
    if column.kind == "other":
        raise DataError(f"{table.file}, column {target!r} holds {column.words}; {EXPECTED}.")
    if column.kind == "text":
        means = [MEANS.get(str(text).strip().lower()) for text in column.texts]
        row = first_row(np.array([one is None for one in means], np.bool_), column)
        if row is not None:
            raise _strange(table, target, row, label_text(str(column.texts[column.values[row]])))
        return np.asarray(np.array(means, np.bool_)[column.values])
    said = np.asarray(column.values == 1)
    if not (right := said | (column.values == 0)).all():
        row = int(np.argmin(right))
        raise _strange(table, target, row, f"{column.values[row]:g}")
    return said


def says_yes_or_no(column: Column) -> bool:
    """Whether a column says of every row yes or no."""
    if column.missing is not None or column.kind == "other":
        return False
    if column.kind == "text":
        return all(str(text).strip().lower() in MEANS for text in column.texts)
    return bool(((column.values == 0) | (column.values == 1)).all())


def _strange(table: Table, target: str, row: int, seen: str) -> DataError:
    classes = ' One class for each row: model.task = "classification".'
    return DataError(f"{table.place(row, target)}: the label is {seen}; {EXPECTED}.{classes}")
