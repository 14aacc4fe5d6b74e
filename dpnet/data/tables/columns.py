"""Tables in memory: columns of numbers, booleans or text, made of what Arrow has read."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds
from dpnet.data.readers.guards import guarded
from dpnet.errors import DataError
from dpnet.text import shorten


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table.

    Attributes:
        kind: "number", "boolean", "text", or "other": what cannot be an input.
        values: (rows,) the numbers, int64 or float64, NaN where they are missing; the booleans; or of text the place in
            `texts`, -1 where it is missing.
        texts: the distinct texts, in no order.
        missing: (rows,) bool; None: nothing is missing.
        words: what the file says it holds.
    """

    kind: Literal["number", "boolean", "text", "other"]
    values: npt.NDArray[Any]
    texts: npt.NDArray[np.str_]
    missing: npt.NDArray[np.bool_] | None
    words: str

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
        return Column(self.kind, values, self.texts, missing, self.words)


class Columns(Mapping[str, Column]):
    """The columns of a table. Each is made when it is asked for: only what is used takes memory, and not for long.

    Args:
        file: the table, for messages.
        table: as Arrow read it.
        names: of its columns, in order.
        as_text: names of those to take as text.
        rows: some of the rows; None: all.
    """

    def __init__(
        self, file: str, table: Any, names: Iterable[str], as_text: Collection[str], rows: SampleIds | None = None
    ) -> None:
        self._file, self._table, self._names = file, table, dict.fromkeys(names)
        self._as_text, self._rows = as_text, rows

    def __getitem__(self, name: str) -> Column:
        if name not in self._names:
            raise KeyError(name)
        with guarded_arrow(self._file):
            column = _column(self._table.column(name), name in self._as_text)
        return column if self._rows is None else column.take(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def take(self, rows: SampleIds) -> Columns:
        """The same columns of some of the rows."""
        assert self._rows is None
        return Columns(self._file, self._table, self._names, self._as_text, rows)


@dataclass(frozen=True, eq=False)
class Table:
    """A table.

    Attributes:
        file: it was read from.
        rows: number of rows.
        columns: by name, in order.
        numbers: of the rows in the file, from 0; None: these are all rows.
        part: which rows these are, in words.
    """

    file: str
    rows: int
    columns: Columns
    numbers: SampleIds | None = None
    part: str = ""

    @property
    def name(self) -> str:
        """The file, and which of its rows these are, for messages that count them."""
        return f"{self.file} ({self.part})" if self.part else self.file

    def number(self, row: int | np.integer[Any]) -> int:
        """The number of a row in the file."""
        return int(row if self.numbers is None else self.numbers[row])

    def place(self, row: int | np.integer[Any], name: str) -> str:
        """Where a value stands, for messages."""
        return f"{self.file}, row {self.number(row)} (from 0), column {name!r}"

    def take(self, rows: SampleIds, part: str) -> Table:
        """Some of its rows."""
        return Table(self.file, len(rows), self.columns.take(rows), rows, part)


def _column(array: Any, as_text: bool) -> Column:
    arrow, compute = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.compute"))
    kinds, words = arrow.types, str(array.type)
    if kinds.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if as_text and not _is_text(kinds, array.type):
        array = compute.cast(array, arrow.string())
    missing = array.is_null(nan_is_null=kinds.is_floating(array.type)).to_numpy()
    some_missing = missing if missing.any() else None
    no_texts = np.zeros(0, "<U1")
    if _is_text(kinds, array.type):
        codes = array.combine_chunks().dictionary_encode()
        places = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return Column("text", places, np.array(codes.dictionary.to_pylist(), np.str_), some_missing, words)
    if kinds.is_boolean(array.type):
        return Column("boolean", array.fill_null(False).to_numpy(), no_texts, some_missing, words)
    if kinds.is_integer(array.type) and some_missing is None:
        return Column("number", array.to_numpy(), no_texts, None, words)
    is_number = (kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_null)
    if any(one(array.type) for one in is_number):
        numbers = array.cast(arrow.float64()).to_numpy()
        return Column("number", numbers.astype(np.float64), no_texts, some_missing, words)
    return Column("other", np.zeros(0), no_texts, some_missing, words)


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
            raise DataError(f"{file} cannot be read: {shorten(str(error).splitlines()[0], 200)}.") from error
