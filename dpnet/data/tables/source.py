"""Tables as sources of samples: training and test data with a schema, and other data that follow it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from dpnet.config.data import DataConfig
from dpnet.config.model import Task
from dpnet.data.classes import Classes
from dpnet.data.parts.of_table import cut_table, take_part
from dpnet.data.split import Split, make_split
from dpnet.data.tables.columns import Table
from dpnet.data.tables.encoding import Gaps, check_known, encode
from dpnet.data.tables.files import ENDINGS, Frame, is_table, is_text, read_names, read_table
from dpnet.data.tables.fit import fit_schema
from dpnet.data.tables.labels.read import numbered_in, of_columns, place_in
from dpnet.data.tables.pieces.rows import encode_in_parts
from dpnet.data.tables.roles import find_roles
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.targets import remarks_on_numbers, remarks_on_units, weights_in
from dpnet.data.tables.text.header import check_header, remarks_on_header
from dpnet.errors import DataError
from dpnet.files import where_from
from dpnet.text import counted, listed, shorten


def open_tables(
    section: DataConfig,
    path: str | Frame,
    seed: int,
    task: Task = "classification",
    others: Mapping[str, Frame] | None = None,
    kept: Schema | None = None,
) -> tuple[Split, Split | None, Split | None, Schema]:
    """Opens tables to train on.

    Args:
        section: of the job.
        path: of the training data, or these in memory.
        seed: see `sources.open_source`.
        task: see `sources.open_source`.
        others: "validation" and "test" data in memory, in the place of the keys of these names.
        kept: the schema of `sources.open_source`.

    Returns:
        the training samples; those of data.validation and of data.test, if there are any; and their schema.

    Raises:
        DataError: a table cannot be read, or a column is missing or cannot be used.
        ConfigError: pyarrow is not installed.
    """
    if section.header is not None and not is_text(path):
        raise DataError(f"data.header is set, but {path} is no text, and names its columns itself; leave the key out.")
    table = read_names(path, header=section.header)
    roles = find_roles(section, table)
    texts = [*roles.texts, *([] if kept is None else [name for name in kept.categorical if name in table.columns])]
    # Codes such as 01234 are to be read as they stand.
    table = read_table(path, as_text=texts, verbatim=roles.verbatim, header=table.header if is_text(path) else None)
    parts = cut_table(section, table, roles, seed, task)
    table = parts["train"]
    schema = fit_schema(table, roles, missing=section.missing, min_frequency=section.min_frequency, kept=kept)
    train = _split(table, schema, kept=roles.keeps_labels, foreign=kept is not None, task=task)
    of_labels = remarks_on_numbers(table, roles.target) if task == "classification" else []
    of_labels += [] if roles.keeps_labels or task != "classification" else remarks_on_units(table, roles.target)
    read = _of_parts(table) if table.parts else remarks_on_header(section, table)
    train = dataclasses.replace(train, remarks=(schema.text(), *train.remarks, *read, *of_labels))
    validation, test = (
        _split(parts[name], schema, task=task, foreign=roles.split is not None and value is None)
        if name in parts
        else None
        if value is None
        else open_table_named(name, value, schema, task, section.split)
        for name, value in {"validation": section.validation, "test": section.test, **(others or {})}.items()
    )
    return train, validation, test, schema


def open_table_named(
    name: str, value: str | float | Frame, schema: Schema, task: Task, column: str | None = None
) -> Split:
    """The table that data.test or data.validation names, or that was given in memory; with the column, its part."""
    part = None if column is None else (column, name)
    if isinstance(value, Frame):
        return open_table(value, schema, task=task, part=part, may_lack=True)
    path = os.path.expanduser(str(value))
    if not os.path.exists(path):
        raise DataError(f"data.{name} is {value}: there is no such file. {where_from(path)}".rstrip())
    if not is_table(path):
        raise DataError(f"data.{name} is {value}, which is no table ({', '.join(ENDINGS)}); name one.")
    return open_table(path, schema, task=task, part=part, may_lack=True)


def _of_parts(table: Table) -> list[str]:
    """A sentence on the files that were put together."""
    parts = list(table.parts)
    return [f"{table.file}: the rows of {counted(len(parts), 'Parquet file')} in order, {parts[0]} to {parts[-1]}"]


def open_table(
    path: str | Frame,
    schema: Schema,
    *,
    labelled: bool = True,
    task: Task = "classification",
    part: tuple[str, str] | None = None,
    may_lack: bool = False,
    gaps: Gaps = "train",
) -> Split:
    """Opens a table that a network is applied to; the labels may be missing.

    Args:
        path: of the table.
        schema: of the training data.
        labelled: the labels are wanted, if there are any; else they are not looked at.
        task: what they are.
        part: a column that says what the rows are, and which are taken; None, or there is no such column: all.
        may_lack: that there is no such column is not told.
        gaps: see `encoding.encode`.

    Raises:
        DataError: the table cannot be read, or does not have the columns of the schema; or no row has a category that
            the training data have.
        ConfigError: pyarrow is not installed.
    """
    told = check_header(path, schema) if is_text(path) else []
    table = read_table(path, as_text=schema.texts, verbatim=schema.verbatim, header=schema.unnamed is None)
    if part is not None and part[0] in table.columns:
        table = take_part(table, *part)
    elif part is not None and not may_lack:
        told.append(f"{path} has no column {part[0]!r} (data.split): all its rows are taken")
    split = _split(table, schema, labelled=labelled, foreign=True, task=task, gaps=gaps)
    remarks = [*split.remarks, *told]
    if labelled and split.labels is not None and task == "classification":
        remarks += remarks_on_numbers(table, schema.target)
    if not labelled and schema.id is not None and split.names is None:
        remarks.append(f"{path} has no column {schema.id!r} (data.id): the predictions do not name the rows")
    return dataclasses.replace(split, remarks=tuple(remarks))


def _split(
    table: Table,
    schema: Schema,
    *,
    kept: bool | None = None,
    labelled: bool = True,
    foreign: bool = False,
    task: Task = "classification",
    gaps: Gaps = "train",
) -> Split:
    """The samples of a table.

    Args:
        table: the data.
        schema: of the training data.
        kept: see `labels_of`; None: what labels are text is known from the training data.
        labelled: see `open_table`.
        foreign: it is another file than that of the training.
        task: see `open_table`.
        gaps: see `encoding.encode`.
    """
    encoded = encode_in_parts if table.columns.are_spooled else encode
    inputs, strange = encoded(schema, table, gaps)
    if foreign:
        check_known(schema, table, strange)
    labels = None
    if labelled and _has_labels(table, schema):
        keeps = kept if kept is not None else task == "classification"
        labels = numbered_in(table, schema.targets, task, kept=keeps)
    remarks = tuple(
        f"{table.file}: {counted(found.rows, 'row')} with a text in column {name!r} {schema.counts_as(name)}: "
        f"{listed([shorten(text if text.isprintable() else repr(text)) for text in found.texts], 5)}"
        for name, found in strange.items()
    )
    column = table.columns.get(schema.id) if schema.id is not None else None
    if schema.id is not None and column is not None:
        if column.kind == "other":
            seen = f"{table.file}, column {schema.id!r} (data.id) holds {column.words}"
            raise DataError(f"{seen}; expected text, numbers or dates that name the rows: leave data.id out.")
        table.check_lines(schema.id)
    names = None if column is None else np.append(column.texts, [""])[column.values]
    file, place = of_columns(table, schema.targets), place_in(table, schema.targets)
    split = make_split(inputs, None, table.name, file, place)
    if labels is not None:
        split = dataclasses.replace(split, labels=labels[0], classes=labels[1], task=task)
    if split.task == "multilabel":
        split = dataclasses.replace(split, classes=Classes(np.array(schema.targets)))
    if split.classes.kind == "text" and table.text is not None:
        split = dataclasses.replace(split, classes=dataclasses.replace(split.classes, written=True))
    weights, of_weights = weights_in(table, schema) if labels is not None else (None, ())
    remarks = (*remarks, *of_weights)
    return dataclasses.replace(split, remarks=remarks, names=names, weights=weights, file_rows=table.numbers)


def _has_labels(table: Table, schema: Schema) -> bool:
    """Whether a table has the columns of the labels.

    Raises:
        DataError: it has some of them.
    """
    gone = [name for name in schema.targets if name not in table.columns]
    if gone and len(gone) < len(schema.targets):
        raise DataError(
            f"{table.file} has no column {gone[0]!r} (data.target), and has others of the {len(schema.targets)} that "
            "hold the labels; give all of them, or none."
        )
    return not gone
