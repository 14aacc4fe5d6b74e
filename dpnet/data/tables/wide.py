"""Numbers so large that float64 does not tell them from their neighbours, where the file means exact ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds

EXACT = 2**53
"""Up to this one float64 tells integers apart."""


class Texts(Protocol):
    """A file of text, see `text.file.TextFile`."""

    def pieces(self, names: Collection[str]) -> Iterator[Any]:
        """Some columns as text, in batches of rows."""


def wide_numbers(numbers: npt.NDArray[np.float64], rows: SampleIds, texts: list[str]) -> npt.NDArray[np.bool_] | None:
    """Which numbers are not what the file holds: neither the same, nor the shortest text for the same float64.

    Whoever writes an exponent, 1.5e25, means a number that is rounded.
    """
    wide = np.zeros(len(numbers), np.bool_)
    for row, text in zip(rows, texts, strict=True):
        number = float(numbers[row])
        exact = np.isinf(number) or "e" in text.lower()
        wide[row] = not exact and Decimal(text.strip()) not in (Decimal(number), Decimal(repr(number)))
    return wide if wide.any() else None


def find_wide(table: Any, text: Texts, names: Collection[str]) -> dict[str, npt.NDArray[np.bool_] | None]:
    """Which numbers of a file of text are not what it holds, see `Column.wide`: of all columns, in one more reading.

    Args:
        table: as Arrow read it.
        text: the file.
        names: of columns that are not taken as text.
    """
    large: dict[str, npt.NDArray[np.float64]] = {}
    for name in names:
        array = table.column(name)
        if str(array.type) == "double" or (str(array.type) == "int64" and array.null_count):
            numbers = array.to_numpy().astype(np.float64)
            if (abs(numbers) >= EXACT).any():
                large[name] = numbers
    wide = {name: np.zeros(len(numbers), np.bool_) for name, numbers in large.items()}
    first = 0
    for piece in text.pieces(list(large)):
        part = slice(first, first + piece.num_rows)
        for name, numbers in large.items():
            rows = np.flatnonzero(abs(numbers[part]) >= EXACT)
            found = wide_numbers(numbers[part], rows, piece.column(name).take(rows).to_pylist())
            if found is not None:
                wide[name][part] = found
        first += piece.num_rows
    return {name: mask if mask.any() else None for name, mask in wide.items()}
