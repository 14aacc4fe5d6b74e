"""Reads table files by pyarrow: CSV and TSV, compressed by gzip or not, Parquet, and Feather."""

from __future__ import annotations

import csv
import gzip
import importlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dpnet.data.readers.contents import GZIP, HEAD_BYTES, refuse_foreign
from dpnet.data.tables.columns import Columns, Table, guarded_arrow
from dpnet.errors import ConfigError, DataError
from dpnet.text import listed

TEXT_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
ENDINGS = (*TEXT_ENDINGS, ".parquet", ".feather", ".arrow")
"""How the names of tables end."""
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None", "?")
"""What stands for a missing value in a file of text: what pandas takes for it, and the question mark of UCI's data."""
INDEX = re.compile(r"|__index_level_\d+__")
"""How pandas names the index of a data frame in a file: not at all, or so."""
DELIMITERS = ",;\t|"
HEAD_CHARACTERS = 1 << 16
"""Most that is read of a file of text for its delimiter and header."""
BLOCK_BYTES = 1 << 24
"""Bytes of a file of text that are parsed together; no line may be longer."""


def is_table(path: str) -> bool:
    """Whether a file is a table by its name."""
    return path.lower().endswith(ENDINGS) and os.path.isfile(path)


def read_table(path: str, *, as_text: Collection[str] = ()) -> Table:
    """Reads a table.

    Args:
        path: of the file.
        as_text: names of columns to take as text, whatever stands in them: codes with leading zeros, for example.

    Raises:
        DataError: the file cannot be read, or has no row, or two columns of one name.
        ConfigError: pyarrow is not installed.
    """
    _check_pyarrow(path)
    with guarded_arrow(path):
        read = _read_text if path.lower().endswith(TEXT_ENDINGS) else _read_columns
        table = read(path, as_text)
        columns = Columns(path, table, _names(path, table), as_text)
    if table.num_rows == 0 or not columns:
        raise DataError(f"{path} has {table.num_rows} rows and {len(columns)} columns; expected at least one of each.")
    return Table(path, table.num_rows, columns)


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
    return names


def _read_columns(path: str, as_text: Collection[str]) -> Any:
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


def _read_text(path: str, as_text: Collection[str]) -> Any:
    """A file of text with a delimiter."""
    arrow, arrow_csv = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.csv"))
    with Path(path).open("rb") as raw:
        start = raw.read(HEAD_BYTES)
    packed = start.startswith(GZIP)
    if not packed:
        refuse_foreign(path, start, "a table")
    delimiter, names = _head(path, packed)
    with arrow.input_stream(path, compression="gzip" if packed else None) as stream:
        return arrow_csv.read_csv(
            stream,
            arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(as_text, arrow.string()),
                null_values=list(MISSING),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )


def _head(path: str, packed: bool) -> tuple[str, list[str] | None]:
    """The delimiter of a file of text; and names 0, 1, ... for its columns if it has no header."""
    with gzip.open(path, "rt", encoding="utf-8-sig") if packed else open(path, encoding="utf-8-sig") as stream:
        try:
            text = stream.read(HEAD_CHARACTERS)
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text ({error}); save it as UTF-8.") from error
    line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=lambda sign: len(next(csv.reader([line], delimiter=sign), [])))
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return delimiter, [str(place) for place in range(len(cells))] if all(map(is_number, cells)) else None


def is_number(cell: str) -> bool:
    """Whether a cell of a file of text is a number, or stands for a missing one."""
    try:
        float(cell)
    except ValueError:
        return cell.strip() in MISSING
    return True
