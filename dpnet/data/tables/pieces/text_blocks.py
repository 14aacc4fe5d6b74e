"""A file of text in blocks of rows, each of which Arrow reads by itself."""

from __future__ import annotations

import gzip
import importlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dpnet.data.readers.guards import guarded
from dpnet.data.tables.column import guarded_arrow
from dpnet.data.tables.pieces.row_blocks import row_blocks
from dpnet.data.tables.pieces.spooled import with_texts
from dpnet.data.tables.text.file import TextFile


@dataclass(frozen=True)
class TextBlock(TextFile):
    """Some rows of a file. What is wrong in them is told by their place in the file.

    Attributes:
        content: their bytes.
        names_above: of the columns; None: the first row holds them.
        num_bytes: of the file that were read for them.
        as_text: names of columns to take as text.
        labels: names of columns whose different texts are kept beside what they are taken for.
    """

    content: bytes
    names_above: list[str] | None
    num_bytes: int
    as_text: Collection[str]
    labels: Collection[str]

    def tables(self) -> Iterator[Any]:
        """Its rows as a table of Arrow; see Piece."""
        with guarded_arrow(self.path):
            table = self.typed(self.as_text)
            labels = [name for name in self.labels if name in table.column_names]
            table = with_texts(table, self.texts(labels)) if labels else table
        yield table

    def again(self, types: dict[str, Any]) -> dict[str, Any]:
        """Some of its columns, read as other types; those in which a cell is none of that type as text.

        Args:
            types: of Arrow, by the names of the columns.
        """
        arrow = importlib.import_module("pyarrow")
        columns = {}
        with guarded_arrow(self.path):
            for name, kind in types.items():
                try:
                    columns[name] = self._parsed((), [name], {name: kind}).column(0)
                except arrow.ArrowInvalid:
                    columns[name] = self._parsed((name,), [name]).column(0)
        return columns

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
        as_text: see TextBlock.
        labels: see TextBlock.

    Attributes:
        text: the same.
        num_bytes: see Pieces; parts: there are none.
    """

    def __init__(self, text: TextFile, as_text: Collection[str], labels: Collection[str] = ()) -> None:
        self.text, self._as_text, self._labels = text, as_text, labels
        self.num_bytes, self.parts = os.path.getsize(text.path), dict[str, int]()

    def __iter__(self) -> Iterator[TextBlock]:
        """See Pieces."""
        text, names = self.text, self.text.names()
        with guarded(text.path), Path(text.path).open("rb") as raw:
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if text.packed else raw  # type: ignore[assignment]
            text.to_first_row(stream)
            before = 0
            for number, content in enumerate(row_blocks(stream, text.head.delimiter, text.path)):
                above = None if text.header and not number else names
                size, before = raw.tell() - before, raw.tell()
                settings = text.path, text.packed, text.head, text.header
                yield TextBlock(*settings, content, above, size, self._as_text, self._labels)
