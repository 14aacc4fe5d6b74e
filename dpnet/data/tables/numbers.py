"""The targets of a regression in a table: what the column holds, as it is taken or refused."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from dpnet.data.tables.columns import Table
from dpnet.data.tables.text.head import is_number
from dpnet.data.tables.texts import first_other
from dpnet.data.targets import is_a_text
from dpnet.errors import DataError


def targets_of(table: Table, target: str, *, kept: bool) -> npt.NDArray[Any]:
    """The targets of a table, as `targets.check_targets` takes them.

    Args:
        table: the data.
        target: column of the targets.
        kept: data.categorical names the column.

    Raises:
        DataError: a target is missing, or they are no numbers.
    """
    column = table.columns[target]
    if kept:
        raise DataError(
            f'data.categorical has {target!r}, the target, and model.task is "regression", whose targets are numbers; '
            "leave one of the two out."
        )
    if column.missing is not None:
        raise DataError(f"{table.first_gap(target, 'target', column.missing)}; take such rows out of the file.")
    if column.kind == "text":
        other = first_other(target, table, is_number)
        raise is_a_text(*(other or (table.place(0, target), str(column.texts[column.values[0]]))))
    if column.kind == "other":
        raise DataError(f"{table.file}, column {target!r} holds {column.words}; expected targets that are numbers.")
    table.check_lines(target)
    return column.values
