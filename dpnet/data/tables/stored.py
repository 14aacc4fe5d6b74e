"""Files that store columns, as pyarrow reads them: Parquet, and Arrow's own formats, Feather and streams."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import check_memory
from dpnet.data.tables.column import guarded_arrow
from dpnet.errors import DataError
from dpnet.text import listed

CONTINUATION, END_OF_STREAM = b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\0\0\0\0"
"""How each message of a stream of Arrow begins, and the mark of its end."""
SEPARATORS = "\n,;\t|"
"""What stands in a table that is text."""


def read_columns(path: str) -> Any:
    """All of a file, as a table of Arrow; raises DataError if it cannot be read."""
    with guarded_arrow(path):
        kind = kind_of(path)
        if kind == "parquet":
            rows, columns = check_parquet(path)
            check_memory(path, 8 * rows * columns, f"{rows:,} rows of {columns:,} columns")
            table = importlib.import_module("pyarrow.parquet").read_table(path, use_threads=False)
        elif kind == "stream":
            table = _read_stream(path)
        else:
            feather = importlib.import_module("pyarrow.feather")
            table = feather.read_table(path, use_threads=False, memory_map=False)
        table.validate(full=True)  # Arrow trusts offsets that a damaged file made.
        return table


def kind_of(path: str) -> Literal["parquet", "stream", "feather"]:
    """Which of the formats a file has.

    Raises:
        DataError: none of them.
    """
    with Path(path).open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if path.lower().endswith(".parquet"):
        _check_magic(path, head, b"PAR1", "a Parquet file")
        return "parquet"
    if head.startswith(CONTINUATION):
        return "stream"
    if head.startswith(b"FEA1"):
        raise DataError(
            f"{path} is a Feather file of version 1, which is not read any more; write it again, in Python, with "
            f"pandas: pd.read_feather({path!r}).to_feather({path!r})"
        )
    _check_magic(path, head, b"ARROW1", "a Feather file")
    return "feather"


def check_parquet(path: str) -> tuple[int, int]:
    """Rows and columns of a Parquet file; raises DataError if two columns have one name."""
    metadata = importlib.import_module("pyarrow.parquet").read_metadata(path)
    check_twice(path, metadata.schema.to_arrow_schema().names)
    return metadata.num_rows, metadata.num_columns


def _read_stream(path: str) -> Any:
    arrow = importlib.import_module("pyarrow")
    with arrow.OSFile(path) as file:
        table = arrow.ipc.open_stream(file).read_all()
        check_end(path, file.tell())
    return table


def check_end(path: str, read: int) -> None:
    """Refuse a file in Arrow's format for streams, in which Hugging Face's `datasets` keeps its files, that is cut off.

    It may end anywhere, but for a mark that says so: without it rows at the end could be missing, and nobody sees it.

    Args:
        path: of the file.
        read: bytes of its table.

    Raises:
        DataError: it has no mark, or something after its end.
    """
    size = os.path.getsize(path)
    with Path(path).open("rb") as stream:
        stream.seek(-len(END_OF_STREAM), os.SEEK_END)
        ends = stream.read() == END_OF_STREAM
    if read < size:
        raise DataError(f"{path} holds more after the end of its table, at byte {read:,}; expected one table.")
    if not ends:
        raise DataError(f"{path} does not end as a stream of Arrow does; it is truncated: copy or write it again.")


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


def check_twice(path: str, names: Sequence[str]) -> None:
    """Raises DataError if columns have the same name."""
    if len(set(names)) < len(names):
        twice = {name for name, count in Counter(names).items() if count > 1}
        raise DataError(f"{path} has several columns of the same name: {listed(twice)}; name each once.")
