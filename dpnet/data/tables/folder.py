"""Folders of Parquet files that are one table, as Spark, Dask and pandas write them.

    sales/_SUCCESS                            left alone, as all names that begin with _ or . are
    sales/country=de/part-0.parquet           rows 0 to 99       with a column country, de
    sales/country=fr/part-0.parquet           rows 100 to 149    with a column country, fr

The rows follow the sorted names of the files, so they are those of one file in which pandas has put them together.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dpnet.data.readers.guards import guarded
from dpnet.errors import DataError
from dpnet.text import listed

MAX_FILES = 100_000
"""Most files of a folder."""
PARTITION = re.compile(r"([^=]+)=(.*)")
"""How a folder within is called that holds the rows with one value of a column."""
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""In place of a value that is missing."""
SPLIT_NAME = re.compile(r"(?<![a-z])(train|test|val|valid|validation|dev|eval)(?![a-z])")
"""What a file is called that is no part of a table, but all of its training or test rows."""
INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
OTHER_TABLE = re.compile(
    r".*\.(parquet|parq|pq|csv|tsv|feather|arrow|orc|avro)(\.(gz|gzip|bz2|xz|zst|zstd|lz4|lzo|br|snappy|zip))?",
    re.IGNORECASE,
)
"""How other files are called that hold rows: of other kinds, with other endings, or compressed as a whole."""
VERSIONED = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}
"""Folders in which a log says which of the files beside them are rows of the table, and which were replaced."""
MAGIC = b"PAR1"
"""The first bytes of a Parquet file; Hive gives its files no ending."""


def is_folder_table(path: str) -> bool:
    """Whether a path is a folder of Parquet files that make one table: no file is another table, or a split by name."""
    if not os.path.isdir(path):
        return False
    try:
        with guarded(path):
            names = [name for name in os.listdir(path) if _counts(name)]
            parts = _parts(path)
    except DataError:
        return False
    endings = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".feather", ".arrow")
    others = [name for name in names if name.lower().endswith(endings)]
    splits = {found[1] for part in parts if (found := SPLIT_NAME.search(Path(part).name.lower()))}
    return bool(parts) and not others and len(splits) + any(not SPLIT_NAME.search(part.lower()) for part in parts) == 1


def parts_of(folder: str) -> list[str]:
    """Paths of the Parquet files of a folder, relative to it, in the order of their rows.

    Raises:
        DataError: it holds rows elsewhere too: in files that are not called .parquet, or in folders that are not called
            NAME=VALUE. Or a log, which is not read, says which of the files are rows.
    """
    for name, kind in VERSIONED.items():
        if os.path.isdir(os.path.join(folder, name)):
            raise DataError(
                f"{folder} is a table of {kind}, as {name} in it shows, and some of its files may have been replaced; "
                "write the table as Parquet files in a folder of their own."
            )
    left = next(_left_out(folder, "", inside=True), None)
    if left is None:
        return _parts(folder)
    path, odd = left
    why = f"{path} would be left out" if odd is None else f"{path} would be left out, as it lies in {odd!r}"
    ways = (
        "the files of a table end in .parquet; rename it if it is one of them, or move it elsewhere."
        if odd is None
        else "folders within a table are called NAME=VALUE, as country=de; rename it, or move its files."
    )
    raise DataError(f"{folder}: {why}: {ways}")


def _left_out(folder: str, inner: str, *, inside: bool) -> Iterator[tuple[str, str | None]]:
    """The files that hold rows and are no part of the table, each with the name of the folder that is the reason.

    Args:
        folder: of the table.
        inner: the folder within it to look through.
        inside: the Parquet files there are parts of the table.
    """
    for entry in sorted(os.scandir(os.path.join(folder, inner)), key=lambda entry: entry.name):
        path = os.path.join(inner, entry.name)
        if not _counts(entry.name):
            continue
        if entry.is_dir():
            part = inside and PARTITION.fullmatch(entry.name) is not None
            for file, odd in _left_out(folder, path, inside=part):
                yield file, path if inside and not part else odd
        elif not (inside and entry.name.lower().endswith(".parquet")) and _holds_rows(entry):
            yield path, None


