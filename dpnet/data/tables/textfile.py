"""Files of text with a delimiter, read by pyarrow.

Nothing of such a file may be lost: the first line is taken for names only where that is clear (see `head`), and a quote
that stands there by mistake, and swallows the lines to the next one, is noticed. What stands for a missing value is
found by `columns`, which knows the columns where nothing does: an identifier may well be NA.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from dpnet.data.readers.contents import GZIP, HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import guarded
from dpnet.data.tables.head import MAX_LINE, MISSING, Head, is_number, read_head
from dpnet.data.tables.lines import Lines
from dpnet.errors import DataError
from dpnet.text import counted, shorten

MARKS = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 begins mostly; the message on other bytes tells it."""
TEXT_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
"""How the names of files of text end."""


class TextFile(Lines):
    """A file of text whose columns Arrow reads."""

    def read(self, as_text: Collection[str] = ()) -> Any:
        """Its columns as a table of Arrow.

        Args:
            as_text: names of columns to take as text, whatever stands in them.

        Raises:
            DataError: a row is of another width, a byte is no UTF-8, a quote swallows rows, or there are none.
        """
        arrow = importlib.import_module("pyarrow")
        table = self._parsed(as_text, None)
        if any(arrow.types.is_binary(kind) for kind in table.schema.types):
            self.refuse_bytes()
        table = self._with_codes(table)
        self._check_quotes(table)
        return table

    def texts(self, names: Collection[str]) -> Any:
        """Some of its columns, as text, as a table of Arrow; `read` has taken the whole file already."""
        return self._parsed(names, list(names))

    def pieces(self, names: Collection[str]) -> Iterator[Any]:
        """The same in batches of rows, which take less memory."""
        arrow, arrow_csv = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.csv"))
        with arrow.input_stream(self.path, compression="gzip" if self.packed else None) as stream:
            yield from arrow_csv.open_csv(stream, *self._options(names, list(names)))

    def _options(self, as_text: Collection[str], only: list[str] | None) -> Iterator[Any]:
        """How Arrow is to read the file, to take it apart, and to convert its cells."""
        arrow, arrow_csv = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.csv"))
        names = None if self.header else [str(place) for place in range(len(self.head.cells))]
        yield arrow_csv.ReadOptions(
            use_threads=False, block_size=MAX_LINE, column_names=names, skip_rows=self.head.skip
        )
        yield arrow_csv.ParseOptions(delimiter=self.head.delimiter, newlines_in_values=True)
        yield arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(as_text, arrow.string()),
            null_values=list(MISSING),
            strings_can_be_null=False,
            quoted_strings_can_be_null=True,
            include_columns=only,
        )

    def _parsed(self, as_text: Collection[str], only: list[str] | None) -> Any:
        arrow, arrow_csv = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.csv"))
        try:
            with arrow.input_stream(self.path, compression="gzip" if self.packed else None) as stream:
                return arrow_csv.read_csv(stream, *self._options(as_text, only))
        except arrow.ArrowInvalid as error:
            if "UTF8" in str(error):
                self.refuse_bytes()
            if "columns, got" in str(error):
                self.refuse_width()
            if "cannot infer" in str(error):
                self.refuse_no_rows()
            if "straddling" in str(error):
                raise DataError(
                    f"{self.path}: a line has more than {MAX_LINE >> 20} MiB, or a quotation mark was not closed; "
                    "look for one by itself."
                ) from error
            raise

    def _with_codes(self, table: Any) -> Any:
        """The table with hexadecimal numbers as text: Arrow takes 0x1F for 31, and 0xFFFFFFFFFFFFFFFF for -1."""
        arrow, compute = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.compute"))
        integers = [field.name for field in table.schema if arrow.types.is_integer(field.type)]
        if not integers or len(set(table.column_names)) < table.num_columns or not self.holds_hexadecimals():
            return table
        codes: set[str] = set()
        for piece in self.pieces(integers):
            for name in {*integers} - codes:
                trimmed = compute.utf8_trim_whitespace(piece[name])
                if compute.any(compute.starts_with(trimmed, "0x", ignore_case=True)).as_py():
                    codes.add(name)
        texts = self.texts(codes) if codes else {}
        for name in codes:
            table = table.set_column(table.column_names.index(name), name, texts[name])
        return table

    def _check_quotes(self, table: Any) -> None:
        """Refuse a quotation mark that encloses rows, and one that encloses the end of the file."""
        arrow, compute = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.compute"))
        numbers = {place for place, kind in enumerate(table.schema.types) if not arrow.types.is_string(kind)}
        for place, name in enumerate(table.column_names):
            if self.header and self._holds_rows(lines := _lines(name), place, numbers, of_names=True):
                self._refuse_quote(f"line {self.head.skip + 1}, the name {shorten(repr(name), 40)}", lines, never=False)
            if place in numbers:
                continue
            array = table.column(place)
            broken = compute.or_(compute.match_substring(array, "\n"), compute.match_substring(array, "\r"))
            for row in compute.indices_nonzero(broken).to_pylist():
                lines = _lines(array[row].as_py())
                last = place == table.num_columns - 1 and row == table.num_rows - 1
                never = last and self.is_open()
                if not never and not self._holds_rows(lines, place, numbers):
                    continue
                self._refuse_quote(f"line {self.line(row)}, column {name!r}", lines, never=never)

    def _refuse_quote(self, where: str, lines: list[str], *, never: bool) -> None:
        closes = "never closes it" if never else f"closes it {counted(len(lines) - 1, 'line')} below, as one value"
        raise DataError(
            f"{self.path}, {where}: a quotation mark opens the cell, and {closes}. Take the mark out; or if it is part "
            "of the text, write it twice, and quote the whole cell."
        )

    def _holds_rows(self, lines: list[str], place: int, numbers: Collection[int], *, of_names: bool = False) -> bool:
        """Whether the lines of a cell are the end of its row, other rows, and the beginning of the row that it closes.

        Args:
            lines: of the cell.
            place: of its column.
            numbers: places of columns of numbers.
            of_names: its row is that of the names, which are no numbers anywhere.
        """
        width = len(self.head.cells)
        widths = [line.count(self.head.delimiter) for line in lines]
        if len(lines) == 1 or width == 1:
            return False
        if widths != [width - 1 - place, *[width - 1] * (len(lines) - 2), place]:
            return False
        # The first and the last cell are both parts of the column itself.
        cells = [cell for line in lines for cell in line.split(self.head.delimiter)]
        places = [place, *(one % width for one in range(place + 1, place + len(cells) - 1)), place]
        first = width - place if of_names else 0
        pairs = list(zip(places, cells, strict=True))[first:]
        return all(is_number(cell) for one, cell in pairs if one in numbers)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


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
        DataError: it cannot be read, or is no file of text, or not of UTF-8.
    """
    with guarded(path):
        return _look_at(path)


def _look_at(path: str) -> TextFile:
    with Path(path).open("rb") as raw:
        start = raw.read(HEAD_BYTES)
    packed = start.startswith(GZIP)
    if not packed:
        refuse_foreign(path, start, "a table")
        _refuse_utf16(path, start)
    try:
        head = read_head(path, packed=packed)
    except UnicodeDecodeError as error:
        TextFile(path, packed, Head(",", 0, [], "yes"), header=True).refuse_bytes()
        raise DataError(f"{path} is not UTF-8 text ({error}); save it as UTF-8.") from error
    return TextFile(path, packed, head, head.names == "yes")


def _refuse_utf16(path: str, start: bytes) -> None:
    """Refuse UTF-16 without a mark at its beginning: every other byte is 0, which is UTF-8 too."""
    for kind, first in (("UTF-16LE", 1), ("UTF-16BE", 0)):
        half = start[first::2]
        if 2 * half.count(0) > max(2, len(half)) and not start.startswith(MARKS):
            raise DataError(f"{path} is {kind}; save it as UTF-8: iconv -f {kind} -t UTF-8 {path}")
