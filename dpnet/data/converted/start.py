"""How a conversion starts: anew, or where an earlier start of the same one was cut off, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dpnet.config.keys import setting
from dpnet.data.converted.manifest import MANIFEST, MAX_BYTES, Manifest
from dpnet.data.converted.origin import origin_changes
from dpnet.data.converted.parse import parse_manifest, read_manifest
from dpnet.data.converted.spool import TABLE
from dpnet.data.converted.unfinished import Sums, Unfinished, read_plan
from dpnet.errors import DataError, OutputError
from dpnet.files import UNFINISHED, writing

MB = 1e6
WAYS = "name another folder, or remove this one"


def check_same(folder: Path, outline: Manifest) -> None:
    """Refuse a folder that holds another conversion, or the begin of one.

    Args:
        folder: to be written.
        outline: what is converted, and how: splits are not looked at.

    Raises:
        DataError: it does, or what it holds cannot be read.
    """
    with writing(folder):
        if (folder / MANIFEST).exists():
            _compare(folder, read_manifest(str(folder)), outline, "was converted")
        elif (before := read_plan(folder)) is not None:
            _compare(folder, before, outline, "holds the beginning of a conversion")


def start(folder: Path, plan: Manifest, unfinished: Unfinished) -> Sums:
    """Make ready for a conversion, on one rank; `check_same` has passed.

    Args:
        folder: to be written.
        plan: what is converted, and how.
        unfinished: the conversion on the disk.

    Returns:
        the chunks that are there already.

    Raises:
        DataError: the folder holds something else, or what it holds was made of other rows.
        OutputError: it cannot be written, or the disk has no room for it.
    """
    check_readable(folder, plan)
    with writing(folder):
        before = read_plan(folder)
        if before is not None:
            _compare_arrays(folder, before, plan)
        elif any(not path.name.startswith(UNFINISHED) for path in folder.glob("*.npy")):
            raise DataError(f"{folder} holds .npy files without a manifest; name a folder that is not there yet.")
        if before is None:
            for path in folder.glob(f"{UNFINISHED}*"):
                if not path.name.startswith(TABLE):
                    path.unlink()  # Of a conversion of which nothing is known any more.
            _check_room(folder, plan)
        unfinished.begin(plan)
        return unfinished.written()


def check_readable(folder: Path, plan: Manifest) -> None:
    """Raises DataError if what will be written could not be read again: of some labels, and names of columns."""
    content = plan.text().encode()
    if len(content) > MAX_BYTES // 2:  # Sums are still to come.
        raise DataError(
            f"{folder}: the manifest would have {len(content) >> 20} MiB, by the labels of classes and the names of "
            f"columns; expected at most {MAX_BYTES >> 21}."
        )
    parse_manifest(folder / MANIFEST, content)


def _check_room(folder: Path, plan: Manifest) -> None:
    needed = sum(array.num_bytes for split in plan.splits.values() for array in split.arrays.values())
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    status = os.statvfs(there)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise OutputError(
            f"cannot write {folder}: {needed / MB:,.1f} MB are needed, and its disk has {free / MB:,.1f} MB left"
        )


def _compare(folder: Path, before: Manifest, plan: Manifest, what: str) -> None:
    """Raises DataError unless a folder holds what is to be converted."""
    if changes := origin_changes(before.source, plan.source):
        raise DataError(f"{folder} {what} from a source that is not this one: {changes[0]}; {WAYS}.")
    for name, value in _settings(plan).items():
        if (other := _settings(before)[name]) != value:
            seen, this = (_shown(name, one) for one in (other, value))
            raise DataError(f"{folder} {what} with {seen}, and here it is {this}; {WAYS}.")


def _compare_arrays(folder: Path, before: Manifest, plan: Manifest) -> None:
    if _arrays(before) != _arrays(plan):
        raise DataError(
            f"{folder} holds the beginning of a conversion from other rows or labels than the source holds now; {WAYS}."
        )


def _settings(manifest: Manifest) -> dict[str, Any]:
    of_data = {f"data.{key}": value for key, value in manifest.keys.items()}
    return {"model.task": manifest.task, "keys": of_data, "train.seed": manifest.seed}


def _shown(name: str, value: Any) -> str:
    if name != "keys":
        return "no such seed" if value is None else setting(name, value)
    pairs = [setting(key, one) for key, one in sorted(value.items())]
    return ", ".join(pairs) or "no keys of [data]"


def _arrays(manifest: Manifest) -> Any:
    """The arrays of all splits, but for what is known only at the end."""
    found: dict[str, Any] = json.loads(json.dumps(manifest.record()))
    for split in found["splits"].values():
        split["arrays"].pop("statistics", None)
        split["arrays"]["inputs"]["sha256"] = []
        del split["remarks"]  # They name the source as it was given.
    return found["splits"], found["schema"], found.get("fills")
