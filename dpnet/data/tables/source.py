"""Tables as sources of samples: training and test data with a schema, and other data that follow it."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from dpnet.config.data import DataConfig
from dpnet.data.hold_out import hold_out
from dpnet.data.labels import number_labels
from dpnet.data.split import Split, make_split
from dpnet.data.tables.columns import Table
from dpnet.data.tables.encoding import check_known, encode
from dpnet.data.tables.files import ENDINGS, TEXT_ENDINGS, is_table, read_table
from dpnet.data.tables.fit import fit_schema
from dpnet.data.tables.roles import find_roles
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.targets import labels_of, place_of, remarks_on_numbers
from dpnet.errors import DataError
from dpnet.files import where_from
from dpnet.text import counted, listed


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
    roles = find_roles(section, table)
    if roles.texts:
        table = read_table(path, as_text=roles.texts)  # Codes such as 01234 are to be read as they stand.
    target, test_table = roles.target, None
    if isinstance(section.test, float):
        labels = labels_of(table, target, kept=roles.keeps_labels)
        numbers, _ = number_labels(labels, path, place_of(table, target))
        rows, others = hold_out(numbers, section.test, key="data.test", file=path)
        table, test_table = table.take(others, "rows to train on"), table.take(rows, "rows to test with")
    schema = fit_schema(table, roles, missing=section.missing)
    train = _split(table, schema, kept=roles.keeps_labels)
    of_labels = remarks_on_numbers(table, target)
    train = dataclasses.replace(train, remarks=(schema.text(), *_without_header(table), *of_labels))
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


def open_table(path: str, schema: Schema, *, labelled: bool = True) -> Split:
    """Opens a table that a network is applied to; the labels may be missing.

    Args:
        path: of the table.
        schema: of the training data.
        labelled: the labels are wanted, if there are any; else they are not looked at.

    Raises:
        DataError: the table cannot be read, or does not have the columns of the schema; or no row has a category that
            the training data have.
        ConfigError: pyarrow is not installed.
    """
    table = read_table(path, as_text=schema.texts)
    split = _split(table, schema, labelled=labelled, foreign=True)
    remarks = list(split.remarks)
    if labelled and split.labels is not None:
        remarks += remarks_on_numbers(table, schema.target)
    if not labelled and schema.id is not None and split.names is None:
        remarks.append(f"{path} has no column {schema.id!r} (data.id): the predictions do not name the rows")
    return dataclasses.replace(split, remarks=tuple(remarks))


def _split(table: Table, schema: Schema, *, kept: bool = True, labelled: bool = True, foreign: bool = False) -> Split:
    """The samples of a table.

    Args:
        table: the data.
        schema: of the training data.
        kept: see `labels_of`.
        labelled: see `open_table`.
        foreign: it is another file than that of the training.
    """
    inputs, strange = encode(schema, table)
    if foreign:
        check_known(schema, table, strange)
    has_labels = labelled and schema.target in table.columns
    labels = labels_of(table, schema.target, kept=kept) if has_labels else None
    remarks = tuple(
        f"{table.file}: {counted(found.rows, 'row')} with a text in column {name!r} that the training data do not "
        f"have, and that counts as none: {listed(found.texts, 5)}"
        for name, found in strange.items()
    )
    column = table.columns.get(schema.id) if schema.id is not None else None
    names = None if column is None else np.append(column.texts, "")[column.values]
    file = f"{table.name}, column {schema.target!r}"
    split = make_split(inputs, labels, table.name, file, place_of(table, schema.target))
    return dataclasses.replace(split, remarks=remarks, names=names)
