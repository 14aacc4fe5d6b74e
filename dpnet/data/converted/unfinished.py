"""A conversion on the disk, from its begin to its end: nothing of it can be taken for data before it is whole.

    DEST/conversion.json                        what is converted, and how; gone when the manifest is there
    DEST/.unfinished-train-inputs.npy           as long as it will be; ranks write its chunks in any order
    DEST/.unfinished-sums-0                     of rank 0: a line for each chunk that it has written, with its sha256
    DEST/manifest.json                          written last

A conversion that was cut off goes on: the chunks that are listed, and still have their sha256, stay.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from dpnet.data.converted.manifest import CONVERSION, KINDS, MANIFEST, MAX_BYTES, Manifest, file_of
from dpnet.data.converted.parse import parse_manifest
from dpnet.data.readers.guards import guarded
from dpnet.data.readers.npy import map_npy
from dpnet.data.split import SPLITS, Inputs
from dpnet.errors import DataError
from dpnet.files import UNFINISHED, read_file, sync_path, unfinished, write_atomically, write_synced
from dpnet.text import listed

LOCK = ".lock"
Sums = dict[tuple[str, int], str]
"""The sha256, in hex, of chunks that were written, by split and number of the chunk."""


class Unfinished:
    """A conversion that is under way. Every method raises OSError if the disk does.

    Args:
        folder: of the data.
        rank: of this process, which keeps a list of its own.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder = folder
        self._list = folder / f"{UNFINISHED}sums-{rank}"

    def path(self, split: str, kind: str) -> Path:
        """Where an array is until it is whole."""
        return unfinished(file_of(self.folder, split, kind))

    def begin(self, plan: Manifest) -> None:
        """Make the folder and the files of the inputs, where they are not there already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / CONVERSION, plan.text())
        for name, split in plan.splits.items():
            final, path = file_of(self.folder, name, "inputs"), self.path(name, "inputs")
            if final.exists():
                final.rename(path)  # The end was cut off.
            inputs = split.arrays["inputs"]
            with path.open("r+b" if path.exists() else "w+b") as stream:
                offset = write_header(stream, np.dtype(inputs.dtype), inputs.shape)
                stream.truncate(offset + inputs.num_bytes)

    def written(self) -> Sums:
        """The chunks that all ranks have listed so far."""
        found: Sums = {}
        for path in sorted(self.folder.glob(f"{UNFINISHED}sums-*")):
            for line in path.read_text(errors="replace").splitlines():
                split, _, rest = line.partition(" ")
                number, _, total = rest.partition(" ")
                if split in SPLITS and number.isdecimal() and len(total) == 64:  # The last line may be cut off.
                    found[split, int(number)] = total
        return found

    def list_chunk(self, split: str, number: int, total: str) -> None:
        """List a chunk that was written."""
        with self._list.open("a") as stream:
            stream.write(f"\n{split} {number} {total}")

    def write_array(self, split: str, kind: str, array: npt.NDArray[Any]) -> None:
        """Write a small array as a whole."""
        with self.path(split, kind).open("wb") as stream:
            write_header(stream, array.dtype, array.shape)
            for first in range(0, len(array), 1 << 16):
                stream.write(np.ascontiguousarray(array[first : first + (1 << 16)]).reshape(-1).view(np.uint8).data)

    def sync(self, splits: Mapping[str, Any]) -> None:
        """Wait until the disk has the inputs that this process has written."""
        for name in splits:
            sync_path(self.path(name, "inputs"))

    def finish(self, manifest: Manifest) -> None:
        """Give all files their names, and write the manifest; from then on the data are whole."""
        for name, split in manifest.splits.items():
            for kind in split.arrays:
                path = self.path(name, kind)
                if path.exists():
                    sync_path(path)
                    path.rename(file_of(self.folder, name, kind))
        sync_path(self.folder)
        write_synced(unfinished(self.folder / MANIFEST), manifest.text().encode())
        unfinished(self.folder / MANIFEST).rename(self.folder / MANIFEST)
        remove_unfinished(self.folder)
        sync_path(self.folder)

    def mapped(self, split: str) -> Inputs:
        """The inputs of a split as far as they were written, read-only."""
        return map_npy(self.path(split, "inputs"))


def remove_unfinished(folder: Path) -> None:
    """Remove what data that are whole do not need any more."""
    for path in (*folder.glob(f"{UNFINISHED}*"), folder / LOCK, folder / CONVERSION):
        path.unlink(missing_ok=True)


class RowWriter:
    """Writes rows of a file of inputs that is long enough; for a with block.

    Args:
        path: of the file.
        dtype: of its numbers.
        shape: of all rows.
        row: the first to be written.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], row: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY)
        self._offset = header_bytes(dtype, shape) + row * shape[1] * dtype.itemsize

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, rows: Inputs) -> None:
        """Write the next rows."""
        data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
        while data:
            count = os.pwrite(self._descriptor, data, self._offset)
            self._offset += count
            data = data[count:]


def write_header(stream: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Write the header of an .npy file; returns its length."""
    header = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(stream, header)
    return int(stream.tell())


def header_bytes(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """The length of the header of an .npy file."""
    return write_header(io.BytesIO(), dtype, shape)


def read_plan(folder: Path) -> Manifest | None:
    """What an unfinished conversion in a folder converts; None: there is none.

    Raises:
        DataError: that cannot be read.
    """
    path = folder / CONVERSION
    if not path.exists():
        return None
    with guarded(str(path)):
        content = read_file(path, MAX_BYTES)
    return parse_manifest(path, content)


def check_free(folder: Path) -> None:
    """Refuse a folder that holds anything else than a conversion.

    Raises:
        DataError: it does, or it is none.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder that is not there yet.")
    known = {MANIFEST, CONVERSION, LOCK, *(file_of("", split, kind).name for split in SPLITS for kind in KINDS)}
    other = [name for name in os.listdir(folder) if name not in known and not name.startswith(UNFINISHED)]
    if other:
        raise DataError(f"{folder} holds other files, {listed(other)}; name a folder that is not there yet.")
