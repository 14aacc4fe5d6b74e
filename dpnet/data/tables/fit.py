"""Fits a schema to the training data: which columns are inputs, and what each becomes."""

from __future__ import annotations

import difflib
import fnmatch
import json
import re
from collections.abc import Iterable, Sequence

import numpy as np

from dpnet.config.data import DataConfig
from dpnet.data.tables.columns import Column, Table
from dpnet.data.tables.encoding import missing_value
from dpnet.data.tables.schema import Feature, Schema
from dpnet.data.tables.texts import date_like, first_row, is_plain, most, number_like
from dpnet.errors import DataError
from dpnet.text import listed, shorten

MAX_DETECTED = 100
"""A column of text with more distinct texts is taken for free text, unless data.categorical names it."""
MAX_CATEGORIES = 10_000
"""Most categories of a column."""
MAX_RECORD = 1 << 20
"""Most bytes of a schema in a checkpoint, whose manifest is read as a whole."""
DATE = re.compile(r"date|time|duration")
"""How Arrow calls dates and times."""


def fit_schema(section: DataConfig, table: Table, target: str) -> Schema:
    """The schema that suits the training data.

    Args:
        section: of the job.
        table: the training data; columns that data.categorical names were read as text.
        target: column of the labels.

    Raises:
        DataError: a column cannot be an input, or a value is missing and must not be; or no column is left.
    """
    if section.id is not None and section.id not in table.columns:
        raise no_column(table, section.id, "data.id")
    names = [name for name in table.columns if name not in (target, section.id)]
    wanted = set(_matching(section.features, names, table, "data.features")) if section.features else set(names)
    ignored = set(_matching(section.ignore, names, table, "data.ignore"))
    forced = set(_matching(section.categorical, names, table, "data.categorical"))
    used = [name for name in names if name in wanted and name not in ignored]
    if not used:
        raise DataError(f"{table.file}: no column is left to learn from, of {listed(table.columns)}.")
    features = tuple(_fit(name, table, used, section.missing, forced=name in forced) for name in used)
    schema = Schema(target, table.columns[target].kind == "text", features, section.id)
    if (size := len(json.dumps(schema.record()))) > MAX_RECORD:
        raise DataError(
            f"{table.file}: the names of its columns and categories take {size >> 20} MiB; leave columns out with "
            "data.ignore."
        )
    return schema


def _matching(patterns: Sequence[str], names: Sequence[str], table: Table, key: str) -> list[str]:
    """The columns that patterns name, in the order of the table."""
    for pattern in patterns:
        if not matching([pattern], table.columns):
            raise no_column(table, pattern, key)
    return matching(patterns, names)


def matching(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """The names that are one of the patterns, or match one of them as a shell would."""
    return [name for name in names if any(name == one or fnmatch.fnmatchcase(name, one) for one in patterns)]


def no_column(table: Table, name: str, key: str) -> DataError:
    """The error for a column that a key names and the table does not have."""
    close = difflib.get_close_matches(name, table.columns, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {listed(table.columns)}."
    return DataError(f"{table.file} has no column {name!r} ({key}); {hint}")


def _fit(name: str, table: Table, used: Sequence[str], missing: str, *, forced: bool) -> Feature:
    column = table.columns[name]
    if column.kind == "other":
        date = "make a number of them, such as the days since a date, or " if DATE.match(column.words) else ""
        seen = f"{table.file}, column {name!r} holds {column.words}, which cannot be an input"
        raise DataError(f"{seen}; {date}{_out(name)}.")
    refuses = missing == "error"
    if column.missing is not None and refuses:
        raise missing_value(table, used)
    indicator = missing == "indicator" and column.missing is not None
    if column.kind == "text":
        texts = tuple(sorted(str(text) for text in column.texts))
        if not forced:
            _check_plain_text(name, column, table)
        _check_categories(name, texts, table, forced=forced)
        return Feature(name, texts, None if refuses else 0.0, indicator)
    if refuses:
        return Feature(name)
    known = column.values if column.missing is None else column.values[~column.missing]
    if not len(known):
        raise DataError(f"{table.file}, column {name!r}: every value is missing; {_out(name)}.")
    return Feature(name, None, 0.0 if missing == "zero" else float(np.mean(known, dtype=np.float64)), indicator)


def _check_plain_text(name: str, column: Column, table: Table) -> None:
    """Refuse what is dates, or numbers with a text among them or with units: as categories they would lose their order.

    Most rows or most of the different texts decide.
    """
    texts = [str(text) for text in column.texts]
    if not texts:
        return
    force = f'Or take them for categories: data.categorical = ["{name}"].'
    if most(dates := date_like(texts), column):
        row = first_row(dates, column)
        assert row is not None
        raise DataError(
            f"{table.place(row, name)}: the value is {_value(column, row)}, in a column of dates or times; make a "
            f"number of them, such as the days since a date, or {_out(name)}. {force}"
        )
    if not most(number_like(texts), column):
        return
    row = first_row(np.array([not is_plain(text) for text in texts]), column)
    if row is None:
        raise DataError(f"{table.file}, column {name!r} holds numbers as text; save them as numbers. {force}")
    raise DataError(
        f"{table.place(row, name)}: the value is {_value(column, row)}, in a column of numbers; expected plain "
        f"numbers, such as -1234.5, and nothing where one is missing. {force}"
    )


def _value(column: Column, row: int) -> str:
    return shorten(repr(str(column.texts[column.values[row]])), 40)


def _check_categories(name: str, texts: Sequence[str], table: Table, *, forced: bool) -> None:
    if not texts:
        raise DataError(f"{table.file}, column {name!r}: every value is missing; {_out(name)}.")
    seen = f"{table.file}, column {name!r} holds {len(texts):,} different texts, such as {shorten(repr(texts[0]), 40)}"
    if len(texts) > (MAX_CATEGORIES if forced else MAX_DETECTED):
        can_force = not forced and len(texts) <= MAX_CATEGORIES
        force = f', or take them for categories: data.categorical = ["{name}"]' if can_force else ""
        raise DataError(f"{seen}, which look like free text, dates or names; {_out(name)}{force}.")


def _out(name: str) -> str:
    return f'leave the column out: data.ignore = ["{name}"]'
