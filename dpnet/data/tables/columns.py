"""Tables in memory: their columns, each made when it is asked for."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds
from dpnet.data.tables.column import Column, as_values, guarded_arrow, make_column, without
from dpnet.data.tables.pieces.spooled import Spooled
from dpnet.data.tables.places import Places
from dpnet.data.tables.text.file import TextFile
from dpnet.data.tables.text.head import MISSING
from dpnet.data.tables.wide import EXACT, find_wide
from dpnet.errors import DataError
from dpnet.text import counted, shorten


class Columns(Mapping[str, Column]):
    """The columns of a table. Each is made when it is asked for: only what is used takes memory, and not for long.

    Args:
        file: the table, for messages.
        table: as Arrow read it.
        names: of its columns, in order.
        as_text: names of those to take as text.
        verbatim: names of those of them in which only an empty cell is missing.
        text: the file, if it is one of text.
    """

    def __init__(
        self,
        file: str,
        table: Any,
        names: Iterable[str],
        as_text: Collection[str],
        verbatim: Collection[str] = (),
        text: TextFile | None = None,
    ) -> None:
        self._file, self._table, self._names = file, table, dict.fromkeys(names)
        self._as_text, self._verbatim, self._text = as_text, verbatim, text
        self._rows: SampleIds | None = None
        """Some of the rows of the table; None: all."""
        self._wide = dict[str, npt.NDArray[np.bool_] | None]()
        self._kinds: Mapping[str, str] | None = None
        """What the columns hold as a whole, where the table has some of their rows; None: it has all."""
        self._found = dict[str, str]()
        """What those hold that were asked for."""

    def __getitem__(self, name: str) -> Column:
        if name not in self._names:
            raise KeyError(name)
        with guarded_arrow(self._file):
            column = self._made(name)
        self._found[name] = column.kind
        return column if self._rows is None else column.take(self._rows)

    def _made(self, name: str) -> Column:
        array, as_text = self._table.column(name), name in self._as_text
        column = make_column(array, as_text, f"{self._file}, column {name!r}")
        if column.kind == "text":
            texts = [str(text) for text in column.texts]
            gone = [not text if name in self._verbatim else text.strip() in MISSING for text in texts]
            column = without(column, np.array(gone, np.bool_))
            return column if as_text or self._text is None else self._as_values(column, name)
        if self._text is None or self._kinds is not None:
            return column
        if column.values.dtype.kind == "f" and (abs(column.values) >= EXACT).any():
            if not self._wide:
                self._wide.update(find_wide(self._table, self._text, set(self._names) - set(self._as_text)))
            return dataclasses.replace(column, wide=self._wide[name])
        return column

    def _as_values(self, column: Column, name: str) -> Column:
        """A column of text in a file of text as numbers or booleans, if it holds nothing else as a whole."""
        if self._kinds is None:
            return as_values(column)
        if self._kinds[name] == "text":
            return column
        gone = Column("number", np.full(len(column.values), np.nan), column.texts, column.missing, column.words)
        return as_values(column) if len(column.texts) else gone

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def texts(self, name: str) -> list[str]:
        """The different texts that stand in a column of the file, whatever they are taken for; without missing ones."""
        with guarded_arrow(self._file):
            kept = self._table.texts_of(name) if isinstance(self._table, Spooled) else None
            texts = make_column(self._as_written(name), True, self._file).texts if kept is None else kept
            return [text for text in map(str, texts) if text.strip() not in MISSING]

    def written(self, name: str, row: int) -> str:
        """What the file holds in a column and a row, counted in the file, for messages; nothing where it is missing."""
        with guarded_arrow(self._file):
            value = self._as_written(name)[row].as_py()
            return "" if value is None else str(value).strip()

    def _as_written(self, name: str) -> Any:
        """A column as Arrow reads it from the file, without taking text for numbers."""
        return self._table.column(name) if self._text is None else self._text.texts([name]).column(0)

    @property
    def whole(self) -> Columns:
        """The same columns of all rows."""
        whole = copy.copy(self)
        whole._rows = None
        return whole

    def take(self, rows: SampleIds) -> Columns:
        """The same columns of some of the rows."""
        assert self._rows is None
        taken = copy.copy(self)
        taken._rows = rows
        return taken

    def window(self, first: int, stop: int) -> Columns:
        """The same columns of the rows from `first` to `stop` - 1; each has been asked for as a whole before."""
        part = copy.copy(self.whole)
        part._table, part._kinds, part._found = self._table.slice(first, stop - first), self._found, {}
        return part

    @property
    def are_spooled(self) -> bool:
        """Whether they may be larger than memory."""
        return isinstance(self._table, Spooled)


@dataclass(frozen=True, eq=False)
class Table:
    """A table.

    Attributes:
        file: it was read from.
        rows: number of rows.
        columns: by name, in order.
        numbers: of the rows in the file, from 0; None: these are all rows.
        part: which rows these are, in words.
        text: the file, if it is one of text.
        parts: the files within `file`, if it is a folder, with the number of the first row of each.
    """

    file: str
    rows: int
    columns: Columns
    numbers: SampleIds | None = None
    part: str = ""
    text: TextFile | None = None
    parts: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def header(self) -> bool:
        """Whether its columns have names in the file."""
        return self.text is None or self.text.header

    @property
    def name(self) -> str:
        """The file, and which of its rows these are, for messages that count them."""
        return f"{self.file} ({self.part})" if self.part else self.file

    def number(self, row: int | np.integer[Any]) -> int:
        """The number of a row in the file."""
        return int(row if self.numbers is None else self.numbers[row])

    @property
    def places(self) -> Places:
        """Where its rows stand in the file."""
        return Places(self.file, self.numbers, self.text, self.parts)

    def place(self, row: int | np.integer[Any], name: str) -> str:
        """Where a value stands, for messages: see `Places.of`."""
        return self.places.of(row, name)

    def count(self, rows: npt.NDArray[np.bool_]) -> str:
        """How many of its rows these are, and of which, for messages: 3 rows of 320 (rows to train on)."""
        return f"{counted(int(rows.sum()), 'row')} of {self.rows:,}" + (f" ({self.part})" if self.part else "")

    def first_gap(self, name: str, what: str, missing: npt.NDArray[np.bool_]) -> str:
        """Where the first value of a column is missing, and how many are, for messages; `what` says what they are."""
        return f"{self.place(np.argmax(missing), name)}: the {what} is missing, as in {self.count(missing)}"

    def check_lines(self, name: str) -> None:
        """Raises DataError if a text of a column goes over several lines of a file of text: labels and names do not."""
        column = self.columns[name]
        broken = np.array(["\n" in text or "\r" in text for text in map(str, column.texts)], np.bool_)
        if self.text is None or not broken.any():
            return
        row = int(np.argmax(np.append(broken, False)[column.values]))
        text = shorten(repr(str(column.texts[column.values[row]])), 40)
        raise DataError(
            f"{self.place(row, name)}: the value {text} has a line break, as if a quotation mark were open by mistake; "
            "take the mark out, or the line break."
        )

    def window(self, first: int, stop: int) -> Table:
        """The rows from `first` to `stop` - 1; see `Columns.window`."""
        rows = np.arange(first, stop) if self.numbers is None else self.numbers[first:stop]
        columns = self.columns.window(int(rows[0]), int(rows[-1]) + 1)
        if self.numbers is not None:
            columns = columns.take(rows - rows[0])
        return dataclasses.replace(self, rows=len(rows), columns=columns, numbers=rows)

    def take(self, rows: SampleIds, part: str) -> Table:
        """Some of its rows."""
        return Table(self.file, len(rows), self.columns.take(rows), rows, part, self.text, self.parts)
