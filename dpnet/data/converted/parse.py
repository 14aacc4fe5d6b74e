"""Reads the manifest of converted data: what another program wrote there, or a disk lost, is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpnet.data.classes import Classes, plain_classes, recorded_classes
from dpnet.data.converted.manifest import (
    AGAIN,
    CONVERSION,
    FORMAT,
    KINDS,
    MANIFEST,
    MAX_BYTES,
    MAX_CLASSES,
    Manifest,
    StoredArray,
    StoredSplit,
    manifest_sum,
)
from dpnet.data.missing.fills import recorded_fills
from dpnet.data.readers.guards import guarded
from dpnet.data.split import SPLITS
from dpnet.data.tables.schema import recorded_schema
from dpnet.errors import DataError
from dpnet.files import read_file
from dpnet.text import shorten


def read_manifest(folder: str) -> Manifest:
    """The manifest of converted data.

    Raises:
        DataError: it is missing or damaged, or the conversion was not finished.
    """
    path = Path(folder) / MANIFEST
    if not path.exists() and os.path.exists(Path(folder) / CONVERSION):
        raise DataError(
            f"The conversion into {folder} has not come to its end: start the same `dpnet data convert` again, and it "
            "goes on."
        )
    with guarded(str(path)):
        return parse_manifest(path, read_file(path, MAX_BYTES))


def parse_manifest(path: Path, content: bytes) -> Manifest:
    """The manifest that a file holds; raises DataError."""
    try:
        record = json.loads(content, parse_constant=_refuse)
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            seen = record.get("format") if isinstance(record, dict) else record
            raise DataError(f"{path} has the format {shorten(repr(seen))}; this dpnet reads {FORMAT!r}; {AGAIN}.")
        content_sum = record.pop("manifest_sha256", None)
        json.dumps(record, ensure_ascii=False).encode()  # Half of a pair of surrogates is no text.
        if content_sum != manifest_sum(record):
            raise DataError(f"{path} is damaged: its content does not match its own sha256; {AGAIN}.")
        return _parsed(record)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise DataError(f"{path} is not as dpnet writes it ({shorten(str(error), 200)}); {AGAIN}.") from error


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _parsed(record: Mapping[str, Any]) -> Manifest:
    names: list[str] = list(_typed(record["splits"], dict))
    if "train" not in names or not set(names) <= set(SPLITS):
        raise ValueError(f"the splits are {names!r:.60}")
    in_order = record["task"] == "multilabel"
    splits = {name: _split(record["splits"][name], in_order=in_order) for name in SPLITS if name in names}
    width = splits["train"].arrays["inputs"].shape[1]
    keys = {key: _setting(value) for key, value in record["keys"].items()}
    schema = recorded_schema(record["schema"], width)
    fills = recorded_fills(record.get("fills"), width)
    if schema is not None and fills is not None:
        raise ValueError("it is of a table and of arrays")
    seed = None if record["seed"] is None else _typed(record["seed"], int)
    return Manifest(_typed(record["task"], str), splits, schema, keys, seed, _origin(record["source"]), fills)


def _origin(record: Mapping[str, Any]) -> dict[str, Any]:
    files = _typed(record["files"], dict)
    for found in files.values():
        if [type(number) for number in _typed(found, list)] != [int, int, int]:
            raise TypeError(f"{found!r:.60} are no size and times of a file")
    return {"path": _typed(record["path"], str), "files": files}


def _split(record: Mapping[str, Any], *, in_order: bool) -> StoredSplit:
    arrays = {kind: _array(entry) for kind, entry in record["arrays"].items() if kind in KINDS}
    if not {"inputs", "labels"} <= set(arrays) or len(arrays["inputs"].shape) != 2:
        raise ValueError(f"the arrays are {sorted(record['arrays'])!r:.60}")
    number = _typed(record["classes"]["number"], int)
    if not 0 <= number <= MAX_CLASSES:
        raise ValueError(f"there are {number} classes")
    of_classes = record["classes"]["labels"]
    classes = plain_classes(number) if of_classes is None else recorded_classes(of_classes, number, in_order=in_order)
    classes = Classes(classes.values, _typed(record["classes"]["written"], bool))
    first = record["first_index"]
    if first not in (None, 0, 1):
        raise ValueError(f"the first index is {first!r:.60}")
    remarks = tuple(_printable(text) for text in _typed(record["remarks"], list))
    return StoredSplit(arrays, classes, remarks, first, record["counts"])


def _array(record: Mapping[str, Any]) -> StoredArray:
    shape = tuple(_typed(size, int) for size in record["shape"])
    if not shape or min(shape) < 0 or max(shape) >= 2**63:
        raise ValueError(f"a shape is {shape!r:.60}")
    return StoredArray(_typed(record["dtype"], str), shape, tuple(_typed(one, str) for one in record["sha256"]))


def _setting(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(item if type(item) is int else _typed(item, str) for item in value)
    if type(value) not in (str, int, float, bool):
        raise TypeError(f"{value!r:.60} is no setting")
    return value


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r:.60} is no {kind.__name__}")
    return value


def _printable(text: Any) -> str:
    found: str = _typed(text, str)
    return "".join(one if one.isprintable() else " " for one in found)
