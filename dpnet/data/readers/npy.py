"""Files of numpy: .npy is mapped into memory and so may be larger than it; .npz is read.

numpy reserves all the memory that a header promises before it reads, and its .npz reader knows no other way, so the
header is cut out here, parsed by numpy's own parser, compared with the size of the file, and only then the numbers are
touched. Pickled objects are never loaded: a pickle can run any code.
"""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from dpnet.data.readers.guards import check_ratio, guarded, read_exactly, size_message
from dpnet.data.split import SPLITS, Split, make_split
from dpnet.errors import DataError
from dpnet.text import listed

_HEADER_PARSERS = {(1, 0): (npy_format.read_array_header_1_0, 2), (2, 0): (npy_format.read_array_header_2_0, 4)}
"""By version, with the bytes that hold the length of the header."""
MAX_HEADER_BYTES = 10_000
"""numpy's own limit; but numpy reads the header before it looks."""


class Npz:
    """An .npz file with the arrays x_train, y_train and perhaps x_test, y_test."""

    description = "an .npz file with x_train, y_train and, if there are test samples, x_test, y_test"

    def fits(self, source: str) -> bool:
        """Whether it is a file whose name ends in .npz."""
        return source.endswith(".npz") and os.path.isfile(source)

    def has(self, source: str, split: str) -> bool:
        """Whether the file holds x or y of the split."""
        return not {f"x_{split}", f"y_{split}"}.isdisjoint(npz_keys(source))

    def read(self, source: str, split: str) -> Split:
        """The arrays of the split; the labels may be missing."""
        return read_npz_split(source, f"x_{split}", f"y_{split}")


class BareNpz:
    """An .npz file with one set of samples: x and perhaps y."""

    description = "an .npz file with x and perhaps y"

    def fits(self, source: str) -> bool:
        """Whether it is an .npz file that holds x, and no array of a named split."""
        if not Npz().fits(source):
            return False
        return "x" in npz_keys(source) and not any(Npz().has(source, split) for split in SPLITS)

    def has(self, source: str, split: str) -> bool:
        """True: the file is any split that it is asked for."""
        return True

    def read(self, source: str, split: str) -> Split:
        """The arrays x and y; the labels may be missing."""
        return read_npz_split(source, "x", "y")


class NpyFolder:
    """A folder with x_train.npy, y_train.npy and perhaps x_test.npy, y_test.npy."""

    description = "a folder with x_train.npy, y_train.npy and, if there are test samples, x_test.npy, y_test.npy"

    def fits(self, source: str) -> bool:
        """Whether the folder holds one of these files."""
        return any(self.has(source, split) for split in SPLITS)

    def has(self, source: str, split: str) -> bool:
        """Whether the folder holds x or y of the split."""
        return any(os.path.isfile(Path(source) / f"{name}_{split}.npy") for name in "xy")

    def read(self, source: str, split: str) -> Split:
        """The mapped inputs and the labels of the split; the labels may be missing."""
        inputs, labels = (Path(source) / f"{name}_{split}.npy" for name in "xy")
        if not os.path.exists(inputs):
            raise DataError(f"{inputs} is missing; the folder holds {listed(os.listdir(source))}.")
        y = map_npy(labels) if os.path.exists(labels) else None
        return make_split(map_npy(inputs), y, str(inputs), str(labels))


class NpyFile:
    """One .npy file of inputs without labels."""

    description = "an .npy file of inputs"

    def fits(self, source: str) -> bool:
        """Whether it is a file whose name ends in .npy."""
        return source.endswith(".npy") and os.path.isfile(source)

    def has(self, source: str, split: str) -> bool:
        """True: the file is any split that it is asked for."""
        return True

    def read(self, source: str, split: str) -> Split:
        """All samples of the file, mapped."""
        return make_split(map_npy(Path(source)), None, source, f"a label file beside {source}")


