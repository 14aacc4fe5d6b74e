"""How a conversion starts: anew, or where an earlier start of the same one was cut off, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpnet.config.keys import setting
from dpnet.data.converted.manifest import MANIFEST, Manifest
from dpnet.data.converted.origin import origin_changes
from dpnet.data.converted.parse import read_manifest
from dpnet.data.converted.unfinished import Sums, Unfinished, read_plan
from dpnet.errors import DataError, OutputError
from dpnet.files import UNFINISHED, writing
from dpnet.text import shorten

GIB = 1 << 30


def start(folder: Path, plan: Manifest, unfinished: Unfinished) -> Sums | None:
    """Make ready for a conversion, on one rank.

    Args:
        folder: to be written.
        plan: what is converted, and how.
        unfinished: the conversion on the disk.

    Returns:
        the chunks that are there already; None: all is.

    Raises:
        DataError: the folder holds something else, or what it holds was made of other data or in another way.
        OutputError: it cannot be written, or the disk has no room for it.
    """
    with writing(folder):
        if (folder / MANIFEST).exists():
            _compare(folder, read_manifest(str(folder)).record(), plan, "was converted")
            return None
        before = read_plan(folder)
        if before is not None:
            _compare(folder, before, plan, "holds the begin of a conversion")
        elif any(not path.name.startswith(UNFINISHED) for path in folder.glob("*.npy")):
            raise DataError(f"{folder} holds .npy files without a manifest; name a folder that is not there yet.")
        if before is None:
            for path in folder.glob(f"{UNFINISHED}*"):
                path.unlink()  # Of a conversion of which nothing is known any more.
            _check_room(folder, plan)
        unfinished.begin(plan)
        return unfinished.written()


def _check_room(folder: Path, plan: Manifest) -> None:
    needed = sum(array.num_bytes for split in plan.splits.values() for array in split.arrays.values())
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    status = os.statvfs(there)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise OutputError(
            f"cannot write {folder}: {needed / GIB:,.1f} GiB are needed, and its disk has {free / GIB:,.1f} GiB left"
        )


def _compare(folder: Path, before: Mapping[str, Any], plan: Manifest, what: str) -> None:
    """Raises DataError unless a folder holds what is to be converted."""
    now, ways = _plain(plan.record()), "name another folder, or remove this one"
    if before.get("format") != now["format"]:
        raise DataError(f"{folder} {what} by another dpnet, {shorten(repr(before.get('format')))}; {ways}.")
    old = before.get("source")
    if not isinstance(old, dict) or (changes := origin_changes(old, now["source"])):
        why = changes[0] if isinstance(old, dict) else "nothing is known of it"
        raise DataError(f"{folder} {what} from a source that is not this one: {why}; {ways}.")
    for name, value in _settings(now).items():
        other = _settings(before).get(name)
        if other != value:
            seen, this = (_shown(name, one) for one in (other, value))
            raise DataError(f"{folder} {what} with {seen}, and here it is {this}; {ways}.")
    if _arrays(before) != _arrays(now):
        raise DataError(f"{folder} {what} from other rows or labels than the source holds now; {ways}.")


def _settings(record: Mapping[str, Any]) -> dict[str, Any]:
    keys = record.get("keys")
    of_data = {f"data.{key}": value for key, value in keys.items()} if isinstance(keys, dict) else {}
    return {"model.task": record.get("task"), "keys": of_data, "train.seed": record.get("seed")}


def _shown(name: str, value: Any) -> str:
    if name != "keys":
        return "no such seed" if value is None else setting(name, value)
    pairs = [setting(key, one) for key, one in sorted(value.items())]
    return ", ".join(pairs) or "no keys of [data]"


def _arrays(record: Mapping[str, Any]) -> Any:
    """The arrays of all splits, but for what is known only at the end."""
    splits = record.get("splits")
    if not isinstance(splits, dict):
        return None
    found = json.loads(json.dumps(splits))
    for split in found.values():
        split["arrays"].pop("statistics", None)
        split["arrays"]["inputs"]["sha256"] = []
    return found, record.get("schema")


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain
