"""Reads tables by pyarrow: CSV and TSV (see `text`), Parquet (also folders, see `folder`), Feather and streams."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from dpnet.data.in_parts import spooled
from dpnet.data.tables.column import guarded_arrow
from dpnet.data.tables.columns import Columns, Table
from dpnet.data.tables.folder import is_folder_table, parts_of, put_together
from dpnet.data.tables.pieces.stored import stored_pieces
from dpnet.data.tables.stored import check_twice, read_columns
from dpnet.data.tables.text.file import TEXT_ENDINGS, TextFile, open_text
from dpnet.errors import ConfigError, DataError

ENDINGS = (*TEXT_ENDINGS, ".parquet", ".feather", ".arrow")
"""How the names of tables end."""
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
        if (found := spooled(path)) is not None:
            return _table(path, found.rows, as_text, verbatim, text, found.parts)
        if text is not None:
            return _table(path, text.read(as_text), as_text, verbatim, text)
        if not os.path.isdir(path):
            return _table(path, read_columns(path), as_text, verbatim)
        parts = parts_of(path)
        tables = [read_columns(os.path.join(path, part)) for part in parts]
        starts = np.cumsum([0, *(one.num_rows for one in tables)])
        numbered = dict(zip(parts, starts.tolist(), strict=False))
        return _table(path, put_together(path, parts, tables), as_text, verbatim, parts=numbered)


def read_names(path: str | Frame, *, header: bool | None = None) -> Table:
    """The columns of a table without a row: what is to be taken as text is to be known before it is read.

    Args:
        path: see `read_table`.
        header: see `read_table`.

    Raises:
        DataError: see `read_table`.
        ConfigError: see `read_table`.
    """
    if isinstance(path, Frame):
        return read_table(path)
    _check_pyarrow(path)
    arrow = importlib.import_module("pyarrow")
    with guarded_arrow(path):
        text = open_text(path, header=header) if is_text(path) else None
        names = stored_pieces(path).schema.names if text is None else text.names()
        empty = arrow.table([arrow.nulls(0)] * len(names), names=names)
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
    check_twice(path, names)
    for place, name in enumerate(table.column_names):
        if place and not name and table.column(place).null_count < table.num_rows:
            raise DataError(f"{path}: column {place} (from 0) has no name; give it one, or take it out.")
    return names
