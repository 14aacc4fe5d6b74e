"""Tables as sources of samples: training and test data with a schema, and other data that follow it."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.config.data import DataConfig
from dpnet.data.hold_out import hold_out
from dpnet.data.labels import number_labels
from dpnet.data.split import Split, make_split
from dpnet.data.tables.columns import Table
from dpnet.data.tables.encoding import encode
from dpnet.data.tables.files import ENDINGS, TEXT_ENDINGS, is_table, read_table
from dpnet.data.tables.fit import fit_schema, matching, no_column
from dpnet.data.tables.schema import Schema
from dpnet.errors import DataError
from dpnet.files import where_from
from dpnet.text import counted, listed

USUAL_TARGETS = ("target", "label", "labels", "class", "y", "species", "diagnosis", "category")


def open_tables(section: DataConfig, path: str) -> tuple[Split, Split | None, Schema]:
    """Opens tables to train on.

    Args:
        section: of the job.
        path: of the training data.

    Returns:
        the training samples; the test samples of data.test, if there are any; and their schema.

    Raises:
        DataError: a table cannot be read, or a column is missing or cannot be used.
        ConfigError: pyarrow is not installed.
    """
    table = read_table(path)
    as_text = matching(section.categorical, table.columns) + [name for name in table.columns if name == section.id]
    if as_text:
        table = read_table(path, as_text=as_text)  # Codes such as 01234 are to be read as they stand.
    target = find_target(section.target, table)
    test_table = None
    if isinstance(section.test, float):
        numbers, _ = number_labels(_labels(table, target), _place(table, target))
        rows, others = hold_out(numbers, section.test, key="data.test", file=path)
        table, test_table = table.take(others, "rows to train on"), table.take(rows, "rows to test with")
    schema = fit_schema(section, table, target)
    train = dataclasses.replace(_split(table, schema), remarks=(schema.text(), *_without_header(table)))
    if test_table is not None:
        return train, _split(test_table, schema), schema
    if section.test is None:
        return train, None, schema
    assert isinstance(section.test, str)
    test_path = os.path.expanduser(section.test)
    if not os.path.exists(test_path):
        raise DataError(f"data.test is {section.test}: there is no such file. {where_from(test_path)}".rstrip())
    if not is_table(test_path):
        raise DataError(f"data.test is {section.test}, which is no table ({', '.join(ENDINGS)}); name one.")
    return train, open_table(test_path, schema), schema


def _without_header(table: Table) -> list[str]:
    """A sentence where the first line of a file of text was taken for numbers, and not for names."""
    if not table.file.lower().endswith(TEXT_ENDINGS) or list(table.columns) != list(
        map(str, range(len(table.columns)))
    ):
        return []
    return [f"{table.file} begins with a line of numbers, so it has no header: its columns are called 0, 1, ..."]


def open_table(path: str, schema: Schema) -> Split:
    """Opens a table that a network is applied to; the labels may be missing.

    Args:
        path: of the table.
        schema: of the training data.

    Raises:
        DataError: the table cannot be read, or does not have the columns of the schema.
        ConfigError: pyarrow is not installed.
    """
    return _split(read_table(path, as_text=schema.texts), schema)


def guess_target(table: Table) -> str:
    """The column that most likely holds the labels: one of a usual name, else the last."""
    names = list(table.columns)
    return next((name for name in names if name.lower() in USUAL_TARGETS), names[-1])


def find_target(target: str | int | None, table: Table, said_by: str = "data.target") -> str:
    """The column of the labels.

    Args:
        target: its name or its place.
        table: the training data.
        said_by: the key or the option that says it, for messages.

    Raises:
        DataError: there is no such column, or none was said.
    """
    names = list(table.columns)
    if target is None:
        raise DataError(
            f"{table.file} is a table with the columns {listed(names)}; say which of them holds the labels: "
            f'data.target = "{guess_target(table)}", for example.'
        )
    if isinstance(target, int):
        if not -len(names) <= target < len(names):
            raise DataError(f"{said_by} is {target}, but {table.file} has {counted(len(names), 'column')}.")
        return names[target]
    if target not in table.columns:
        raise no_column(table, target, said_by)
    return target


def _split(table: Table, schema: Schema) -> Split:
    inputs, strange = encode(schema, table)
    labels = _labels(table, schema.target) if schema.target in table.columns else None
    place = _place(table, schema.target)
    remarks = tuple(
        f"{table.file}: {counted(found.rows, 'row')} with a text in column {name!r} that the training data do not "
        f"have, and that counts as none: {listed(found.texts, 5)}"
        for name, found in strange.items()
    )
    column = table.columns.get(schema.id) if schema.id is not None else None
    names = None if column is None else np.append(column.texts, "")[column.values]
    return dataclasses.replace(make_split(inputs, labels, table.name, place), remarks=remarks, names=names)


def _place(table: Table, target: str) -> str:
    return f"{table.name}, column {target!r}"


def _labels(table: Table, target: str) -> npt.NDArray[Any]:
    column, place = table.columns[target], _place(table, target)
    if column.missing is not None:
        row = int(np.argmax(column.missing))
        raise DataError(
            f"{place}: the label of row {row} (from 0) is missing, as in {counted(int(column.missing.sum()), 'row')} "
            f"of {len(column.missing):,}; leave such rows out."
        )
    if column.kind == "other":
        raise DataError(f"{place} holds {column.words}; expected labels: integers, booleans, whole numbers or text.")
    return column.texts[column.values] if column.kind == "text" else column.values
