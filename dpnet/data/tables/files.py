"""Reads tables by pyarrow: CSV and TSV (see `textfile`), Parquet (also folders, see `folder`), Feather and streams."""

from __future__ import annotations

import importlib
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import check_memory
from dpnet.data.tables.column import guarded_arrow
from dpnet.data.tables.columns import Columns, Table
from dpnet.data.tables.folder import is_folder_table, parts_of, put_together
from dpnet.data.tables.textfile import TEXT_ENDINGS, TextFile, open_text
from dpnet.errors import ConfigError, DataError
from dpnet.text import listed

ENDINGS = (*TEXT_ENDINGS, ".parquet", ".feather", ".arrow")
"""How the names of tables end."""
CONTINUATION, END_OF_STREAM = b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\0\0\0\0"
"""How each message of a stream of Arrow begins, and the mark of its end."""
SEPARATORS = "\n,;\t|"
"""What stands in a table that is text."""
INDEX = re.compile(r"|__index_level_\d+__")
"""How pandas names the index of a data frame in a file: not at all, or so."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A table that lies in memory, in the place of the path of one.

    Attributes:
        name: what messages call it.
        arrow: the table of Arrow.
    """

    name: str
    arrow: Any

    def __str__(self) -> str:
        """Its name."""
        return self.name


def is_table(path: str | Frame) -> bool:
    """Whether a path is a table: a file by its name, or a folder of Parquet files; or what lies in memory is one."""
    return isinstance(path, Frame) or (path.lower().endswith(ENDINGS) and os.path.isfile(path)) or is_folder_table(path)


def read_table(
    path: str | Frame, *, as_text: Collection[str] = (), verbatim: Collection[str] = (), header: bool | None = None
) -> Table:
    """Reads a table.

    Args:
        path: of the file, or of a folder of Parquet files; or a table in memory.
        as_text: names of columns to take as text, whatever stands in them: codes with leading zeros, for example.
        verbatim: names of those of them in which only an empty cell is missing, and not NA: identifiers.
        header: whether the first line of a file of text holds the names of the columns; None: the line decides.

    Raises:
        DataError: the file cannot be read, or has no row, or two columns of one name, or an unclear first line.
        ConfigError: pyarrow is not installed.
    """
    if isinstance(path, Frame):
        with guarded_arrow(path.name):
            return _table(path.name, path.arrow, as_text, verbatim)
    _check_pyarrow(path)
    with guarded_arrow(path):
        text = open_text(path, header=header) if is_text(path) else None
        parts = parts_of(path) if os.path.isdir(path) else []
        tables = [_read_part(os.path.join(path, part)) for part in parts]
        table = (
            put_together(path, parts, tables) if parts else _read_columns(path) if text is None else text.read(as_text)
        )
        starts = np.cumsum([0, *(one.num_rows for one in tables)])
        numbered = dict(zip(parts, starts.tolist(), strict=False))
        return _table(path, table, as_text, verbatim, text, numbered)


def read_names(path: str | Frame, *, header: bool | None = None) -> Table:
    """A table of which the names of the columns are to be known: of a file of text these alone, without a row.

    What is to be taken as text in such a file is to be known before it is read; see `Table.as_text` for the others.

    Args:
        path: see `read_table`.
        header: see `read_table`.

    Raises:
        DataError: see `read_table`.
        ConfigError: see `read_table`.
    """
    if not is_text(path):
        return read_table(path, header=header)
    _check_pyarrow(path)
    arrow = importlib.import_module("pyarrow")
    with guarded_arrow(path):
        text = open_text(path, header=header)
        empty = arrow.table([arrow.nulls(0)] * len(names := text.names()), names=names)
        return Table(path, 0, Columns(path, empty, _names(path, empty), (), text=text), text=text)


def _table(
    file: str,
    table: Any,
    as_text: Collection[str],
    verbatim: Collection[str],
    text: TextFile | None = None,
    parts: dict[str, int] | None = None,
) -> Table:
    """The table that Arrow has read."""
    columns = Columns(file, table, _names(file, table), as_text, verbatim, text)
    if table.num_rows == 0 or not columns:
        raise DataError(f"{file} has {table.num_rows} rows and {len(columns)} columns; expected at least one of each.")
    return Table(file, table.num_rows, columns, text=text, parts=parts or {})


