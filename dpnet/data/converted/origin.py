"""Where converted data come from: the files of a source, with their sizes and the times of their last changes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dpnet.config.data import DataConfig
from dpnet.data.digits import NAME
from dpnet.data.readers.guards import guarded
from dpnet.data.tables.folder import is_folder_table, parts_of
from dpnet.text import counted


def origin_of(source: str, section: DataConfig) -> dict[str, Any]:
    """What tells whether a source has changed.

    Args:
        source: as it was given.
        section: of the job: files of test and validation samples count as well.

    Returns:
        `path`, as it was given; and `files`: of each its size in bytes, and when its content and its entry in the
        file system changed, in nanoseconds, by its path.

    Raises:
        DataError: a file cannot be looked at.
    """
    files = {}
    for path in (source, section.test, section.validation):
        if isinstance(path, str) and path != NAME:
            for name in _files(os.path.expanduser(path)):
                with guarded(name):
                    found = os.stat(name)
                files[os.path.realpath(name)] = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return {"path": source, "files": files}


def _files(path: str) -> Iterator[str]:
    """The files of a source; beside a file of inputs may lie those of its labels, see `readers.npy`."""
    if is_folder_table(path):
        yield from (os.path.join(path, part) for part in parts_of(path))
    elif os.path.isdir(path):
        with guarded(path):
            yield from (entry.path for entry in sorted(os.scandir(path), key=lambda one: one.name) if entry.is_file())
    else:
        yield path
        name = Path(path).name
        if name.startswith("x") and name.endswith(".npy"):
            beside = (Path(path).with_name(f"{letter}{name[1:]}") for letter in "yw")
            yield from (str(other) for other in beside if other.exists())


def origin_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A sentence for each file that has changed between two looks at a source.

    Args:
        before: as `origin_of` made it, or as it was read.
        now: as `origin_of` made it.
    """
    old, new = before.get("files"), now["files"]
    if not isinstance(old, dict):
        return ["its files are not known"]
    gone, more = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    if gone or more:
        among = f"{(gone or more)[0]} {'among' if gone else 'not among'} them"
        return [f"it was made of {counted(len(old), 'file')}, {among}"]
    return [
        f"{name} has changed: {old[name][0]:,} bytes then, {new[name][0]:,} bytes now"
        if old[name][0] != new[name][0]
        else f"{name} was written again meanwhile"
        for name in new
        if list(old[name]) != list(new[name])
    ]
