"""Files of text with a delimiter, read by pyarrow.

Nothing of such a file may be lost: the first line is taken for names only where that is clear (see `head`), and a quote
that stands there by mistake, and swallows the lines to the next one, is noticed. What stands for a missing value is
found by `columns`, which knows the columns where nothing does: an identifier may well be NA.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dpnet.data.readers.contents import GZIP, HEAD_BYTES, refuse_foreign
from dpnet.data.tables.head import MAX_LINE, MISSING, Head, is_number, read_head
from dpnet.errors import DataError
from dpnet.text import counted, shorten

TEXT_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
"""How the names of files of text end."""
MAX_SEARCHED = 5_000_000
"""Most rows that are counted for the line in a message."""


@dataclass(frozen=True)
class TextFile:
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

    def read(self, as_text: Collection[str] = (), only: str | None = None) -> Any:
        """Its columns as a table of Arrow.

        Args:
            as_text: names of columns to take as text, whatever stands in them.
            only: name of the one column to read; None: all.

        Raises:
            DataError: a row is of another width, a byte is no UTF-8, or a quote swallows rows.
        """
        arrow, arrow_csv = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.csv"))
        names = None if self.header else [str(place) for place in range(len(self.head.cells))]
        try:
            with arrow.input_stream(self.path, compression="gzip" if self.packed else None) as stream:
                table = arrow_csv.read_csv(
                    stream,
                    arrow_csv.ReadOptions(
                        use_threads=False, block_size=MAX_LINE, column_names=names, skip_rows=self.head.skip
                    ),
                    arrow_csv.ParseOptions(delimiter=self.head.delimiter, newlines_in_values=True),
                    arrow_csv.ConvertOptions(
                        column_types=dict.fromkeys(as_text, arrow.string()),
                        null_values=list(MISSING),
                        strings_can_be_null=False,
                        quoted_strings_can_be_null=True,
                        include_columns=None if only is None else [only],
                    ),
                )
        except arrow.ArrowInvalid as error:
            if "UTF8" in str(error):
                self._refuse_bytes()
            if "columns, got" in str(error):
                self._refuse_width()
            if "straddling" in str(error):
                raise DataError(
                    f"{self.path}: a line has more than {MAX_LINE >> 20} MiB, or a quotation mark was not closed; "
                    "look for one by itself."
                ) from error
            raise
        if any(arrow.types.is_binary(kind) for kind in table.schema.types):
            self._refuse_bytes()
        if only is None:
            self._check_quotes(table)
        return table

    def line(self, row: int) -> int | None:
        """The number of the line, from 1, in which a row begins; None: it is too far down to count."""
        if row > MAX_SEARCHED:
            return None
        rows = (before + 1 for before, _, cells in self._records() if cells)
        return next((line for place, line in enumerate(rows) if place == row + self.header), None)

    def _open(self) -> IO[bytes]:
        return gzip.open(self.path) if self.packed else Path(self.path).open("rb")  # type: ignore[return-value]

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        """Lines before each record and after it, and its cells; what lies before the head is left out."""
        with io.TextIOWrapper(self._open(), encoding="utf-8-sig", errors="replace") as lines:
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

    def _refuse_bytes(self) -> None:
        with self._open() as stream:
            for number, line in enumerate(stream, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    raise not_utf8(self.path, number, error) from error

    def _refuse_width(self) -> None:
        width = len(self.head.cells)
        for before, after, cells in self._records():
            if cells and len(cells) != width:
                hint = ""
                if after > before + 1:
                    hint = f" A quotation mark is open there, to line {after}: is it meant?"
                elif len(cells) == width + 1 and before == self.head.skip + 1 and cells[-1]:
                    hint = " If the first is a name of the row, as R writes it: write.csv(..., row.names = FALSE)."
                raise DataError(
                    f"{self.path}, line {before + 1} has {counted(len(cells), 'cell')}, and the first line {width}: "
                    f"{shorten(repr(self.head.delimiter.join(cells)), 50)}. Every line must have as many.{hint}"
                )

    def _check_quotes(self, table: Any) -> None:
        """Refuse a quotation mark that encloses rows, and one that encloses the end of the file."""
        arrow, compute = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.compute"))
        numbers = {place for place, kind in enumerate(table.schema.types) if not arrow.types.is_string(kind)}
        for place, name in enumerate(table.column_names):
            if place in numbers:
                continue
            array = table.column(place)
            broken = compute.or_(compute.match_substring(array, "\n"), compute.match_substring(array, "\r"))
            for row in compute.indices_nonzero(broken).to_pylist():
                lines = array[row].as_py().replace("\r\n", "\n").replace("\r", "\n").split("\n")
                last = place == table.num_columns - 1 and row == table.num_rows - 1
                never = last and self._is_open()
                if not never and not self._holds_rows(lines, place, numbers):
                    continue
                closes = (
                    "never closes it" if never else f"closes it {counted(len(lines) - 1, 'line')} below, as one value"
                )
                raise DataError(
                    f"{self.path}, line {self.line(row)}, column {name!r}: a quotation mark opens the cell, and "
                    f"{closes}. Take the mark out; or if it is part of the text, write it twice, and quote the whole "
                    "cell."
                )

    def _holds_rows(self, lines: list[str], place: int, numbers: Collection[int]) -> bool:
        """Whether the lines of a cell are the end of its row, other rows, and the beginning of the row that it closes.

        Args:
            lines: of the cell.
            place: of its column.
            numbers: places of columns of numbers.
        """
        width = len(self.head.cells)
        cells = [cell for line in lines for cell in line.split(self.head.delimiter)]
        widths = [line.count(self.head.delimiter) for line in lines]
        if len(lines) == 1 or width == 1:
            return False
        if widths != [width - 1 - place, *[width - 1] * (len(lines) - 2), place]:
            return False
        # The first and the last cell are both parts of the column itself.
        places = [place, *(one % width for one in range(place + 1, place + len(cells) - 1)), place]
        return all(is_number(cell) for one, cell in zip(places, cells, strict=True) if one in numbers)

    def _is_open(self) -> bool:
        """Whether the file ends within quotes, as its last cell ends with a line break or holds one."""
        end = b""
        with self._open() as stream:
            while piece := stream.read(MAX_LINE):
                end = (end + piece)[-HEAD_BYTES:]
        return not end.rstrip(b"\r\n").endswith(b'"')


def open_text(path: str, *, header: bool | None) -> TextFile:
    """Opens a file of text.

    Args:
        path: of the file.
        header: whether its first line holds the names of the columns; None: that is decided by the line.

    Raises:
        DataError: it is not UTF-8, or whether the line holds names cannot be decided.
    """
    text = look_at(path)
    if header is None and text.head.names == "unclear":
        raise DataError(
            f"{path}, {text.head.shown}: are these the names of the columns, or a sample? That is not clear, as "
            f"{text.head.why}. Say it: data.header = true for names, data.header = false for a sample; the columns "
            "are then called 0, 1, ..."
        )
    return TextFile(path, text.packed, text.head, text.header if header is None else header)


def look_at(path: str) -> TextFile:
    """A file of text as its first lines tell; `header` is False where they do not.

    Raises:
        DataError: it is no file of text, or not of UTF-8.
    """
    with Path(path).open("rb") as raw:
        start = raw.read(HEAD_BYTES)
    packed = start.startswith(GZIP)
    if not packed:
        refuse_foreign(path, start, "a table")
    try:
        head = read_head(path, packed=packed)
    except UnicodeDecodeError as error:
        TextFile(path, packed, Head(",", 0, [], "yes"), header=True)._refuse_bytes()
        raise DataError(f"{path} is not UTF-8 text ({error}); save it as UTF-8.") from error
    return TextFile(path, packed, head, head.names == "yes")


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
