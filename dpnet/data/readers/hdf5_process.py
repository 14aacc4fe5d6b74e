"""What the process does that reads an HDF5 file for `hdf5`: it answers one order, and ends.

    {"list": true}             {"sets": [["sim/x", "float32, 100 x 8"], ...]}
    {"find": ["x", "sim/x"]}   {"found": ["sim/x"]}
    {"read": ["sim/x"]}        {"dtype": "<f4", "shape": [100, 8], "offset": 2048}: there they lie, to be mapped;
                               or with "offset": null, and then the bytes follow, and {}
    {"rows": "sim/x"}          the same line, with "chunk": 16, the rows that lie together; where it has no offset, then
                               for each line of the input, "START STOP", the bytes of these rows
    anything else              {"error": "a sentence"}; {"unusable": "a sentence"} where h5py cannot be imported

Nothing is read from any other file, whatever the file says: neither through links nor as storage of its data sets.
"""

from __future__ import annotations

import importlib
import json
import math
import resource
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.data.labels import MAX_TEXT
from dpnet.data.readers.guards import DEFLATE_RATIO, READ_BYTES, check_memory, guarded, memory
from dpnet.data.readers.hdf5_find import MAX_LISTED, MAX_NAME, data_sets, find, is_there, plain, words
from dpnet.errors import ConfigError, DataError
from dpnet.text import counted, listed, shorten

BASE_S, BYTES_PER_S = 10, 1 << 22
"""Most processor time: so much, and a second more for so many bytes of data."""
MAX_ERROR = 5000
"""Most characters of an error."""
TEXTS = 1 << 12
"""Texts that are read at a time."""


def main() -> None:
    """Answer the order in the arguments: search path of modules, file, order."""
    _, path, order = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _limit(0)
    try:
        answer(path, json.loads(order))
    except DataError as error:
        _say({"error": shorten(plain(str(error)), MAX_ERROR)})
    except ConfigError as error:
        _say({"unusable": shorten(plain(str(error)), MAX_ERROR)})
    sys.stdout.flush()