def map_npy(path: Path) -> npt.NDArray[Any]:
    """The array of an .npy file as a read-only np.memmap (an ordinary array if it has no elements).

    Raises:
        DataError: the file cannot be read, holds no plain numbers, is stored by columns, or is not as long as its
            header says.
    """
    with guarded(str(path)):
        with path.open("rb") as stream:
            dtype, shape, by_columns = _read_header(stream, str(path))
            offset = stream.tell()
            found = os.fstat(stream.fileno()).st_size - offset
        promised = math.prod(shape) * dtype.itemsize
        if found != promised:
            raise DataError(size_message(str(path), found, promised))
        if by_columns and len(shape) > 1:
            # The numbers of one sample lie far apart: a row could only be had by reading all the file.
            raise DataError(
                f"{path} is stored by columns (Fortran order), so its rows cannot be mapped; "
                "save it by rows: np.save(path, np.ascontiguousarray(x))."
            )
        if promised == 0:
            return np.empty(shape, dtype=dtype)
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)


def npz_keys(source: str) -> list[str]:
    """Names of the arrays in an .npz file; raises DataError if it cannot be read."""
    with guarded(source), zipfile.ZipFile(source) as archive:
        return [name[:-4] for name in archive.namelist() if name.endswith(".npy")]


def read_npz_split(source: str, inputs_key: str, labels_key: str, *, name: str | None = None) -> Split:
    """The two arrays of an .npz file, the labels being None where they are missing.

    Args:
        source: the file.
        inputs_key: name of the inputs.
        labels_key: name of the labels.
        name: what messages call the file; None: `source`.

    Raises:
        DataError: the inputs are missing, or an array cannot be read or does not make a Split.
    """
    keys = npz_keys(source)
    inputs_file, labels_file = (f"{name or source} ({key})" for key in (inputs_key, labels_key))
    if inputs_key not in keys:
        found = listed(keys)
        raise DataError(f"{name or source} holds no array {inputs_key}; it holds {found}; name it so.")
    with guarded(name or source), zipfile.ZipFile(source) as archive:
        inputs = _read_member(archive, inputs_key, inputs_file)
        labels = _read_member(archive, labels_key, labels_file) if labels_key in keys else None
    return make_split(inputs, labels, inputs_file, labels_file)


def _read_member(archive: zipfile.ZipFile, key: str, file: str) -> npt.NDArray[Any]:
    with guarded(file):
        member = archive.getinfo(f"{key}.npy")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Python decompresses the others in one go, however large they become.
            raise DataError(f"{file} is compressed by method {member.compress_type}; save it by np.savez_compressed.")
        with archive.open(member) as stream:
            dtype, shape, by_columns = _read_header(stream, file)
            found, promised = member.file_size - stream.tell(), math.prod(shape) * dtype.itemsize
            if found != promised:
                raise DataError(size_message(file, found, promised))
            check_ratio(file, member.compress_size, promised)
            flat = np.frombuffer(read_exactly(stream, promised, file=file), dtype=dtype)
        return np.ascontiguousarray(flat.reshape(shape, order="F" if by_columns else "C"))


def _read_header(stream: IO[bytes], file: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Type, shape, and whether the array is stored by columns; leaves `stream` at the first number."""
    version = npy_format.read_magic(stream)
    if version not in _HEADER_PARSERS:
        raise DataError(f"{file} has the .npy version {version}; expected 1 or 2, for plain numbers; save it again.")
    parser, length_bytes = _HEADER_PARSERS[version]
    length = stream.read(length_bytes)
    num_bytes = int.from_bytes(length, "little")
    if num_bytes > MAX_HEADER_BYTES:
        raise DataError(
            f"{file} has a header of {num_bytes} bytes; expected at most {MAX_HEADER_BYTES}; save it again."
        )
    text = length + stream.read(num_bytes)
    try:
        with warnings.catch_warnings():
            # numpy warns where a file is from Python 2; it reads it all the same.
            warnings.simplefilter("ignore")
            shape, by_columns, dtype = parser(io.BytesIO(text))
    except MemoryError as error:
        # So Python's parser says that an expression is too deep.
        raise DataError(f"{file} has a header that is too complex; it is damaged: make or copy it again.") from error
    if dtype.kind not in "biufcSUmM":
        raise DataError(
            f"{file} holds elements of type {dtype}; expected plain numbers: pickled objects and records are not read; "
            "save x.astype(float) or y.astype(int)."
        )
    if any(size < 0 for size in shape):
        raise DataError(f"{file} has a header with the shape {shape}; it is damaged: make or copy it again.")
    if dtype.itemsize == 0:
        # numpy would make elements of 1 byte, of which the file has none.
        raise DataError(f"{file} has a header with elements of 0 bytes; it is damaged: make or copy it again.")
    return dtype, shape, by_columns
