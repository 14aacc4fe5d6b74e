"""Cuts a file of text between its rows, so that each block can be read by itself.

A line break ends a row unless it stands between quotation marks. A mark opens a quotation where a cell begins, and
within one two marks stand for one. So, where marks stand as they should, a line break lies between rows if an even
number of marks is before it. What Arrow reads as one row is never cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

from dpnet.data.tables.text.head import MAX_LINE
from dpnet.errors import DataError

BLOCK_BYTES = 1 << 24
"""Bytes of a block, about; no less than a row may have."""
MARK = b'"'


def row_blocks(stream: IO[bytes], delimiter: str, path: str, num_bytes: int | None = None) -> Iterator[bytes]:
    """The text of a stream in blocks of whole rows.

    Args:
        stream: at the beginning of a row.
        delimiter: between cells.
        path: of the file, for messages.
        num_bytes: of a block, about; None: BLOCK_BYTES.

    Raises:
        DataError: a row is longer than MAX_LINE.
    """
    size, rest = num_bytes or BLOCK_BYTES, b""
    while piece := stream.read(size):
        block = rest + piece
        end = last_border(block, delimiter.encode())
        if len(block) - end > max(MAX_LINE, size):
            raise too_long_row(path)
        if end:
            yield block[:end]
        rest = block[end:]
    if rest:
        yield rest


def too_long_row(path: str) -> DataError:
    """The error for a row that takes more than a line may have."""
    return DataError(
        f"{path}: a line has more than {MAX_LINE >> 20} MiB, or a quotation mark was not closed; look for one by "
        "itself."
    )


def last_border(block: bytes, delimiter: bytes) -> int:
    """Where the last row of a block ends that is whole; 0: none is.

    Args:
        block: text from the beginning of a row on.
        delimiter: between cells.
    """
    if MARK not in block:
        return _after_break(block, 0, len(block))
    marks = np.flatnonzero(np.frombuffer(block, np.uint8) == MARK[0])
    if not _as_they_should(block, marks, delimiter):
        return _searched(block, delimiter)
    end = int(marks[-1]) if len(marks) % 2 else len(block)
    while end:
        border = _after_break(block, 0, end)
        before = int(np.searchsorted(marks, border))
        if before % 2 == 0:
            return border
        end = int(marks[before - 1])
    return 0


def _after_break(block: bytes, start: int, end: int) -> int:
    """The place after the last line break from `start` to `end`; 0: there is none.

    A carriage return at the very end of the block may be half of a break.
    """
    found = block.rfind(b"\n", start, end)
    return (found if found >= 0 else block.rfind(b"\r", start, min(end, len(block) - 1))) + 1


def _as_they_should(block: bytes, marks: npt.NDArray[np.intp], delimiter: bytes) -> bool:
    """Whether every other mark stands where a cell begins, or right after the one before, as two stand for one."""
    opening, text = marks[::2], np.frombuffer(block, np.uint8)
    before = text[np.maximum(opening - 1, 0)]
    right = (before == delimiter[0]) | (before == b"\n"[0]) | (before == b"\r"[0]) | (opening == 0)
    right[1:] |= opening[1:] == marks[1::2][: len(opening) - 1] + 1
    return bool(right.all())


def _searched(block: bytes, delimiter: bytes) -> int:
    """`last_border` of a block with marks within cells, quotation by quotation."""
    quotations = re.compile(rb"(?:(?<=[\r\n" + re.escape(delimiter) + rb'])|^)"(?:[^"]|"")*(?:"|$)')
    border = last = 0
    for found in quotations.finditer(block):
        border = _after_break(block, last, found.start()) or border
        last = found.end()
    return _after_break(block, last, len(block)) or border