def _limit(num_bytes: int) -> None:
    """Allow as much processor time as so many bytes may take, and as much memory as there is."""
    for what, most in ((resource.RLIMIT_CPU, BASE_S + num_bytes // BYTES_PER_S), (resource.RLIMIT_AS, memory())):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def answer(path: str, order: dict[str, Any]) -> None:
    """Answer an order about a file.

    Raises:
        DataError: the file is damaged, or a data set is refused.
        ConfigError: h5py cannot be imported.
    """
    try:
        importlib.import_module("h5py")
    except MemoryError:
        raise
    except Exception as error:  # One that was built for another numpy raises a ValueError, for example.
        raise ConfigError(
            f"{path} is an HDF5 file, and h5py cannot be imported ({type(error).__name__}: {error}); install it again: "
            "pip install --force-reinstall h5py"
        ) from error
    with guarded(path):
        _answer(path, order)


def _answer(path: str, order: dict[str, Any]) -> None:
    h5py = importlib.import_module("h5py")
    try:
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise _damaged(path, error) from error
    sets: list[tuple[str, Any]]
    with file:
        if "list" in order:
            _say(
                {"sets": [(shorten(plain(name), MAX_NAME), words(file[name])) for name in data_sets(file, MAX_LISTED)]}
            )
            return
        if "find" in order:
            _say({"found": [name for name in order["find"] if is_there(file, name, path)]})
            return
        if "rows" in order:
            _serve(find(file, order["rows"], path), f"{path} ({order['rows']})")
            return
        sets = [(name, find(file, name, path)) for name in order["read"]]
        for name, found in sets:
            _check(found, f"{path} ({name})")
        _limit(sum(found.size * found.dtype.itemsize for _, found in sets))
        for name, found in sets:
            _give(found, f"{path} ({name})")


def _damaged(file: str, error: Exception) -> DataError:
    return DataError(f"{file} cannot be read: {error}; if nothing else is writing it, it is damaged: copy it again.")


def _serve(found: Any, file: str) -> None:
    """Give rows of a data set as they are asked for."""
    _check(found, file, whole=False)
    dtype, offset = found.dtype, _offset(found)
    if dtype.kind not in "biuf" or not found.shape:
        raise DataError(f"{file} holds {words(found)}; expected rows of numbers.")
    _limit(found.size * dtype.itemsize)
    chunk = found.chunks[0] if found.chunks else 1
    _say({"dtype": dtype.str, "shape": found.shape, "offset": offset, "chunk": chunk})
    for line in sys.stdin if offset is None else ():
        start, stop = map(int, line.split())
        block = found[start:stop]
        sys.stdout.buffer.write(np.ascontiguousarray(block != 0 if dtype.kind == "b" else block, dtype).data)
        sys.stdout.buffer.flush()


def _check(found: Any, file: str, *, whole: bool = True) -> None:
    """Refuse a data set that cannot be read, or whose data are not in the file.

    Args:
        found: the data set.
        file: and its name, for messages.
        whole: it is read into memory, if it cannot be mapped.

    Raises:
        DataError: it is one.
    """
    h5py = importlib.import_module("h5py")
    made = found.id.get_create_plist()
    if found.shape is None:
        raise DataError(f"{file} is empty: it holds no array.")
    if found.is_virtual or made.get_external_count():
        raise DataError(f"{file} is made of other data sets or files (virtual or external storage); save its own data.")
    try:
        kind = found.dtype.kind
    except (TypeError, ValueError) as error:
        raise DataError(f"{file} holds elements of a type that numpy does not have: {error}.") from error
    if kind not in "biuf" and (h5py.check_string_dtype(found.dtype) is None or found.dtype.subdtype):
        seen = f"records of {listed(found.dtype.names)}" if found.dtype.names else _kind(found)
        raise DataError(f"{file} holds {seen}; expected numbers, booleans or text: save each column by itself.")
    for number in range(made.get_nfilters()):
        code, _, _, name = made.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            seen = f"{name.decode(errors='replace') or 'a filter'} ({code})"
            raise DataError(f"{file} is compressed by {seen}, which h5py cannot undo; h5repack -f GZIP=4 rewrites it.")
    promised = found.size * found.dtype.itemsize
    check_memory(file, promised if whole and _offset(found) is None else 0, words(found))
    if found.chunks:
        chunks = math.prod(-(-size // chunk) for size, chunk in zip(found.shape, found.chunks, strict=True))
        written = found.id.get_num_chunks() if found.size else chunks
    else:
        chunks, written = 1, int(found.size == 0 or found.id.get_storage_size() > 0)
    if written < chunks:
        raise DataError(
            f"{file} was written in part, {written:,} of {counted(chunks, 'chunk')}, and the rest would be read as "
            f"{found.fillvalue}: a program ended early, or made room for more; write only the rows that there are."
        )
    if promised > DEFLATE_RATIO * found.id.get_storage_size():
        seen = f"{file} promises {counted(promised, 'byte')} of data, and stores {found.id.get_storage_size():,}"
        raise DataError(f"{seen}, which cannot be unpacked to as many; it is damaged: write or copy it again.")


def _kind(found: Any) -> str:
    h5py = importlib.import_module("h5py")
    if h5py.check_ref_dtype(found.dtype) is not None:
        return "references"
    if h5py.check_vlen_dtype(found.dtype) is not None:
        return "lists of different lengths"
    return f"elements of type {found.dtype}"


def _offset(found: Any) -> int | None:
    """Where the numbers lie in the file, if they do in one piece and as numpy has them."""
    h5py = importlib.import_module("h5py")
    made, dtype = found.id.get_create_plist(), found.dtype
    if made.get_layout() != h5py.h5d.CONTIGUOUS or dtype.kind not in "iuf" or found.size == 0:
        return None
    offset = found.id.get_offset()
    # A float of 16 bits may be none that numpy has, and an integer may have fewer bits than its bytes.
    same = found.id.get_type() == h5py.h5t.py_create(dtype)
    return int(offset) if same and offset is not None and offset % dtype.itemsize == 0 else None


def _give(found: Any, file: str) -> None:
    """Say what a data set is, and write its data where they cannot be mapped."""
    offset, dtype = _offset(found), found.dtype
    if dtype.kind not in "biuf":
        texts = _texts(found, file)
        _say({"dtype": texts.dtype.str, "shape": texts.shape, "offset": None})
        sys.stdout.buffer.write(texts.tobytes())
    else:
        _say({"dtype": dtype.str, "shape": found.shape, "offset": offset})
        if offset is not None:
            return
        for block in _blocks(found):
            # What stands for true is 1 in numpy, whatever the file has.
            sys.stdout.buffer.write(np.ascontiguousarray(block != 0 if dtype.kind == "b" else block, dtype).data)
    _say({})


def _blocks(found: Any) -> Iterator[npt.NDArray[Any]]:
    """The data in blocks of whole chunks."""
    if not found.shape:
        yield found[()].reshape(1)
        return
    row_bytes = max(math.prod(found.shape[1:]) * found.dtype.itemsize, 1)
    step = found.chunks[0] if found.chunks else 1
    rows = step * max(READ_BYTES // (row_bytes * step), 1)
    for start in range(0, found.shape[0], rows):
        yield found[start : start + rows]


def _texts(found: Any, file: str) -> npt.NDArray[np.bytes_]:
    """Text as bytes of UTF-8."""
    if len(found.shape) != 1:
        raise DataError(f"{file} holds text of shape {found.shape}; expected one label for each sample: (samples,).")
    texts: list[bytes] = []
    for start in range(0, len(found), TEXTS):
        for text in found[start : start + TEXTS]:
            raw = text.encode() if isinstance(text, str) else bytes(text or b"")
            if len(raw) > 4 * MAX_TEXT or b"\0" in raw:
                seen = "a zero byte" if b"\0" in raw else f"{len(raw):,} bytes"
                raise DataError(
                    f"{file}, row {len(texts)} (from 0): the text has {seen}; expected a label, of at most {MAX_TEXT} "
                    "characters."
                )
            texts.append(raw)
    return np.array(texts, np.bytes_) if any(texts) else np.zeros(len(texts), "S1")