def _holds_rows(file: os.DirEntry[str]) -> bool:
    if OTHER_TABLE.fullmatch(file.name):
        return True
    if not file.is_file():
        return False
    with contextlib.suppress(OSError), open(file.path, "rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC
    return False


def _parts(folder: str) -> list[str]:
    found = sorted(_walk(folder, ""))
    if len(found) > MAX_FILES:
        raise DataError(f"{folder} holds more than {MAX_FILES:,} Parquet files; write fewer, larger ones.")
    return found


def _walk(folder: str, inner: str) -> Iterator[str]:
    for entry in os.scandir(os.path.join(folder, inner)):
        if not _counts(entry.name):
            continue
        path = os.path.join(inner, entry.name)
        if entry.is_dir():
            if PARTITION.fullmatch(entry.name):
                yield from _walk(folder, path)
        elif entry.name.lower().endswith(".parquet"):
            yield path


def _counts(name: str) -> bool:
    return not name.startswith(("_", "."))


class Joined:
    """The one table that the files of a folder make.

    Args:
        folder: for messages.
        parts: the files.
        schemas: of Arrow: the columns of each.

    Attributes:
        schema: of the table.

    Raises:
        DataError: the columns of a file are not those of the first.
    """

    def __init__(self, folder: str, parts: Sequence[str], schemas: Sequence[Any]) -> None:
        arrow = importlib.import_module("pyarrow")
        self._names = schemas[0].names
        for part, schema in zip(parts, schemas, strict=True):
            _compare(folder, (parts[0], schemas[0]), (part, schema))
        self._partitions = _partitions(folder, parts, self._names)
        # A column without a value has no type in the file of pandas.
        empty = [_plain(schema.empty_table().select(self._names)) for schema in schemas]
        of_files = arrow.concat_tables(empty, promote_options="default").schema
        of_folders = [arrow.field(key, arrow.array(values).type) for key, values in self._partitions.items()]
        self.schema = arrow.schema([*of_files, *of_folders])

    def complete(self, place: int, table: Any) -> Any:
        """Rows of a file as rows of the table.

        Args:
            place: of the file among the parts.
            table: of Arrow: some of its rows.
        """
        arrow = importlib.import_module("pyarrow")
        table = _plain(table.select(self._names))
        for key, values in self._partitions.items():
            table = table.append_column(key, arrow.array([values[place]] * table.num_rows))
        return table.cast(self.schema)


def put_together(folder: str, parts: Sequence[str], tables: Sequence[Any]) -> Any:
    """The one table of Arrow that those of the files of a folder make; see `Joined`."""
    arrow = importlib.import_module("pyarrow")
    joined = Joined(folder, parts, [table.schema for table in tables])
    return arrow.concat_tables([joined.complete(place, table) for place, table in enumerate(tables)])


def _plain(table: Any) -> Any:
    """A table whose categories are the texts themselves: files number them differently."""
    arrow = importlib.import_module("pyarrow")
    kinds = [field.type for field in table.schema]
    if not any(map(arrow.types.is_dictionary, kinds)):
        return table
    schema = [
        (field.name, field.type.value_type if arrow.types.is_dictionary(field.type) else field.type)
        for field in table.schema
    ]
    return table.cast(arrow.schema(schema))


def _compare(folder: str, first: tuple[str, Any], other: tuple[str, Any]) -> None:
    """Refuse a file with other columns than the first, or of other types."""
    arrow = importlib.import_module("pyarrow")
    (name, expected), (part, seen) = first, other
    for one, two, here, there in ((expected, seen, part, name), (seen, expected, name, part)):
        if lacking := [field.name for field in one if field.name not in two.names]:
            raise DataError(
                f"{os.path.join(folder, here)} has no column {listed(map(repr, lacking))}, which {there} has: these "
                "are not parts of one table; name one of the files, or write them with the same columns."
            )
    for field in expected:
        kinds = [
            kind.value_type if arrow.types.is_dictionary(kind) else kind
            for kind in (field.type, seen.field(field.name).type)
        ]
        if kinds[0] != kinds[1] and not any(map(arrow.types.is_null, kinds)):
            raise DataError(
                f"{os.path.join(folder, part)}, column {field.name!r} holds {kinds[1]}, and in {name} it holds "
                f"{kinds[0]}; write the files with the same types."
            )


def _partitions(folder: str, parts: Sequence[str], names: Sequence[str]) -> dict[str, list[int | str | None]]:
    """The columns that the names of folders are, with a value for each file: integers where all are, else text."""
    pairs = [[PARTITION.fullmatch(piece) for piece in Path(part).parts[:-1]] for part in parts]
    keys = [[unquote(pair[1]) for pair in of_part if pair] for of_part in pairs]
    for part, one in zip(parts, keys, strict=True):
        if one != keys[0] or len(set(one)) < len(one):
            raise DataError(f"{os.path.join(folder, part)} lies at other folders NAME=VALUE than {parts[0]} does.")
        if twice := set(one) & set(names):
            raise DataError(f"{os.path.join(folder, part)} has a column {listed(twice)}, as a folder above is called.")
    columns: dict[str, list[int | str | None]] = {}
    for place, key in enumerate(keys[0]):
        texts = [unquote(pair[2]) for of_part in pairs if (pair := of_part[place])]
        known = [text for text in texts if text != NO_VALUE]
        whole = bool(known) and all(map(INTEGER.fullmatch, known))
        columns[key] = [None if text == NO_VALUE else int(text) if whole else text for text in texts]
    return columns
