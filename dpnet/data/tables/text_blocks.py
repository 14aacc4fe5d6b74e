"""A file of text in blocks of rows, each of which Arrow reads by itself."""

from __future__ import annotations

import gzip
import importlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dpnet.data.tables.row_blocks import MARK, row_blocks
from dpnet.data.tables.textfile import TextFile

BOM = b"\xef\xbb\xbf"
"""With which some programs begin text of UTF-8."""


@dataclass(frozen=True)
class TextBlock(TextFile):
    """Some rows of a file. What is wrong in them is told by their place in the file.

    Attributes:
        content: their bytes.
        names: of the columns; None: the first row holds them.
        num_bytes: of the file that were read for them.
    """

    content: bytes
    names_above: list[str] | None
    num_bytes: int
    as_text: Collection[str]

    def tables(self) -> Iterator[Any]:
        """Its rows as a table of Arrow; see Piece."""
        yield self.typed(self.as_text)

    def again(self, types: dict[str, Any]) -> Any:
        """Some of its columns, read as other types; raises ArrowInvalid where a cell is none of them."""
        arrow_csv = importlib.import_module("pyarrow.csv")
        read, take_apart, convert = self._options((), list(types))
        convert.column_types = types
        with self._stream() as stream:
            return arrow_csv.read_csv(stream, read, take_apart, convert)

    @property
    def has_marks(self) -> bool:
        """Whether a quotation mark stands in it."""
        return MARK in self.content

    def holds_hexadecimals(self) -> bool:
        """Whether 0x stands anywhere in it."""
        return b"0x" in self.content or b"0X" in self.content

    def _stream(self) -> Any:
        return importlib.import_module("pyarrow").BufferReader(self.content)

    def _start(self) -> tuple[list[str] | None, int]:
        return self.names_above, 0


class TextBlocks:
    """The blocks of a file of text.

    Args:
        text: the file.
        as_text: names of columns to take as text.
    """

    def __init__(self, text: TextFile, as_text: Collection[str]) -> None:
        self._text, self._as_text = text, as_text
        self.num_bytes, self.parts = os.path.getsize(text.path), dict[str, int]()

    def __iter__(self) -> Iterator[TextBlock]:
        """See Pieces."""
        text, names = self._text, self._text.names()
        with Path(text.path).open("rb") as raw:
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if text.packed else raw  # type: ignore[assignment]
            if stream.peek(len(BOM)).startswith(BOM):  # type: ignore[attr-defined]  # Of all buffered files.
                stream.read(len(BOM))
            for _ in range(text.head.skip):
                stream.readline()
            before = 0
            for number, content in enumerate(row_blocks(stream, text.head.delimiter, text.path)):
                above = None if text.header and not number else names
                size, before = raw.tell() - before, raw.tell()
                settings = text.path, text.packed, text.head, text.header
                yield TextBlock(*settings, content, above, size, self._as_text)
