"""The parts of a table: the rows that a column names as such, and the shares of its rows that are held out."""

from __future__ import annotations

import numpy as np

from dpnet.compute.arrays import SampleIds
from dpnet.config.data import DataConfig
from dpnet.config.model import Task
from dpnet.data.classes import label_text
from dpnet.data.hold_out import cut
from dpnet.data.tables.column import Column
from dpnet.data.tables.columns import Table
from dpnet.data.tables.labels.read import numbered_in
from dpnet.data.tables.roles import Roles
from dpnet.data.tables.texts import first_row
from dpnet.errors import DataError
from dpnet.text import counted, words

PART_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The words of the column that says which row belongs to which part, in lower case."""
EXPECTED = "expected train, validation or test (also training, val, valid, dev, testing) in every row"
DOES = {"train": "train on", "validation": "validate with", "test": "test with"}
"""What the rows of a part are for."""


def cut_table(
    section: DataConfig, table: Table, roles: Roles, seed: int, task: Task = "classification"
) -> dict[str, Table]:
    """The rows of a table "train", and those that are held out as "validation" and "test", if any are.

    Args:
        section: of the job.
        table: all rows.
        roles: of its columns.
        seed: see `sources.open_source`.
        task: see `sources.open_source`.

    Raises:
        DataError: the column data.split says something else, or of no row that it is trained on, or of rows that
            another key names; or a share is less than a row.
    """
    rows = None if roles.split is None else _training_rows(table, roles.split)
    for name in ("validation", "test"):
        value = getattr(section, name)
        if rows is not None and name in rows and value is not None:
            raise DataError(
                f"data.{name} is {value}, but column {roles.split!r} (data.split) of {table.file} has {name} rows of "
                "its own; leave one of the keys out."
            )
    if isinstance(section.test, float) or isinstance(section.validation, float):
        numbers, _ = numbered_in(table, roles.targets, task, kept=roles.keeps_labels)
        held = cut(numbers, section, file=table.file, seed=seed, rows=None if rows is None else rows["train"])
        rows = {**(rows or {}), **held}
    if rows is None:
        return {"train": table}
    return {name: table.take(some, f"rows to {DOES[name]}") for name, some in rows.items()}


def rows_of(table: Table, name: str) -> dict[str, SampleIds]:
    """The rows of every part that a column names, in order.

    Args:
        table: all rows.
        name: of the column.

    Raises:
        DataError: it names other parts, or none in some row.
    """
    column = table.columns[name]
    if column.missing is not None:
        row = int(np.argmax(column.missing))
        seen = f"the part is missing, as in {table.count(column.missing)}"
        raise DataError(f"{table.place(row, name)} (data.split): {seen}; {EXPECTED}.")
    if column.kind != "text":
        numbers = " Numbers of folds do not say it: write a column that does." if column.kind == "number" else ""
        raise DataError(f"{table.file}, column {name!r} (data.split) holds {column.words}; {EXPECTED}.{numbers}")
    parts = [PART_OF.get(str(text).strip().lower()) for text in column.texts]
    unknown = np.array([part is None for part in parts], np.bool_)
    if (row_of := first_row(unknown, column)) is not None:
        texts = [label_text(str(text)) for text in sorted(column.texts[unknown])]
        seen = label_text(str(column.texts[column.values[row_of]]))
        others = f" ({words(texts[:3], 'and')})" if len(texts) > 1 else ""
        raise DataError(
            f"{table.place(row_of, name)} (data.split): the part is {seen}; {table.count(unknown[column.values])} "
            f"{'has' if unknown[column.values].sum() == 1 else 'have'} such a word{others}; {EXPECTED}."
        )
    return {part: _rows_in(column, parts, part) for part in DOES if part in parts}


def take_part(table: Table, name: str, part: str) -> Table:
    """The rows of a part that a column names.

    Args:
        table: all rows.
        name: of the column.
        part: "train", "validation" or "test".

    Raises:
        DataError: see `rows_of`; or there is no such row.
    """
    found = rows_of(table, name)
    if part not in found:
        ways = words([f"--split={other}" for other in found], "or")
        raise DataError(f"{table.file}, column {name!r} (data.split) names no {part} rows; {ways} takes others.")
    return table.take(found[part], f"rows to {DOES[part]}")


def _training_rows(table: Table, name: str) -> dict[str, SampleIds]:
    """As `rows_of`; raises DataError also if no row is trained on."""
    found = rows_of(table, name)
    if "train" not in found:
        seen = words([f"{counted(len(rows), 'row')} to {DOES[part]}" for part, rows in found.items()], "and")
        raise DataError(f"{table.file}, column {name!r} (data.split): no row is trained on; there are {seen}.")
    return found


def _rows_in(column: Column, parts: list[str | None], part: str) -> SampleIds:
    return np.flatnonzero(np.array([one == part for one in parts], np.bool_)[column.values])


def is_split_column(column: Column) -> bool:
    """Whether a column does nothing but say of every row to which part it belongs, of two or more."""
    if column.kind != "text" or column.missing is not None:
        return False
    parts = {PART_OF.get(str(text).strip().lower()) for text in column.texts}
    return None not in parts and "train" in parts and len(parts) > 1
