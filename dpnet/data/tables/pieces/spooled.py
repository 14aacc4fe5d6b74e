"""A table that was read once, in pieces, into files of Arrow that are mapped: it may be larger than memory.

    rows     |--- piece 0 ---|--- piece 1 ---|-- ... --|--- piece n ---|
    price          int64           double                    int64            the column: double

Each piece of a file of text was read by itself, so its numbers may have another type there than in the whole column.
They are converted as they are needed, for the rows that are needed.
"""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MOST_TEXTS = 10_000
"""Most texts of a column that a piece keeps."""


class Spooled:
    """The rows of some pieces, in the place of a table of Arrow.

    Args:
        pieces: tables of Arrow, in order, with the same columns.
        schema: of Arrow: the columns, and the type of each as a whole.

    Attributes:
        schema: the same.
        num_rows: number of rows.
    """

    def __init__(self, pieces: Sequence[Any], schema: Any) -> None:
        self._pieces, self.schema, self._first = pieces, schema, 0
        self._ends = np.cumsum([piece.num_rows for piece in pieces])
        self._places = {name: place for place, name in enumerate(schema.names)}
        self.num_rows = int(self._ends[-1]) if len(pieces) else 0

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.schema.names)

    @property
    def num_columns(self) -> int:
        """Number of columns."""
        return len(self.schema)

    def column(self, name: str | int) -> Any:
        """A column as a chunked array of Arrow, mapped where its type is that of the whole column."""
        arrow = importlib.import_module("pyarrow")
        place = name if isinstance(name, int) else self._places[name]
        kind, chunks = self.schema.field(place).type, []
        last = self._first + self.num_rows
        begin = int(np.searchsorted(self._ends, self._first, side="right"))
        for piece, end in zip(self._pieces[begin:], self._ends[begin:], strict=True):
            start = int(end) - piece.num_rows
            if start >= last:
                break
            low = max(self._first - start, 0)
            part = piece.column(place).slice(low, min(last - start, piece.num_rows) - low)
            chunks += (part if part.type == kind else part.cast(kind, safe=False)).chunks
        return arrow.chunked_array(chunks, kind)

    def texts_of(self, name: str) -> list[str] | None:
        """The different texts that stand in a column of the file, see `with_texts`; None: they were not kept."""
        found: set[str] = set()
        for piece in self._pieces:
            if (kept := (piece.schema.metadata or {}).get(name.encode())) is None:
                return None
            found |= set(json.loads(kept))
        return list(found)

    def slice(self, first: int, num_rows: int) -> Spooled:
        """Some adjacent rows."""
        part = copy.copy(self)
        part._first, part.num_rows = self._first + first, num_rows
        return part

    def table(self) -> Any:
        """All rows as a table of Arrow."""
        arrow = importlib.import_module("pyarrow")
        return arrow.table([self.column(place) for place in range(self.num_columns)], schema=self.schema)


@dataclass(frozen=True, eq=False)
class SpooledTable:
    """A table that was spooled, in the place of its path.

    Attributes:
        rows: of the table.
        parts: see `columns.Table`.
    """

    rows: Spooled
    parts: dict[str, int] = field(default_factory=dict)


def with_texts(table: Any, texts: Any) -> Any:
    """A piece that keeps the different texts of columns, which it may hold as numbers; not where these are very many.

    Args:
        table: of Arrow.
        texts: a table of these columns as text.
    """
    kept = {name: texts.column(name).unique() for name in texts.column_names}
    return table.replace_schema_metadata(
        {name: json.dumps(found.to_pylist()) for name, found in kept.items() if len(found) <= MOST_TEXTS}
    )


def joined_type(types: Sequence[Any]) -> Any:
    """The type of a column of text whose pieces were read as these types: the one that the whole would have.

    Arrow tries integers, booleans, dates, times and numbers in turn, and takes text if nothing fits all cells; one type
    fits what another does for the pairs below alone. Booleans fit 0 and 1, but no other integers.

    Args:
        types: of Arrow, of the pieces.
    """
    arrow = importlib.import_module("pyarrow")
    found = set(types) - {arrow.null()}
    if len(found) < 2:
        return next(iter(found), arrow.null())
    dates = [arrow.date32(), arrow.timestamp("s"), arrow.timestamp("ns")]
    zoned = [arrow.timestamp("s", "UTC"), arrow.timestamp("ns", "UTC")]
    for ladder in ([arrow.int64(), arrow.float64()], [arrow.int64(), arrow.bool_()], dates, zoned):
        if found <= set(ladder):
            return max(found, key=ladder.index)
    return arrow.string()


def converts(before: Any, kind: Any) -> bool:
    """Whether values that were read as one type are those of another, as if they had been read as that."""
    arrow = importlib.import_module("pyarrow")
    return bool(before == kind or before == arrow.null() or kind not in (arrow.bool_(), arrow.string()))
