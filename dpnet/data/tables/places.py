"""Where the rows of a table stand, apart from the table itself: what became of it can be packed, and is smaller."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpnet.compute.arrays import SampleIds
from dpnet.data.tables.text.file import TextFile


@dataclass(frozen=True, eq=False)
class Places:
    """Where the rows of a table stand: all of a table that messages on its labels need, without its columns.

    Attributes:
        file: see Table.
        numbers: likewise.
        text: likewise.
        parts: likewise.
        target: the column that `places(row)` means; empty: the row as a whole.
    """

    file: str
    numbers: SampleIds | None
    text: TextFile | None
    parts: dict[str, int]
    target: str = ""

    def __call__(self, row: int) -> str:
        """See labels.Place."""
        where = self.of(row, self.target)
        return where if self.target else where.rpartition(", column")[0]

    def of(self, row: int | np.integer[Any], name: str) -> str:
        """Where a value stands: in a file of text by its line, as an editor counts them, from 1."""
        file, number = self.file, int(row if self.numbers is None else self.numbers[row])
        line = None if self.text is None else self.text.line(number)
        # Of two files that begin with the same row the first is empty.
        if part := next((part for part in reversed(self.parts) if self.parts[part] <= number), ""):
            file, number = os.path.join(file, part), number - self.parts[part]
        where = f"row {number} (from 0)" if line is None else f"line {line}"
        return f"{file}, {where}, column {name!r}"
