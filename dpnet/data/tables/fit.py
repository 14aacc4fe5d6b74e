"""Fits a schema to the training data: which columns are inputs, and what each becomes."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

import numpy as np

from dpnet.config.keys import setting
from dpnet.data.missing.fills import no_indicator
from dpnet.data.tables.categories import MAX_CATEGORIES, Counts, counts_of
from dpnet.data.tables.column import Column
from dpnet.data.tables.columns import Table
from dpnet.data.tables.encoding import missing_value
from dpnet.data.tables.roles import Roles
from dpnet.data.tables.schema import Feature, Schema
from dpnet.data.tables.text.head import is_plain
from dpnet.data.tables.texts import first_other, first_row, stands_for
from dpnet.errors import DataError
from dpnet.text import listed, shorten

MAX_RECORD = 1 << 20
"""Most bytes of a schema in a checkpoint, whose manifest is read as a whole."""
LISTED = 20
"""Columns that a setting in a message names at most."""
DATE = re.compile(r"dates|times|durations")
"""What columns of dates and times hold, in words."""


def fit_schema(
    table: Table, roles: Roles, *, missing: str, min_frequency: int = 1, kept: Schema | None = None
) -> Schema:
    """The schema that suits the training data.

    Args:
        table: the training data; the columns of `roles.texts` were read as text.
        roles: of its columns.
        missing: what stands for a missing value, see `DataConfig`.
        min_frequency: rows that a text needs to be a category, see `DataConfig`.
        kept: the schema of a network that was trained before, whose inputs the columns are to become; None: there is
            none. Its categorical columns were read as text, too.

    Raises:
        DataError: a column cannot be an input, or is none of `kept`, or a value is missing and must not be.
    """
    if kept is None:
        features = tuple(_fit(name, table, roles, missing, min_frequency) for name in roles.inputs)
    else:
        features = _adopted(kept, table, roles, missing)
    unnamed = None if table.header else len(table.columns)
    is_text = table.columns[roles.target].kind == "text"
    schema = Schema(roles.target, is_text, features, roles.id, unnamed, roles.weight, roles.more_targets)
    if (size := len(json.dumps(schema.record()))) > MAX_RECORD:
        name = max(features, key=lambda feature: len(json.dumps(asdict(feature)))).name
        raise DataError(
            f"{table.file}: the names of its columns and categories take {size >> 20} MiB, the longest those of "
            f"column {name!r}; {_out(name)}."
        )
    return schema


def _adopted(kept: Schema, table: Table, roles: Roles, missing: str) -> tuple[Feature, ...]:
    """What the columns became for a network that was trained before; they are found by name, in any order."""
    names = [feature.name for feature in kept.features]
    absent = [name for name in names if name not in roles.inputs]
    more = [name for name in roles.inputs if name not in names]
    if absent or more:
        if absent:
            way = f"No input here is {listed(map(repr, absent))}: columns are found by name, so it has to be called so."
        else:
            way = f"To leave the others out: {setting('data.ignore', more[:LISTED])}."
        raise DataError(
            f"{table.file}: the pretrained network (model.pretrained, --from) has the inputs {listed(names)}; this "
            f"table has {listed(roles.inputs)}. {way}"
        )
    numbers = [feature.name for feature in kept.features if feature.categories is None]
    if wrong := [name for name in numbers if name in roles.categorical]:
        raise DataError(
            f"{table.file}: data.categorical has {wrong[0]!r}, which is a number for the pretrained network "
            "(model.pretrained, --from); take it out."
        )
    keeps_some = any(one.indicator for one in kept.features)
    return tuple(_adopt(feature, table, roles, missing, keeps_some=keeps_some) for feature in kept.features)


def _adopt(feature: Feature, table: Table, roles: Roles, missing: str, *, keeps_some: bool) -> Feature:
    """What the column of a feature becomes: what it was, with missing values filled in or refused."""
    column, is_text = table.columns[feature.name], feature.categories is not None
    if missing == "error":
        if column.missing is not None:
            raise missing_value(table, roles.inputs)
        return replace(feature, fill=None)
    if missing == "indicator" and column.missing is not None and not feature.indicator:
        raise no_indicator(f"{table.file}, column {feature.name!r}", keeps_some=keeps_some)
    if feature.fill is not None or is_text != (column.kind == "text"):
        return feature
    return replace(feature, fill=0.0 if is_text else _fit(feature.name, table, roles, missing).fill)


def _fit(name: str, table: Table, roles: Roles, missing: str, min_frequency: int = 1) -> Feature:
    column, forced = table.columns[name], name in roles.categorical
    if column.kind == "other":
        date = "make a number of them, such as the days since a date, or " if DATE.match(column.words) else ""
        seen = f"{table.file}, column {name!r} holds {column.words}, which cannot be an input"
        raise DataError(f"{seen}; {date}{_out(name)}.")
    refuses = missing == "error"
    if column.missing is not None and refuses:
        raise missing_value(table, roles.inputs)
    indicator = missing == "indicator" and column.missing is not None
    if column.kind == "text":
        table.check_lines(name)
        if not forced:
            _check_plain_text(name, column, table)
        counts = counts_of(column)
        _check_categories(name, counts, table, min_frequency, forced=forced)
        texts = counts.frequent(min_frequency)
        return Feature(name, texts, None if refuses else 0.0, indicator, unknown=len(texts) < len(counts.rows))
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
    kind, alike = stands_for(column)
    if not kind:
        return
    force = f"Or take them for categories: {setting('data.categorical', [name])}."
    if kind != "numbers":
        row = first_row(alike, column)
        assert row is not None
        raise DataError(
            f"{table.place(row, name)}: the value is {_value(column, row)}, in a column of {kind}; make a number of "
            f"them, such as the days since a date, or {_out(name)}. {force}"
        )
    other = first_other(name, table, is_plain)
    if other is None:
        raise DataError(f"{table.file}, column {name!r} holds numbers as text; save them as numbers. {force}")
    raise DataError(
        f"{other[0]}: the value is {shorten(repr(other[1]), 40)}, in a column of numbers; expected plain "
        f"numbers, such as -1234.5, and nothing where one is missing. {force}"
    )


def _value(column: Column, row: int) -> str:
    return shorten(repr(str(column.texts[column.values[row]])), 40)


def _check_categories(name: str, counts: Counts, table: Table, min_frequency: int, *, forced: bool) -> None:
    if not counts.rows:
        raise DataError(f"{table.file}, column {name!r}: every value is missing; {_out(name)}.")
    column, kept, different = f"{table.file}, column {name!r}", counts.frequent(min_frequency), len(counts.rows)
    few = f", {len(kept):,} of them in {min_frequency:,} rows or more (data.min_frequency)" * (min_frequency > 1)
    if counts.are_free(min_frequency, forced=forced):
        names = f", if it names the rows {setting('data.id', name)}" if different == table.rows else ""
        can_force = not forced and 0 < len(kept) <= MAX_CATEGORIES
        ways = [f"take them for categories: {setting('data.categorical', [name])}"] if can_force else []
        if (proposed := counts.proposed(forced=forced)) is not None:
            way = setting("data.min_frequency", proposed)
            ways.append(f"keep the {len(counts.frequent(proposed)):,} frequent ones as categories: {way}")
        raise DataError(
            f"{column} holds {different:,} different texts, such as {shorten(repr(min(counts.rows)), 40)}{few}, which "
            f"look like free text, dates or names; {_out(name)}{names}{''.join(f', or {way}' for way in ways)}."
        )
    if not kept:
        text, rows = counts.rows.most_common(1)[0]
        raise DataError(
            f"{column}: no text is in {min_frequency:,} rows or more (data.min_frequency); the most frequent one, "
            f"{shorten(repr(text), 40)}, is in {rows:,}. Set a lower data.min_frequency, or {_out(name)}."
        )


def _out(name: str) -> str:
    return f"leave the column out: {setting('data.ignore', [name])}"
