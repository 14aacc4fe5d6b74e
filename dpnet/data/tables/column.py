"""One column of a table: numbers, booleans or text, made of what Arrow has read."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds
from dpnet.data.readers.guards import guarded
from dpnet.data.tables.text.head import is_number
from dpnet.data.tables.wide import EXACT, wide_numbers
from dpnet.errors import DataError
from dpnet.text import shorten

BOOLEANS = ("true", "false")
TEXTS = (".csv", ".tsv", ".gz")
"""Endings of files that anybody can look into."""
WORDS = {
    "date": "dates",
    "timestamp": "dates",
    "time": "times of day",
    "duration": "durations",
    "list": "lists",
    "binary": "bytes",
    "string": "text",
    "bool": "true and false",
    "int": "integers",
    "uint": "integers",
    "double": "numbers",
    "float": "numbers",
    "decimal": "numbers",
}
"""What people call the types of Arrow whose names begin so."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table.

    Attributes:
        kind: "number", "boolean", "text", or "other": what cannot be an input.
        values: (rows,) the numbers, int64 or float64, NaN where they are missing; the booleans; or of text the place in
            `texts`, -1 where it is missing.
        texts: (texts,) str, the distinct texts, in no order; as objects, each of which takes the room that it needs.
        missing: (rows,) bool; None: nothing is missing.
        words: what the file says it holds.
        wide: (rows,) bool: numbers beyond 2**53 that are not what the file holds, or have neighbours that float64 does
            not tell from them; None: there are none.
    """

    kind: Literal["number", "boolean", "text", "other"]
    values: npt.NDArray[Any]
    texts: npt.NDArray[np.object_]
    missing: npt.NDArray[np.bool_] | None
    words: str
    wide: npt.NDArray[np.bool_] | None = None

    def take(self, rows: SampleIds) -> Column:
        """Some of its rows; of the texts those that they have."""
        if self.kind == "other":
            return self
        missing = None if self.missing is None or not self.missing[rows].any() else self.missing[rows]
        values = self.values[rows]
        if self.kind == "text":
            used = np.unique(values[values >= 0])
            places = np.full(len(self.texts) + 1, -1)
            places[used] = np.arange(len(used))
            return Column("text", places[values], self.texts[used], missing, self.words)
        wide = None if self.wide is None or not self.wide[rows].any() else self.wide[rows]
        return Column(self.kind, values, self.texts, missing, self.words, wide)


def make_column(array: Any, as_text: bool, place: str) -> Column:
    """Makes a column of what Arrow has read, as text if that is asked for; `place` is for messages."""
    arrow, compute = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.compute"))
    kinds, words = arrow.types, _in_words(str(array.type))
    if kinds.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if as_text and not _is_text(kinds, array.type):
        array = _texts(array)
    missing = array.is_null(nan_is_null=kinds.is_floating(array.type)).to_numpy()
    some_missing = missing if missing.any() else None
    no_texts = np.zeros(0, np.object_)
    if _is_text(kinds, array.type):
        chunks = array.dictionary_encode().chunks  # All have one dictionary.
        texts = chunks[0].dictionary.to_pylist() if chunks else []
        places = [np.zeros(0, np.int64), *(one.indices.fill_null(-1).to_numpy(zero_copy_only=False) for one in chunks)]
        return Column("text", np.concatenate(places), _checked(texts, place), some_missing, words)
    if kinds.is_boolean(array.type):
        return Column("boolean", array.fill_null(False).to_numpy(), no_texts, some_missing, words)
    if kinds.is_integer(array.type):
        integers = array.fill_null(0).to_numpy()
        wide = (integers > EXACT) | (integers < -EXACT)
        values = integers if some_missing is None else np.where(missing, np.nan, integers.astype(np.float64))
        return Column("number", values, no_texts, some_missing, words, wide if wide.any() else None)
    if any(one(array.type) for one in (kinds.is_floating, kinds.is_decimal, kinds.is_null)):
        numbers = array.cast(arrow.float64()).to_numpy().astype(np.float64)
        wide = None
        if kinds.is_decimal(array.type) and (rows := np.flatnonzero(abs(numbers) >= EXACT)).size:
            wide = wide_numbers(numbers, rows, compute.cast(array.take(rows), arrow.string()).to_pylist())
        return Column("number", numbers, no_texts, some_missing, words, wide)
    return Column("other", np.zeros(0), no_texts, some_missing, words)


def _in_words(kind: str) -> str:
    """What a column holds, whose type Arrow calls `kind`: dates (date32[day])."""
    plain = next((word for start, word in WORDS.items() if kind.startswith(start)), "")
    return f"{plain} ({kind})" if plain else kind


def _texts(array: Any) -> Any:
    """Any values as text: numbers as Python, and so pandas, writes them in a file; lists and bytes as they are."""
    arrow, compute = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.compute"))
    if not arrow.types.is_floating(array.type):
        with contextlib.suppress(arrow.ArrowNotImplementedError, arrow.ArrowInvalid):
            return compute.cast(array, arrow.string())
        return array
    numbers = array.to_numpy()
    return arrow.chunked_array([[None if np.isnan(one) else str(one) for one in numbers]], arrow.string())


def _checked(texts: list[str], place: str) -> npt.NDArray[np.object_]:
    strange = next((text for text in texts if "\0" in text), None)
    if strange is not None:  # numpy would take "a\0" for "a".
        raise DataError(f"{place}: the text {shorten(repr(strange), 40)} holds a zero byte; take such bytes out.")
    return np.array(texts, np.object_)


def without(column: Column, gone: npt.NDArray[np.bool_]) -> Column:
    """A column of text without some of its texts: there it is missing."""
    if not gone.any():
        return column
    number = np.append(np.where(gone, -1, np.cumsum(~gone) - 1), -1)
    values = number[column.values]
    return dataclasses.replace(column, values=values, texts=column.texts[~gone], missing=values < 0)


def as_values(column: Column) -> Column:
    """A column of text as numbers or booleans, if it holds nothing else.

    Arrow knows no sign + before a number, and no spaces around NA and True.
    """
    texts = [str(text) for text in column.texts]
    words = [text.strip().lower() for text in texts]
    if set(words) <= {*BOOLEANS, "1", "0"} and set(words) & {*BOOLEANS}:
        booleans = np.array([*(word in ("true", "1") for word in words), False])[column.values]
        return Column("boolean", booleans, column.texts[:0], column.missing, column.words)
    if not texts or not all(map(is_number, texts)):
        return column
    values = np.array([*map(float, texts), np.nan])[column.values]
    rows = np.flatnonzero(abs(values) >= EXACT)
    wide = wide_numbers(values, rows, [texts[column.values[row]] for row in rows])
    return Column("number", values, column.texts[:0], column.missing, column.words, wide)


def _is_text(kinds: Any, kind: Any) -> bool:
    return any(one(kind) for one in (kinds.is_string, kinds.is_large_string, kinds.is_string_view))


@contextlib.contextmanager
def guarded_arrow(file: str) -> Iterator[None]:
    """Turns every error of the block, which has Arrow read or convert `file`, into a DataError that names it."""
    arrow = importlib.import_module("pyarrow")
    with guarded(file):
        try:
            yield
        except arrow.ArrowException as error:
            seen = f"{file} cannot be read: {shorten(str(error).splitlines()[0], 200).rstrip('.')}."
            way = "" if file.endswith(TEXTS) else " If it is cut off or damaged, copy it again."
            raise DataError(f"{seen}{way}") from error
