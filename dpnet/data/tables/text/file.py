"""Files of text with a delimiter, read by pyarrow.

Nothing of such a file may be lost: the first line is taken for names only where that is clear (see `head`), and a quote
that stands there by mistake, and swallows the lines to the next one, is noticed. What stands for a missing value is
found by `columns`, which knows the columns where nothing does: an identifier may well be NA.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dpnet.data.readers.contents import GZIP, HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import guarded
from dpnet.data.tables.pieces.row_blocks import row_blocks, too_long_row
from dpnet.data.tables.text.head import MAX_LINE, MISSING, Head, read_head
from dpnet.data.tables.text.lines import Lines
from dpnet.data.tables.text.quotes import check_names, check_quotes
from dpnet.errors import DataError

MARKS = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 begins mostly; the message on other bytes tells it."""
FIRST_BYTES = 1 << 20
"""So much is read for the names of the columns, or a row."""
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
        table = self.typed(as_text)
        check_quotes(self, table)
        return table

    def typed(self, as_text: Collection[str] = ()) -> Any:
        """As `read`, but that quotes are not looked at."""
        arrow = importlib.import_module("pyarrow")
        table = self._parsed(as_text, None)
        if any(arrow.types.is_binary(kind) for kind in table.schema.types):
            self.refuse_bytes()
        return self._with_codes(table)

    def names(self) -> list[str]:
        """The names of its columns, as Arrow reads them.

        Raises:
            DataError: it has no row, or a quote among the names swallows some.
        """
        arrow, arrow_csv = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.csv"))
        with self._open() as stream:
            self.to_first_row(stream)
            block = next(row_blocks(stream, self.head.delimiter, self.path, FIRST_BYTES), b"")
        read, *options = self._options((), None)
        read.skip_rows = 0
        with self._refusing():
            schema = arrow_csv.read_csv(arrow.BufferReader(block), read, *options).schema
        check_names(self, schema)
        return list(schema.names)

    def texts(self, names: Collection[str]) -> Any:
        """Some of its columns, as text, as a table of Arrow; `read` has taken the whole file already."""
        return self._parsed(names, list(names))

    def pieces(self, names: Collection[str]) -> Iterator[Any]:
        """The same in batches of rows, which take less memory."""
        arrow_csv = importlib.import_module("pyarrow.csv")
        with self._stream() as stream:
            yield from arrow_csv.open_csv(stream, *self._options(names, list(names)))

    def _stream(self) -> Any:
        """What Arrow reads."""
        arrow = importlib.import_module("pyarrow")
        return arrow.input_stream(self.path, compression="gzip" if self.packed else None)

    def _start(self) -> tuple[list[str] | None, int]:
        """The names of the columns, where the first row does not hold them, and the lines before that row."""
        return (None if self.header else [str(place) for place in range(len(self.head.cells))]), self.head.skip

    def _options(
        self, as_text: Collection[str], only: list[str] | None, types: Mapping[str, Any] | None = None
    ) -> Iterator[Any]:
        """How Arrow is to read the file, to take it apart, and to convert its cells."""
        arrow, arrow_csv = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.csv"))
        names, skip = self._start()
        yield arrow_csv.ReadOptions(use_threads=False, block_size=MAX_LINE, column_names=names, skip_rows=skip)
        yield arrow_csv.ParseOptions(delimiter=self.head.delimiter, newlines_in_values=True)
        yield arrow_csv.ConvertOptions(
            column_types={**dict.fromkeys(as_text, arrow.string()), **(types or {})},
            null_values=list(MISSING),
            strings_can_be_null=False,
            quoted_strings_can_be_null=True,
            include_columns=only,
        )

    def _parsed(self, as_text: Collection[str], only: list[str] | None, types: Mapping[str, Any] | None = None) -> Any:
        arrow_csv = importlib.import_module("pyarrow.csv")
        with self._refusing(), self._stream() as stream:
            return arrow_csv.read_csv(stream, *self._options(as_text, only, types))

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Says of what Arrow refuses where it stands, and what it is."""
        arrow = importlib.import_module("pyarrow")
        try:
            yield
        except arrow.ArrowInvalid as error:
            if "UTF8" in str(error):
                self.refuse_bytes()
            if "columns, got" in str(error):
                self.refuse_width()
            if "cannot infer" in str(error):
                self.refuse_no_rows()
            if "straddling" in str(error):
                raise too_long_row(self.path) from error
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
