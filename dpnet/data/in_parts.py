"""Inputs that lie in a file which can be neither mapped nor held in memory, and are read a part at a time.

Only who goes through the rows in order reads such inputs: a conversion. For a training they are read whole.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

PART_BYTES = 1 << 23
"""Bytes that are read at a time, or more: whole chunks of the file."""
KEPT = 2
"""Parts that are kept."""
FIRSTS = 4
"""Rows that are kept by themselves, from which statistics count: the first of each split, and one more."""
_WANTED: ContextVar[Mapping[str, Any] | None] = ContextVar("in parts", default=None)


@contextlib.contextmanager
def reading_in_parts(tables: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Let sources that are opened within the block read their inputs in parts where they cannot be mapped.

    Args:
        tables: a SpooledTable for each path of a table.
    """
    token = _WANTED.set(tables or {})
    try:
        yield
    finally:
        _WANTED.reset(token)


def is_wanted() -> bool:
    """Whether inputs are to be read in parts."""
    return _WANTED.get() is not None


def spooled(path: str) -> Any:
    """What was made of a table, in its place, see `tables.pieces.spooled`; None: it is to be read."""
    return (_WANTED.get() or {}).get(path)


class Flags(NamedTuple):
    """What `Split` asks of an array."""

    c_contiguous: bool = True


class InParts(ABC):
    """The rows of a data set, in the place of an array of shape (rows, features).

    Args:
        dtype: of the numbers.
        shape: of the data set; further axes are flattened.
        chunk: rows that the file stores together.

    Attributes:
        dtype: the same.
        shape: (rows, features), or (rows,) where there is no second axis.
        forward: a row is reached only through all rows before it, as in what was compressed as a whole.
    """

    flags = Flags()
    forward = False

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...], chunk: int) -> None:
        self.dtype = dtype
        self.shape = shape if len(shape) < 2 else (shape[0], math.prod(shape[1:]))
        row_bytes = max(math.prod(shape[1:]) * dtype.itemsize, 1)
        self._step = chunk * max(PART_BYTES // (row_bytes * chunk), 1)
        self._parts: dict[int, npt.NDArray[Any]] = {}
        self._firsts: dict[int, npt.NDArray[Any]] = {}
        self._last = len(self)

    @abstractmethod
    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The rows from `start` to `stop` - 1."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of all elements."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]

    def reshape(self, *shape: int) -> InParts:
        """Itself: its rows are flat already."""
        assert shape == (len(self), -1)
        return self

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Some rows: a range of them, or some by their numbers, in order."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            if stop - start == 1:
                return self._one(start)
            self._last = start
            return self._range(start, stop)
        if len(rows) == 1:
            return self._one(int(rows[0]))
        self._last = int(rows[0]) if len(rows) else self._last
        parts, begin = [np.empty((0, *self.shape[1:]), self.dtype)], 0
        while begin < len(rows):
            first = int(rows[begin]) // self._step * self._step
            end = int(np.searchsorted(rows, first + self._step))
            part = self._range(first, min(first + self._step, len(self)))
            parts.append(part[rows[begin:end] - first])
            begin = end
        return self._together(parts)

    def _one(self, row: int) -> npt.NDArray[Any]:
        """A row by itself; kept if it lies before what was asked for last.

        Each chunk of a split is measured from the first row of the split. To read that again, with what lies between,
        would take as long as to read all.
        """
        if row not in self._firsts:
            is_back, found = row <= self._last, self._range(row, row + 1)
            self._last = row
            if not is_back:
                return found
            self._firsts[row] = found.copy()
            if len(self._firsts) > FIRSTS:
                del self._firsts[next(iter(self._firsts))]
        return self._firsts[row]

    def _range(self, start: int, stop: int) -> npt.NDArray[Any]:
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        for first in range(start // self._step * self._step, stop, self._step):
            part = self._kept(first)
            parts.append(part[max(start - first, 0) : stop - first])
        return parts[-1] if len(parts) == 2 else self._together(parts)

    def _together(self, parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Parts as one; numpy would give it the byte order of this machine."""
        return np.concatenate(parts, dtype=self.dtype)

    def _kept(self, first: int) -> npt.NDArray[Any]:
        """The part that begins with a row; the last two are kept, as statistics count from the first row."""
        part = self._parts.pop(first, None)
        if part is None:
            part = self.read(first, min(first + self._step, len(self)))
        self._parts[first] = part
        if len(self._parts) > KEPT:
            del self._parts[next(iter(self._parts))]
        return part
