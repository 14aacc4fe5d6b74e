"""Archives of numpy, .npz: a zip file of .npy files, read into memory, or in parts for a conversion.

numpy's own reader allocates what a header promises, so each array is read here, behind the header checks of `npy`.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.config.model import Task
from dpnet.data.in_parts import is_wanted
from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import check_ratio, check_size, guarded, read_exactly
from dpnet.data.readers.names import find_word
from dpnet.data.readers.npy import read_header
from dpnet.data.readers.npz_rows import can_be_read_in_parts, open_rows
from dpnet.data.readers.recipes import renaming
from dpnet.data.split import SPLITS, Split, make_split
from dpnet.errors import DataError
from dpnet.text import listed


class Npz:
    """An .npz file with the arrays x_train, y_train and perhaps x_test, x_validation, ...; w_train, ... are weights."""

    description = "an .npz file of the arrays x_train, y_train and, to test with, x_test, y_test"

    def fits(self, source: str) -> bool:
        """Whether the source is a file whose name ends in .npz."""
        return source.endswith(".npz") and os.path.isfile(source)

    def has(self, source: str, split: str) -> bool:
        """Whether the file holds x or y of the split."""
        return find_word(split, npz_keys(source), source) is not None

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """The arrays of the split; the labels may be missing."""
        word = find_word(split, npz_keys(source), source) or split
        return read_npz_split(source, f"x_{word}", f"y_{word}", f"w_{word}", task=task)


class BareNpz:
    """An .npz file with one set of samples: x, perhaps y, and perhaps weights w."""

    description = "an .npz file of the arrays x and, if there are labels, y"

    def fits(self, source: str) -> bool:
        """Whether the source is an .npz file that holds x, and no array of a named split."""
        if not Npz().fits(source):
            return False
        keys = npz_keys(source)
        return "x" in keys and all(find_word(split, keys, source) is None for split in SPLITS)

    def has(self, source: str, split: str) -> bool:
        """True: the file serves as any split."""
        return True

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """The arrays x and y; the labels may be missing."""
        return read_npz_split(source, "x", "y", "w", task=task)


def npz_keys(source: str) -> list[str]:
    """Names of the arrays in an .npz file; raises DataError if it cannot be read."""
    with guarded(source):
        with Path(source).open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        if not head.startswith(b"PK"):
            refuse_foreign(source, head, "an .npz file")
        with zipfile.ZipFile(source) as archive:
            return [name[:-4] for name in archive.namelist() if name.endswith(".npy")]


def read_npz_split(
    source: str,
    inputs_key: str,
    labels_key: str,
    weights_key: str = "",
    *,
    name: str | None = None,
    task: Task | None = "classification",
) -> Split:
    """A Split of two arrays of an .npz file; without labels if that array is missing.

    Args:
        source: the file.
        inputs_key: name of the inputs.
        labels_key: name of the labels.
        weights_key: name of the weights, which may be missing.
        name: what messages call the file; None: `source`.
        task: what the labels are.

    Raises:
        DataError: the inputs are missing, or an array cannot be read or does not make a Split.
    """
    keys = npz_keys(source)
    inputs_file, labels_file, weights_file = (
        f"{name or source} ({key})" for key in (inputs_key, labels_key, weights_key)
    )
    if inputs_key not in keys:
        raise DataError(
            f"{name or source} holds no array {inputs_key}; it holds {listed(keys)}; "
            f"{renaming(source, keys, (inputs_key, labels_key))}"
        )
    with guarded(name or source), zipfile.ZipFile(source) as archive:
        inputs = _read_member(archive, inputs_key, inputs_file, in_parts=is_wanted())
        labels = _read_member(archive, labels_key, labels_file) if labels_key in keys else None
        weights = _read_member(archive, weights_key, weights_file) if weights_key in keys else None
    files = inputs_file, labels_file
    return make_split(inputs, labels, *files, task=task, weights=weights, weights_file=weights_file)


def _read_member(archive: zipfile.ZipFile, key: str, file: str, *, in_parts: bool = False) -> npt.NDArray[Any]:
    with guarded(file):
        member = archive.getinfo(f"{key}.npy")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Python decompresses the others in one go, whatever size they reach.
            raise DataError(f"{file} is compressed by method {member.compress_type}; save it by np.savez_compressed.")
        with archive.open(member) as stream:
            header = read_header(stream, file)
            check_size(file, member.file_size - stream.tell(), header.num_bytes)
            check_ratio(file, member.compress_size, header.num_bytes)
            if in_parts and can_be_read_in_parts(header):
                return open_rows(str(archive.filename), key, file, header)
            flat = np.frombuffer(read_exactly(stream, header.num_bytes, file=file), dtype=header.dtype)
        return np.ascontiguousarray(flat.reshape(header.shape, order="F" if header.by_columns else "C"))
