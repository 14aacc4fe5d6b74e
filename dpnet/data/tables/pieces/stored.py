"""Files that store columns, in pieces: the row groups of Parquet, the batches of Arrow's own formats."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from dpnet.data.tables.column import guarded_arrow
from dpnet.data.tables.folder import Joined, parts_of
from dpnet.data.tables.stored import check_end, check_parquet, kind_of

BATCH_BYTES = 1 << 23
"""Bytes of a row group that are read at a time, about."""


class StoredPiece(NamedTuple):
    """Some rows of a file; see Piece.

    Attributes:
        path: of the file.
        num_bytes: what they are of all bytes.
        read: reads them.
    """

    path: str
    num_bytes: int
    read: Callable[[], Iterator[Any]]

    def tables(self) -> Iterator[Any]:
        """See Piece."""
        with guarded_arrow(self.path):
            for table in self.read():
                table.validate(full=True)  # Arrow trusts offsets that a damaged file made.
                yield table


class ParquetPieces:
    """The row groups of Parquet files.

    Args:
        path: of a file, or of a folder that is one table.

    Attributes:
        schema: of Arrow: the columns.
        num_bytes, parts: see Pieces.
    """

    def __init__(self, path: str) -> None:
        names = parts_of(path) if os.path.isdir(path) else []
        self._paths = [os.path.join(path, name) for name in names] or [path]
        parquet, schemas, self._groups, first = importlib.import_module("pyarrow.parquet"), [], [], 0
        self.parts = dict[str, int]()
        for place, file in enumerate(self._paths):
            with guarded_arrow(file):
                kind_of(file)
                rows, _ = check_parquet(file)
                found = parquet.ParquetFile(file)
                schemas.append(found.schema_arrow)
                for group in range(found.num_row_groups):
                    described = found.metadata.row_group(group)
                    self._groups.append((place, group, described.num_rows, described.total_byte_size))
                found.close()
            if names:
                self.parts[names[place]] = first
            first += rows
        self.num_bytes = sum(group[-1] for group in self._groups)
        self._joined = Joined(path, names, schemas) if names else None
        self.schema = schemas[0] if self._joined is None else self._joined.schema

    def __iter__(self) -> Iterator[StoredPiece]:
        """See Pieces."""
        for place, group, rows, num_bytes in self._groups:
            step = max(1, BATCH_BYTES * rows // max(num_bytes, 1))
            yield StoredPiece(self._paths[place], num_bytes, partial(self._read, place, group, step))

    def _read(self, place: int, group: int, step: int) -> Iterator[Any]:
        arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
        with parquet.ParquetFile(self._paths[place], buffer_size=1 << 20, pre_buffer=False) as file:
            for batch in file.iter_batches(step, row_groups=[group], use_threads=False):
                table = arrow.Table.from_batches([batch])
                yield table if self._joined is None else self._joined.complete(place, table)


class ArrowPieces:
    """The batches of a file in Arrow's own formats: Feather, or a stream.

    Args:
        path: of the file.

    Attributes:
        schema: of Arrow: the columns.
        num_bytes, parts: see Pieces.
    """

    def __init__(self, path: str) -> None:
        self._path, self._kind = path, kind_of(path)
        self.num_bytes, self.parts = os.path.getsize(path), dict[str, int]()
        arrow = importlib.import_module("pyarrow")
        with arrow.memory_map(path) as file:
            self.schema = (arrow.ipc.open_stream if self._kind == "stream" else arrow.ipc.open_file)(file).schema

    def __iter__(self) -> Iterator[StoredPiece]:
        """See Pieces."""
        arrow = importlib.import_module("pyarrow")
        with guarded_arrow(self._path), arrow.memory_map(self._path) as file:
            yield from self._of_stream(file) if self._kind == "stream" else self._of_file(file)

    def _of_stream(self, file: Any) -> Iterator[StoredPiece]:
        arrow, before = importlib.import_module("pyarrow"), 0
        for batch in arrow.ipc.open_stream(file):
            size, before = file.tell() - before, file.tell()
            yield StoredPiece(self._path, size, partial(iter, [arrow.Table.from_batches([batch])]))
        check_end(self._path, file.tell())

    def _of_file(self, file: Any) -> Iterator[StoredPiece]:
        found = importlib.import_module("pyarrow").ipc.open_file(file)
        count = found.num_record_batches
        for number in range(count):
            yield StoredPiece(self._path, self.num_bytes // count, partial(_batch, found, number))


def _batch(file: Any, number: int) -> Iterator[Any]:
    """A batch of a file, as a table."""
    yield importlib.import_module("pyarrow").Table.from_batches([file.get_batch(number)])


def stored_pieces(path: str) -> ParquetPieces | ArrowPieces:
    """The pieces of a table that is no file of text; raises DataError if its files cannot be read."""
    is_parquet = os.path.isdir(path) or path.lower().endswith(".parquet")
    with guarded_arrow(path):
        return ParquetPieces(path) if is_parquet else ArrowPieces(path)
