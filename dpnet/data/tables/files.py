"""Reads table files by pyarrow: CSV and TSV (see `textfile`), Parquet (also folders, see `folder`), and Feather."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import check_memory
from dpnet.data.tables.column import guarded_arrow
from dpnet.data.tables.columns import Columns, Table
from dpnet.data.tables.folder import is_folder_table, parts_of, put_together
from dpnet.data.tables.textfile import TEXT_ENDINGS, open_text
from dpnet.errors import ConfigError, DataError
from dpnet.text import listed

ENDINGS = (*TEXT_ENDINGS, ".parquet", ".feather", ".arrow")
"""How the names of tables end."""
INDEX = re.compile(r"|__index_level_\d+__")
"""How pandas names the index of a data frame in a file: not at all, or so."""


def is_table(path: str) -> bool:
    """Whether a path is a table: a file by its name, or a folder of Parquet files."""
    return (path.lower().endswith(ENDINGS) and os.path.isfile(path)) or is_folder_table(path)


def read_table(
    path: str, *, as_text: Collection[str] = (), verbatim: Collection[str] = (), header: bool | None = None
) -> Table:
    """Reads a table.

    Args:
        path: of the file, or of a folder of Parquet files.
        as_text: names of columns to take as text, whatever stands in them: codes with leading zeros, for example.
        verbatim: names of those of them in which only an empty cell is missing, and not NA: identifiers.
        header: whether the first line of a file of text holds the names of the columns; None: the line decides.

    Raises:
        DataError: the file cannot be read, or has no row, or two columns of one name, or an unclear first line.
        ConfigError: pyarrow is not installed.
    """
    _check_pyarrow(path)
    with guarded_arrow(path):
        text = open_text(path, header=header) if is_text(path) else None
        parts = parts_of(path) if os.path.isdir(path) else []
        tables = [_read_part(os.path.join(path, part)) for part in parts]
        table = (
            put_together(path, parts, tables) if parts else _read_columns(path) if text is None else text.read(as_text)
        )
        columns = Columns(path, table, _names(path, table), as_text, verbatim, text)
    if table.num_rows == 0 or not columns:
        raise DataError(f"{path} has {table.num_rows} rows and {len(columns)} columns; expected at least one of each.")
    starts = np.cumsum([0, *(one.num_rows for one in tables)])
    return Table(path, table.num_rows, columns, text=text, parts=dict(zip(parts, starts.tolist(), strict=False)))


def is_text(path: str) -> bool:
    """Whether a table is a file of text."""
    return path.lower().endswith(TEXT_ENDINGS) and os.path.isfile(path)


def _check_pyarrow(path: str) -> None:
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise ConfigError(f"{path} is a table, which pyarrow reads; install it: pip install 'dpnet[tables]'") from error


def _names(path: str, table: Any) -> list[str]:
    """The columns of a table; without the index of a data frame, which is no column of the user's."""
    names: list[str] = [name for name in table.column_names if not INDEX.fullmatch(name)]
    if len(set(names)) < len(names):
        twice = {name for name in names if names.count(name) > 1}
        raise DataError(f"{path} has several columns of the same name: {listed(twice)}; name each once.")
    for place, name in enumerate(table.column_names):
        if place and not name and table.column(place).null_count < table.num_rows:
            raise DataError(f"{path}: column {place} (from 0) has no name; give it one, or take it out.")
    return names


def _read_part(path: str) -> Any:
    """A file of a folder; an error names the file."""
    with guarded_arrow(path):
        return _read_columns(path)


def _read_columns(path: str) -> Any:
    """A file that stores columns: Parquet, or Arrow's own format."""
    with Path(path).open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    magic, kind = (b"PAR1", "a Parquet file") if path.lower().endswith(".parquet") else (b"ARROW1", "a Feather file")
    if not head.startswith(magic):
        refuse_foreign(path, head, kind)
        raise DataError(f"{path} does not start with {magic.decode()}, as {kind} does; it is damaged: copy it again.")
    if magic == b"PAR1":
        parquet = importlib.import_module("pyarrow.parquet")
        metadata = parquet.read_metadata(path)
        rows, columns = metadata.num_rows, metadata.num_columns
        check_memory(path, 8 * rows * columns, f"{rows:,} rows of {columns:,} columns")
        table = parquet.read_table(path, use_threads=False)
    else:
        table = importlib.import_module("pyarrow.feather").read_table(path, use_threads=False, memory_map=False)
    table.validate(full=True)  # Arrow trusts offsets that a damaged file made.
    return table
