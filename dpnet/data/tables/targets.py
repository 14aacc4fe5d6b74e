"""The labels and the weights of a table: what these columns hold, as it is taken or refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Labels, Vector
from dpnet.config.keys import setting
from dpnet.data.classes import Classes, label_text
from dpnet.data.labels import MAX_TEXT, NO_REGRESSION, number_labels, too_long
from dpnet.data.sample_weights import check_weights, weights_text
from dpnet.data.tables.column import Column
from dpnet.data.tables.columns import Table
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.text.head import is_plain
from dpnet.data.tables.texts import first_row, stands_for
from dpnet.errors import DataError
from dpnet.text import counted, words

MANY = 20
"""So many different numbers with units may be classes."""
FRACTION = re.compile(r"[.,]\d{1,2}(?!\d)")
CODE = re.compile(r"\s*(?:[-+]?0\d|\+)")
"""How codes begin that are more than numbers: 01234, +49."""


def place_of(table: Table, target: str) -> Callable[[int], str]:
    """Where the label of a row stands, for messages."""
    return dataclasses.replace(table.places, target=target)


def labels_of(table: Table, target: str, *, kept: bool) -> npt.NDArray[Any]:
    """The labels of a table, as `number_labels` takes them; see `check_labels`."""
    column = check_labels(table, target, kept=kept)
    if column.kind != "text":
        return column.values
    labels: npt.NDArray[Any] = column.texts.astype(np.str_)[column.values]
    return labels


def number_texts(column: Column, file: str) -> tuple[Labels, Classes]:
    """As `number_labels`, of a column of text that was checked: only its different texts are looked at.

    Args:
        column: of text, none of which is missing.
        file: their origin, for messages.
    """
    numbers, classes = number_labels(column.texts.astype(np.str_), file)
    return numbers[column.values], classes


def check_labels(table: Table, target: str, *, kept: bool) -> Column:
    """The column of the labels of classes.

    Args:
        table: the data.
        target: column of the labels.
        kept: text stands for classes, whatever it looks like.

    Raises:
        DataError: a label is missing, or they are dates, times, or numbers with units.
    """
    column = table.columns[target]
    if column.kind == "other":
        what = f"{table.file}, column {target!r} holds {column.words}"
        raise DataError(
            f"{what}; expected labels: integers, booleans, whole numbers or text. If another column holds the labels: "
            "data.target."
        )
    if column.missing is not None:
        raise _missing(table, target, column)
    if column.kind != "text":
        return column
    table.check_lines(target)
    if (row := first_row(np.array([len(text) > MAX_TEXT for text in column.texts], np.bool_), column)) is not None:
        raise too_long(table.place(row, target), len(column.texts[column.values[row]]))
    if not kept:
        _check_text(table, target, column)
    return column


def weights_in(table: Table, schema: Schema) -> tuple[Vector | None, tuple[str, ...]]:
    """The weights of the rows, and a sentence on them."""
    if schema.weight is None:
        return None, ()
    if schema.weight not in table.columns:
        return None, (f"{table.name} has no column {schema.weight!r} (data.weight): every row counts as 1",)
    weights = _weights_of(table, schema.weight)
    return weights, (f"{table.name}, column {schema.weight!r}: {weights_text(weights)}",)


def _weights_of(table: Table, name: str) -> Vector:
    """The weights of the rows of a table.

    Args:
        table: the data.
        name: of the column of the weights.

    Raises:
        DataError: it does not hold a number for each row, or one of them is below 0, or all are 0.
    """
    column, where = table.columns[name], f"{table.name}, column {name!r}"
    if column.kind not in ("number", "boolean"):
        raise DataError(f"{where} (data.weight) holds {column.words}; expected a number for each row.")
    if column.missing is not None:
        row, number = int(np.argmax(column.missing)), counted(int(column.missing.sum()), "row")
        raise DataError(
            f"{table.place(row, name)} (data.weight): the weight is missing, as in {number} of {table.rows:,}; "
            "with 0 there the row counts in no loss and no score."
        )
    return check_weights(column.values, table.rows, where, place_of(table, name))


def _missing(table: Table, target: str, column: Column) -> DataError:
    assert column.missing is not None
    seen = table.first_gap(target, "label", column.missing)
    if column.kind == "number":
        known = np.where(column.missing, 0, column.values)
        if (broken := np.isfinite(known) & (known != np.floor(known))).any():
            example = known[int(np.argmax(broken))]
            return DataError(f"{seen}; the others are numbers such as {example}. {NO_REGRESSION}")
    written = table.columns.written(target, table.number(np.argmax(column.missing)))
    ways = f" If {written} is a class: {setting('data.categorical', [target])}." if written not in ("", "nan") else ""
    return DataError(f"{seen}; take such rows out of the file.{ways}")


def _check_text(table: Table, target: str, column: Column) -> None:
    """Refuse text that stands for dates or numbers, and not for classes."""
    kind, alike = stands_for(column)
    texts = [str(text) for text in column.texts]
    broken, plain = any(map(FRACTION.search, texts)), all(map(is_plain, texts))
    if not kind or (kind == "numbers" and not (broken or (len(texts) > MANY and not plain))):
        return
    row = first_row(alike, column)
    assert row is not None
    raise DataError(
        f"{table.place(row, target)}: the label is {label_text(str(column.texts[column.values[row]]))}, in a column of "
        f'{kind}. Targets that are numbers, written plainly: model.task = "regression". If these are classes: '
        f"{setting('data.categorical', [target])}."
    )


def remarks_on_units(table: Table, target: str) -> list[str]:
    """A sentence where classes are called as numbers with units are: 5 kg, 50%."""
    column = table.columns[target]
    if column.kind != "text":
        return []
    kind, alike = stands_for(column)
    units = sorted(text for text, is_one in zip(column.texts, alike, strict=True) if is_one and not is_plain(text))
    if kind != "numbers" or not units:
        return []
    return [
        f"{table.file}, column {target!r}: labels such as {units[0]!r} are names of classes, and no numbers; if that "
        f"is meant: {setting('data.categorical', [target])}"
    ]


def remarks_on_numbers(table: Table, target: str) -> list[str]:
    """A sentence where labels in a file of text are taken as numbers, and are not written as such: 01 is 1.

    Raises:
        DataError: labels are the same number, and some are written as codes are: 01 and 1.
    """
    if table.text is None or table.columns[target].kind not in ("number", "boolean"):
        return []
    texts = sorted(table.columns.texts(target))
    of_value: dict[int | float, list[str]] = {}
    for text in texts:
        of_value.setdefault(_value(text), []).append(text)
    ways = setting("data.categorical", [target])
    where = f"{table.file}, column {target!r}"
    for value, written in of_value.items():
        if len(written) > 1:
            same = f"{words([repr(text) for text in written[:3]], 'and')} are the same label, {label_text(value)}"
            if any(map(CODE.match, written)):
                raise DataError(f"{where}: {same}, as numbers; write them alike, or keep them apart: {ways}.")
            return [f"{where}: {same}; to keep them apart: {ways}"]
    codes = [text for text in texts if CODE.match(text)]
    if not codes:
        return []
    return [f"{where}: labels such as {codes[0]!r} are taken as numbers, {_value(codes[0])}; as they stand: {ways}"]


def _value(text: str) -> int | float:
    """The number, or the boolean, that Arrow takes a text for."""
    text = text.strip().lower()
    if text in ("true", "false"):
        return int(text == "true")
    return int(text) if text.removeprefix("-").isdecimal() else float(text)