def is_text(path: str | Frame) -> TypeGuard[str]:
    """Whether a table is a file of text."""
    return isinstance(path, str) and path.lower().endswith(TEXT_ENDINGS) and os.path.isfile(path)


def _check_pyarrow(path: str) -> None:
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise ConfigError(f"{path} is a table, which pyarrow reads; install it: pip install 'dpnet[tables]'") from error


def _names(path: str, table: Any) -> list[str]:
    """The columns of a table; without the index of a data frame, which is no column of the user's."""
    names: list[str] = [name for name in table.column_names if not INDEX.fullmatch(name)]
    _check_twice(path, names)
    for place, name in enumerate(table.column_names):
        if place and not name and table.column(place).null_count < table.num_rows:
            raise DataError(f"{path}: column {place} (from 0) has no name; give it one, or take it out.")
    return names


def _check_twice(path: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = {name for name, count in Counter(names).items() if count > 1}
        raise DataError(f"{path} has several columns of the same name: {listed(twice)}; name each once.")


def _read_part(path: str) -> Any:
    """A file of a folder; an error names the file."""
    with guarded_arrow(path):
        return _read_columns(path)


def _read_columns(path: str) -> Any:
    """A file that stores columns: Parquet, or Arrow's own format."""
    with Path(path).open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if path.lower().endswith(".parquet"):
        table = _read_parquet(path, head)
    elif head.startswith(CONTINUATION):
        table = _read_stream(path)
    else:
        table = _read_feather(path, head)
    table.validate(full=True)  # Arrow trusts offsets that a damaged file made.
    return table


def _read_parquet(path: str, head: bytes) -> Any:
    _check_magic(path, head, b"PAR1", "a Parquet file")
    parquet = importlib.import_module("pyarrow.parquet")
    metadata = parquet.read_metadata(path)
    rows, columns = metadata.num_rows, metadata.num_columns
    check_memory(path, 8 * rows * columns, f"{rows:,} rows of {columns:,} columns")
    _check_twice(path, metadata.schema.to_arrow_schema().names)
    return parquet.read_table(path, use_threads=False)


def _read_feather(path: str, head: bytes) -> Any:
    if head.startswith(b"FEA1"):
        raise DataError(
            f"{path} is a Feather file of version 1, which is not read any more; write it again, in Python, with "
            f"pandas: pd.read_feather({path!r}).to_feather({path!r})"
        )
    _check_magic(path, head, b"ARROW1", "a Feather file")
    return importlib.import_module("pyarrow.feather").read_table(path, use_threads=False, memory_map=False)


def _read_stream(path: str) -> Any:
    """Arrow's format for streams, in which Hugging Face's `datasets` keeps its files.

    It may end anywhere, but for a mark that says so: without it rows at the end could be missing, and nobody sees it.
    """
    arrow = importlib.import_module("pyarrow")
    with arrow.OSFile(path) as file:
        table = arrow.ipc.open_stream(file).read_all()
        read, size = file.tell(), file.size()
    with Path(path).open("rb") as stream:
        stream.seek(-len(END_OF_STREAM), os.SEEK_END)
        ends = stream.read() == END_OF_STREAM
    if read < size:
        raise DataError(f"{path} holds more after the end of its table, at byte {read:,}; expected one table.")
    if not ends:
        raise DataError(f"{path} does not end as a stream of Arrow does; it is truncated: copy or write it again.")
    return table


def _check_magic(path: str, head: bytes, magic: bytes, kind: str) -> None:
    if head.startswith(magic):
        return
    refuse_foreign(path, head, kind)
    if not head:
        raise DataError(f"{path} is empty; expected {kind}.")
    text = head.decode("utf-8", "ignore")
    if all(one.isprintable() or one.isspace() for one in text) and set(text) & set(SEPARATORS):
        raise DataError(f"{path} is text, not {kind}; if cells stand in its lines, name it .csv.")
    raise DataError(f"{path} does not start with {magic.decode()}, as {kind} does; it is damaged: copy it again.")
