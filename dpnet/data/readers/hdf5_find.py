"""Data sets of an open HDF5 file: finds them by their paths, and lists them, without ever leaving the file."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from dpnet.errors import DataError
from dpnet.text import listed, shorten

MAX_LINKS = 32
"""Most soft links on the way to a data set."""
MAX_LISTED, MAX_DEPTH, MAX_SEEN = 100, 6, 10_000
"""Most data sets that are listed, most groups within one another, and most names that are looked at for it."""
MAX_NAME = 200
"""Most characters that are shown of a path in the file."""


class _Absent(DataError):
    """There is nothing of that name."""


def data_sets(file: Any, limit: int) -> Iterator[str]:
    """Paths of the data sets of a file, those of outer groups first; links are left alone."""
    h5py = importlib.import_module("h5py")
    groups, seen, given = [("", file, 0)], 0, 0
    for prefix, group, depth in groups:
        for name in group:
            seen += 1
            if given == limit or seen > MAX_SEEN:
                return
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            found = group[name]
            if isinstance(found, h5py.Dataset):
                given += 1
                yield f"{prefix}{name}"
            elif isinstance(found, h5py.Group) and depth < MAX_DEPTH:
                groups.append((f"{prefix}{name}/", found, depth + 1))


def words(found: Any) -> str:
    """What a data set holds, in words."""
    h5py = importlib.import_module("h5py")
    try:
        dtype = found.dtype
    except (TypeError, ValueError):
        return "of a type that numpy does not have"
    text = h5py.check_string_dtype(dtype) is not None
    kind = "text" if text else "compound" if dtype.names else str(dtype)
    return f"{kind}, {'empty' if found.shape is None else ' x '.join(map(str, found.shape)) or 'one'}"


def find(file: Any, path: str, source: str) -> Any:
    """The data set of a path, through soft links, but not out of the file.

    Raises:
        DataError: there is none.
    """
    h5py = importlib.import_module("h5py")
    parts, node, links, where = path.split("/"), file, 0, f"{source} ({path})"
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise _Absent(f"{where} is not there; {source} holds {_held(file)}.")
        if isinstance(link, h5py.HardLink):
            node = node[part]
        elif isinstance(link, h5py.SoftLink) and links < MAX_LINKS:
            links += 1
            parts = [*link.path.split("/"), *parts]
            node = file if link.path.startswith("/") else node
        elif isinstance(link, h5py.ExternalLink):
            raise DataError(f"{where} leads to another file, {link.filename!r}: give that one.")
        else:
            raise DataError(f"{where} is a chain of links without an end; name the data set itself.")
    if isinstance(node, h5py.Dataset):
        return node
    kind = f"a group of {listed(node)}" if isinstance(node, h5py.Group) else "a type without data"
    raise DataError(f"{where} is {kind}; name a data set. {source} holds {_held(file)}.")


def is_there(file: Any, path: str, source: str) -> bool:
    """Whether there is a data set of a path; raises as `find` if there is, but leads out of the file."""
    try:
        find(file, path, source)
    except _Absent:
        return False
    return True


def plain(text: str) -> str:
    """A text from the file, which may command a terminal, as it can be shown."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _held(file: Any) -> str:
    names = [f"{shorten(name, MAX_NAME)} ({words(file[name])})" for name in data_sets(file, 9)]
    return ", ".join(names[:8]) + ", ..." * (len(names) > 8) if names else "no data set"
