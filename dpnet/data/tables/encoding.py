"""Encodes a table: the inputs that its columns become, as a schema says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import numpy as np

from dpnet.config.keys import setting
from dpnet.data.inputs import Inputs
from dpnet.data.tables.column import Column
from dpnet.data.tables.columns import Table
from dpnet.data.tables.inputs import place_of, places_of, put_columns
from dpnet.data.tables.schema import Feature, Schema
from dpnet.data.tables.text.head import is_plain
from dpnet.data.tables.texts import as_category, first_other
from dpnet.errors import DataError
from dpnet.text import listed, shorten

FEW_ROWS = 10
"""So many rows may all be of categories that are new."""


LEFT_OUT = "--nonfinite=skip leaves such rows out"
Gaps = Literal["train", "apply", "nan"]


class Strange(NamedTuple):
    """What is no category of a column.

    Attributes:
        texts: that are none, sorted.
        rows: that have such a text.
        known: rows that have a category.
    """

    texts: list[str]
    rows: int
    known: int


class Encoded(NamedTuple):
    """The inputs that a table becomes.

    Attributes:
        inputs: (rows, inputs) float64; of a table that may be larger than memory in parts.
        strange: what is no category of its column, by the name of the column.
    """

    inputs: Inputs
    strange: dict[str, Strange]


def encode(schema: Schema, table: Table, gaps: Gaps = "train") -> Encoded:
    """The inputs that a table becomes. Its columns may stand in any order; others are left alone.

    Args:
        schema: of the training data.
        table: the data.
        gaps: what follows from a value that is infinite, or missing and not filled in. "nan": it becomes NaN, or all
            inputs of its column do. Else an error, of data to train and score with or of others: "train" or "apply".

    Raises:
        DataError: a column is not there or of another kind, or a value is missing or infinite, and that is an error.
    """
    inputs, strange = np.empty((table.rows, schema.width)), dict[str, Strange]()
    put_columns(inputs, schema, checked_columns(schema, table, gaps, strange))
    return Encoded(inputs, strange)


def checked_columns(
    schema: Schema, table: Table, gaps: Gaps, strange: dict[str, Strange]
) -> Callable[[Feature], Column]:
    """Gives the column of a feature, checked, see `check_column`.

    Args:
        schema: of the training data.
        table: the data.
        gaps: see `encode`.
        strange: takes up what is no category of a column that was given.

    Raises:
        DataError: a column of the training data is not there.
    """
    absent = [feature.name for feature in schema.features if feature.name not in table.columns]
    if absent:
        raise DataError(
            f"{table.file} has no column {listed(absent)}, which the training data had; it has {listed(table.columns)}."
        )

    def column_of(feature: Feature) -> Column:
        column = table.columns[feature.name]
        if (found := check_column(feature, column, schema, table, gaps)) is not None and found.rows:
            strange[feature.name] = found
        return column

    return column_of


def check_column(feature: Feature, column: Column, schema: Schema, table: Table, gaps: Gaps) -> Strange | None:
    """Refuse a column that cannot be what its feature says; of text, returns what is no category of it.

    Args:
        feature: what the column becomes.
        column: the column.
        schema: of the training data.
        table: with the column.
        gaps: see `encode`.

    Raises:
        DataError: see `encode`.
    """
    if column.missing is not None and feature.fill is None and gaps != "nan":
        raise missing_value(table, [one.name for one in schema.features if one.fill is None], gaps)
    if feature.categories is None:
        _check_numbers(feature, column, table, gaps)
        return None
    if column.kind != "text":
        raise DataError(f"{table.file}, column {feature.name!r} holds {column.words}; expected text, as in training.")
    places = places_of(feature, column)
    texts = {as_category(str(text)) for text in column.texts}
    rows = int((places >= 0).sum())
    return Strange(sorted(texts - place_of(feature).keys()), int((column.values >= 0).sum()) - rows, rows)


def _check_numbers(feature: Feature, column: Column, table: Table, gaps: Gaps) -> None:
    name = feature.name
    if column.kind == "text":
        other = first_other(name, table, is_plain)
        if other is None:
            raise DataError(f"{table.file}, column {name!r} holds numbers as text; save them as numbers.")
        raise DataError(f"{other[0]}: the value is {shorten(repr(other[1]), 40)}; expected a number, as in training.")
    if column.kind == "other":
        raise DataError(f"{table.file}, column {name!r} holds {column.words}; expected numbers, as in training.")
    if column.wide is not None:
        row = int(np.argmax(column.wide))
        written = table.columns.written(name, table.number(row))
        raise DataError(
            f"{table.place(row, name)}: the value is {written}, beyond 2**53: its neighbours would be the same input; "
            f"leave it out: {setting('data.ignore', [name])}."
        )
    if gaps == "nan" or column.values.dtype.kind != "f":
        return
    bad = ~np.isfinite(column.values)
    if column.missing is not None:
        bad &= ~column.missing
    if bad.any():
        row = int(np.argmax(bad))
        way = f"; {LEFT_OUT}" if gaps == "apply" else ""
        raise DataError(f"{table.place(row, name)}: the value is {column.values[row]}; expected a finite number{way}.")


def check_known(schema: Schema, table: Table, strange: dict[str, Strange]) -> None:
    """Refuse a column without a single category of the training data: then it is another column, or written otherwise.

    A few rows may well be of new categories, and count as none; and any number of rows where the column has the input
    unknown, which stands for rare texts as well. But where a text differs from a category in case, in spaces or in how
    a number is written alone, one row is enough.

    Raises:
        DataError: there is such a column.
    """
    for feature in schema.features:
        found = strange.get(feature.name)
        if found is None or found.known:
            continue
        assert feature.categories is not None
        meant = {_plain(text) for text in feature.categories} & {_plain(text) for text in found.texts}
        if not meant and (feature.unknown or found.rows < FEW_ROWS):
            continue
        texts, categories = (
            listed([shorten(repr(text), 40) for text in some if not meant or _plain(text) in meant], 5)
            for some in (found.texts, feature.categories)
        )
        ways = "" if feature.fill is None else " Where the category is not known, leave the cell empty."
        seen = "the text is no category" if found.rows == 1 else f"of {found.rows:,} texts none is a category"
        raise DataError(
            f"{table.file}, column {feature.name!r}: {seen} of the training data: here {texts}; there {categories}. "
            f"Write the categories as they are there.{ways}"
        )


def _plain(text: str) -> str:
    """A text without what people and programs write differently."""
    text = " ".join(text.split()).casefold()
    return f"{float(text):g}" if is_plain(text) else text


def missing_value(table: Table, names: Iterable[str], gaps: Gaps = "train") -> DataError:
    """The error for the columns in which a value is missing, at least one of `names`, and must not be; see `encode`."""
    found = {name: gone for name in names if (gone := table.columns[name].missing) is not None}
    name, missing = next(iter(found.items()))
    columns = f" Values are missing in {len(found)} columns: {listed(found)}." if len(found) > 1 else ""
    way = 'To train with such values: data.missing = "mean", "zero" or "indicator".'
    if gaps == "apply":
        way = f"The network was trained without missing values; {LEFT_OUT}."
    return DataError(f"{table.first_gap(name, 'value', missing)}.{columns} {way}")
