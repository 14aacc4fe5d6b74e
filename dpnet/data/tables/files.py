"""Reads table files by pyarrow: CSV and TSV (see `textfile`), Parquet, and Feather."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.tables.column import guarded_arrow
from dpnet.data.tables.columns import Columns, Table
from dpnet.data.tables.textfile import TEXT_ENDINGS, open_text
from dpnet.errors import ConfigError, DataError
from dpnet.text import listed

ENDINGS = (*TEXT_ENDINGS, ".parquet", ".feather", ".arrow")
"""How the names of tables end."""
INDEX = re.compile(r"|__index_level_\d+__")
"""How pandas names the index of a data frame in a file: not at all, or so."""


def is_table(path: str) -> bool:
    """Whether a file is a table by its name."""
    return path.lower().endswith(ENDINGS) and os.path.isfile(path)


def read_table(
    path: str, *, as_text: Collection[str] = (), verbatim: Collection[str] = (), header: bool | None = None
) -> Table:
    """Reads a table.

    Args:
        path: of the file.
        as_text: names of columns to take as text, whatever stands in them: codes with leading zeros, for example.
        verbatim: names of those of them in which only an empty cell is missing, and not NA: identifiers.
        header: whether the first line of a file of text holds the names of the columns; None: the line decides.

    Raises:
        DataError: the file cannot be read, or has no row, or two columns of one name, or an unclear first line.
        ConfigError: pyarrow is not installed.
    """
    _check_pyarrow(path)
    with guarded_arrow(path):
        text = open_text(path, header=header) if path.lower().endswith(TEXT_ENDINGS) else None
        table = _read_columns(path) if text is None else text.read(as_text)
        columns = Columns(path, table, _names(path, table), as_text, verbatim, text)
    if table.num_rows == 0 or not columns:
        raise DataError(f"{path} has {table.num_rows} rows and {len(columns)} columns; expected at least one of each.")
    return Table(path, table.num_rows, columns, text=text)


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
        _check_memory(path, metadata.num_rows, metadata.num_columns)
        table = parquet.read_table(path, use_threads=False)
    else:
        table = importlib.import_module("pyarrow.feather").read_table(path, use_threads=False, memory_map=False)
    table.validate(full=True)  # Arrow trusts offsets that a damaged file made.
    return table


def _check_memory(path: str, rows: int, columns: int) -> None:
    """Raises DataError if a header promises more numbers than the machine has memory for."""
    num_bytes, memory = 8 * rows * columns, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if num_bytes > memory:
        raise DataError(
            f"{path} promises {rows:,} rows of {columns:,} columns: {num_bytes >> 30:,} GiB as numbers, and this "
            f"machine has {memory >> 30:,} GiB of memory; save its arrays as .npy files, which dpnet maps instead."
        )
