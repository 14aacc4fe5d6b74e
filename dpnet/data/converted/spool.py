"""The spool of a conversion: the pieces of its tables as Arrow holds them, each read once, by some rank.

    DEST/.unfinished-tables.json        what is read, and how; other pieces than these are of no use
    DEST/.unfinished-table-0-3.arrow    of table 0, by rank 3: streams of Arrow, one after the other
    DEST/.unfinished-table-0-3.list     a line for each: number of the piece, where it lies, its sha256

All of it goes when the conversion is whole. One that was cut off goes on with the pieces that are listed, and still
have their sha256.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from dpnet.data.readers.guards import READ_BYTES
from dpnet.files import UNFINISHED, write_atomically

TABLE = f"{UNFINISHED}table"
"""How the names of all these files begin."""
ALIGNED = 64
"""Arrow maps numbers that lie at multiples of this without a copy."""


class Stored(NamedTuple):
    """Where a piece lies.

    Attributes:
        file: name of the file.
        offset: in bytes.
        num_bytes: its length; 0 if it has no row.
        sha256: in hex.
    """

    file: str
    offset: int
    num_bytes: int
    sha256: str


class Spool:
    """The pieces of one table. Every method raises OSError if the disk does.

    Args:
        folder: of the conversion.
        table: its number among the tables of the conversion.
        rank: of this process, which has files of its own.

    Attributes:
        folder: the same.
    """

    def __init__(self, folder: Path, table: int, rank: int) -> None:
        self.folder, self._table = folder, table
        self._file = folder / f"{TABLE}-{table}-{rank}.arrow"

    def write(self, number: int, tables: Iterable[Any]) -> Stored:
        """Write a piece, and list it.

        Args:
            number: of the piece.
            tables: of Arrow, with the same columns: its rows.
        """
        arrow = importlib.import_module("pyarrow")
        with self._file.open("ab") as file:
            file.write(bytes(-file.tell() % ALIGNED))
            offset, sink, writer = file.tell(), _Hashed(file), None
            for table in tables:
                writer = writer or arrow.ipc.new_stream(sink, table.schema)
                writer.write_table(table)
            if writer is not None:
                writer.close()
        arrow.default_memory_pool().release_unused()
        stored = Stored(self._file.name, offset, sink.num_bytes, sink.sha256.hexdigest())
        with self._file.with_suffix(".list").open("a") as file:
            file.write(f"\n{json.dumps([number, *stored])}")
        return stored

    def listed(self) -> dict[int, Stored]:
        """The pieces that all ranks have listed so far, by number: of one that was written again the last."""
        found: dict[int, Stored] = {}
        for path in sorted(self.folder.glob(f"{TABLE}-{self._table}-*.list")):
            for line in path.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):  # The last line may be cut off.
                    number, *rest = json.loads(line)
                    found[number] = Stored(*rest)
        return found

    def is_whole(self, stored: Stored) -> bool:
        """Whether a piece that was listed is what was written."""
        total, left = hashlib.sha256(), stored.num_bytes
        with contextlib.suppress(FileNotFoundError), (self.folder / stored.file).open("rb") as file:
            file.seek(stored.offset)
            while left and (data := file.read(min(READ_BYTES, left))):
                total.update(data)
                left -= len(data)
        return not left and total.hexdigest() == stored.sha256

    def mapped(self, pieces: Sequence[Stored]) -> list[Any]:
        """Pieces as tables of Arrow, mapped: they take no memory but that of the files."""
        arrow = importlib.import_module("pyarrow")
        buffers = {}
        for name in {stored.file for stored in pieces}:
            with arrow.memory_map(str(self.folder / name)) as file:
                buffers[name] = file.read_buffer()
        return [
            arrow.ipc.open_stream(buffers[stored.file].slice(stored.offset, stored.num_bytes)).read_all()
            for stored in pieces
        ]


class _Hashed(io.RawIOBase):
    """A file to write to, whose content is hashed on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._to, self.sha256, self.num_bytes = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Write, and hash."""
        self._to.write(data)
        self.sha256.update(data)
        size = memoryview(data).nbytes
        self.num_bytes += size
        return size


def begin_spool(folder: Path, record: dict[str, Any]) -> None:
    """Make the folder, and remove the pieces in it unless they are of the same tables, read in the same way.

    Args:
        folder: of the conversion.
        record: what is read, and how; for JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / f"{TABLE}s.json", json.dumps(record)
    if not path.exists() or path.read_text(errors="replace") != text:
        remove_spool(folder)
        write_atomically(path, text)


def remove_spool(folder: Path) -> None:
    """Remove all pieces."""
    for path in folder.glob(f"{TABLE}*"):
        path.unlink(missing_ok=True)
