"""Svmlight text that may be larger than memory: read through once, and then a part at a time.

    first pass    blocks of lines: every line is checked; of each row its label, its line and its largest index stay
    later         a part: from the begin of the block in which its first row lies; its lines are parsed once more

Only the end of the text tells how many features there are, so rows cannot be spread out before.
"""

from __future__ import annotations

import bisect
import contextlib
import weakref
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds
from dpnet.data.in_parts import InParts
from dpnet.data.readers.guards import check_memory, guarded
from dpnet.data.readers.svmlight_parsed import Found, Parsed
from dpnet.data.readers.svmlight_text import Lines, is_packed, opened
from dpnet.errors import DataError
from dpnet.text import counted

BLOCK_BYTES = 1 << 20
"""Text of a block, unpacked."""
AT_ONCE = 8
"""Rows that are in memory at once at least: a part, and what is measured of it."""


class Mark(NamedTuple):
    """Where a block begins.

    Attributes:
        row: its first row, or one that follows.
        offset: in the unpacked text, in bytes.
        line: the number of the line before, from 1.
    """

    row: int
    offset: int
    line: int


class TextInParts:
    """A file that is read in parts.

    Args:
        path: of the file.
        several: see WholeText.

    Attributes:
        found: of all rows.

    Raises:
        DataError: see WholeText.
        ConfigError: likewise.
    """

    def __init__(self, path: str, *, several: bool) -> None:
        self.path, self._several = path, several
        self._marks: list[Mark] = []
        self._open = contextlib.ExitStack()
        weakref.finalize(self, self._open.close)
        blocks, row = [], 0
        with guarded(path), opened(path) as stream:
            lines = Lines(path, stream, several=several)
            while not lines.ended:
                self._marks.append(Mark(row, stream.tell(), lines.number))
                parsed = lines.parse(most_bytes=BLOCK_BYTES)
                row += parsed.rows
                blocks.append(Found.of(parsed))
        self.found = Found.together(blocks)
        self.found.check(path)
        self._lines: Lines | None = None
        self._row = 0

    def parsed(self, start: int, stop: int) -> Parsed:
        """What the rows from `start` to `stop` - 1 hold.

        Raises:
            DataError: the file is not what it was when it was read first.
        """
        with guarded(self.path):
            lines, self._lines = self._lines, None  # After an error it would be anywhere.
            mark = self._marks[bisect.bisect_right(self._marks, start, key=lambda one: one.row) - 1]
            if lines is None or not mark.row <= self._row <= start:
                lines = self._begin(lines, mark)
            lines.skip(start - self._row)
            parsed = lines.parse(rows=stop - start)
            self._lines, self._row = lines, stop
        if not np.array_equal(parsed.lines, self.found.lines[start:stop]):
            raise DataError(f"{self.path} has changed while it was read; start again.")
        return parsed

    def _begin(self, lines: Lines | None, mark: Mark) -> Lines:
        """The lines from the beginning of a block."""
        if lines is None:
            self._open.close()
            lines = Lines(self.path, self._open.enter_context(opened(self.path)), several=self._several)
        lines.seek(mark.offset, mark.line)
        self._row = mark.row
        return lines

    def indices(self, row: int) -> SampleIds:
        """The indices of a row, in rising order."""
        return self.parsed(row, row + 1).indices

    def inputs(self, first: int, width: int) -> npt.NDArray[Any]:
        """The rows, in the place of an array of all features; raises DataError if not even a few fit in memory."""
        check_memory(self.path, 8 * AT_ONCE * width, f"{AT_ONCE} samples of {counted(width, 'feature')}, with zeros,")
        return cast(npt.NDArray[Any], SvmRows(self, first, width))


class SvmRows(InParts):
    """The rows of svmlight text, each with all its features.

    Args:
        text: the file.
        first: index of the first feature.
        width: number of features; what lies beyond them is left out.
    """

    def __init__(self, text: TextInParts, first: int, width: int) -> None:
        super().__init__(np.dtype(np.float64), (text.found.rows, width), 1)
        self._text, self._first = text, first
        self.forward = is_packed(text.path)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """See InParts.read; raises DataError if the file has changed."""
        return self._text.parsed(start, stop).spread(self._first, self.shape[1])
