"""Files of text line by line: where a row begins, and what is wrong in one that Arrow does not take."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dpnet.data.readers.contents import HEAD_BYTES
from dpnet.data.tables.text.head import MAX_LINE, Head
from dpnet.errors import DataError
from dpnet.text import counted, shorten

MAX_SEARCHED = 5_000_000
"""Most rows that are counted for the line in a message."""
BOM = b"\xef\xbb\xbf"
"""With which some programs begin text of UTF-8."""
MANY = 100
"""So many rows are alike."""


@dataclass(frozen=True)
class Lines:
    """A file of text.

    Attributes:
        path: of the file.
        packed: by gzip.
        head: its first lines.
        header: the first of them holds the names of the columns; otherwise these are called 0, 1, ...
    """

    path: str
    packed: bool
    head: Head
    header: bool

    def line(self, row: int) -> int | None:
        """The number of the line, from 1, in which a row begins; None: it is too far down to count."""
        if row > MAX_SEARCHED:
            return None
        rows = (before + 1 for before, _, cells in self._records() if cells)
        return next((line for place, line in enumerate(rows) if place == row + self.header), None)

    def _open(self) -> IO[bytes]:
        return gzip.open(self.path) if self.packed else Path(self.path).open("rb")  # type: ignore[return-value]

    def to_first_row(self, stream: IO[bytes]) -> None:
        """Pass over what stands in front of the first row, or of the names of the columns."""
        if not self.head.skip and stream.peek(len(BOM)).startswith(BOM):  # type: ignore[attr-defined]
            stream.read(len(BOM))
        with io.TextIOWrapper(self._open(), encoding="utf-8", errors="surrogateescape", newline="") as lines:
            skipped = "".join(next(lines) for _ in range(self.head.skip))
        stream.read(len(skipped.encode("utf-8", "surrogateescape")))

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._open(), encoding="utf-8-sig", errors="replace")

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        """Lines before each record and after it, and its cells; what lies before the head is left out."""
        with self._text() as lines:
            for _ in range(self.head.skip):
                next(lines)
            reader, before = csv.reader(lines, delimiter=self.head.delimiter), 0
            usual = csv.field_size_limit(2 * MAX_LINE)
            try:
                for cells in reader:
                    yield self.head.skip + before, self.head.skip + reader.line_num, cells
                    before = reader.line_num
            except csv.Error:  # This is for messages: they do without.
                return
            finally:
                csv.field_size_limit(usual)

    def refuse_bytes(self) -> None:
        """Refuse the first line that is no UTF-8, if there is one."""
        with self._open() as stream:
            for number, line in enumerate(stream, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    raise not_utf8(self.path, number, error) from error

    def refuse_width(self) -> None:
        """Refuse the first row of another width than the first line, if there is one."""
        width = len(self.head.cells)
        records = (record for record in self._records() if record[2])
        for before, after, cells in records:
            if len(cells) == width:
                continue
            with self._text() as stream:
                raw = "".join(itertools.islice(stream, before, after)).rstrip("\r\n")
            first = before == self.head.skip + self.header
            shifted = first and all(len(cells) == width + 1 for _, _, cells in itertools.islice(records, MANY))
            hint = self._hint(raw, cells, after, shifted=shifted)
            raise DataError(
                f"{self.path}, line {before + 1} has {counted(len(cells), 'cell')}, and the first line {width}: "
                f"{shorten(repr(raw), 50)}. Every line must have as many.{hint}"
            )

    def _hint(self, raw: str, cells: list[str], after: int, *, shifted: bool) -> str:
        """Why a row may have too few cells or too many.

        Args:
            raw: its lines.
            cells: that they make.
            after: number of the last of the lines.
            shifted: it is the first row, and all rows have one more cell than the line of the names.
        """
        sign = re.escape(self.head.delimiter)
        if "\n" in raw or "\r" in raw:
            return f" A quotation mark is open there, to line {after}: is it meant?"
        if raw.count('"') % 2:
            return " A quotation mark is open there, and nothing closes it: take it out."
        if re.search(rf'{sign}\s+"', raw):
            return " A quotation mark counts only where the cell begins: take the space before it out."
        if re.search(rf"(?:^|{sign})\s*'[^']*{sign}[^']*'\s*(?:{sign}|$)", raw):
            return (
                f' Only double quotation marks keep a {self.head.delimiter} within a cell: "a{self.head.delimiter}b".'
            )
        if shifted and len(cells) == len(self.head.cells) + 1 and cells[-1]:
            return " If the first is a name of the row, as R writes it: write.csv(..., row.names = FALSE)."
        return ""

    def refuse_no_rows(self) -> None:
        """Refuse a file that has a first line and nothing else, as a quotation mark there may enclose the rest."""
        with self._open() as stream:
            first = next(itertools.islice(stream, self.head.skip, None), b"").decode("utf-8-sig", "replace").strip()
        seen = f"{self.path} has no rows below line {self.head.skip + 1} ({shorten(first, 70)})"
        if first.count('"') % 2:
            raise DataError(f"{seen}: a quotation mark is open there, and nothing closes it. Take the mark out.")
        raise DataError(f"{seen}; expected at least one.")

    def holds_hexadecimals(self) -> bool:
        """Whether 0x stands anywhere in it."""
        end = b""
        with self._open() as stream:
            while piece := stream.read(MAX_LINE):
                piece = end + piece
                # To look for x alone is much faster where there is none.
                if (b"x" in piece or b"X" in piece) and (b"0x" in piece or b"0X" in piece):
                    return True
                end = piece[-1:]
        return False

    def is_open(self) -> bool:
        """Whether the file ends within quotes, as its last cell ends with a line break or holds one."""
        end = b""
        with self._open() as stream:
            while piece := stream.read(MAX_LINE):
                end = (end + piece)[-HEAD_BYTES:]
        return not end.rstrip(b"\r\n").endswith(b'"')


def not_utf8(path: str, line: int, error: UnicodeDecodeError) -> DataError:
    """The error for a line that is no UTF-8."""
    byte, around = error.object[error.start], error.object[max(0, error.start - 10) : error.start + 10]
    if line == 1 and error.object.startswith((b"\xff\xfe", b"\xfe\xff")):
        return DataError(f'{path} is UTF-16, as Excel writes "Unicode Text"; save it as UTF-8: "CSV UTF-8".')
    return DataError(
        f"{path}, line {line}: the byte 0x{byte:02X} in {shorten(repr(around.decode('latin-1').strip()), 40)} is not "
        'UTF-8, but Latin-1 or Windows-1252, most likely; save the file as UTF-8 (in Excel: "CSV UTF-8"), or: iconv -f '
        f"WINDOWS-1252 -t UTF-8 {path}"
    )
