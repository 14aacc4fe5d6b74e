"""Files of numpy with one array, .npy: mapped into memory, so a file may be larger than memory.

numpy allocates all the memory that a header promises before it reads. So the header is cut out here, parsed by numpy's
own parser and compared with the size of the file before any number is read; `npz` does the same with each array of its
archive. Pickled objects are never loaded: a pickle can run any code.
"""

from __future__ import annotations

import io
import math
import os
import re
import warnings
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from dpnet.config.model import Task
from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import check_size, guarded
from dpnet.data.readers.names import find_word
from dpnet.data.split import SPLITS, Split, make_split
from dpnet.errors import DataError
from dpnet.text import listed

_HEADER_PARSERS = {(1, 0): (npy_format.read_array_header_1_0, 2), (2, 0): (npy_format.read_array_header_2_0, 4)}
"""By version, with the number of bytes that hold the length of the header."""
MAX_HEADER_BYTES = 10_000
"""numpy's own limit, which numpy checks only after it has read the header."""


class NpyFolder:
    """A folder with x_train.npy, y_train.npy and perhaps x_test.npy, x_validation.npy, ...; w_train.npy are weights."""

    description = "a folder of .npy files: x_train.npy, y_train.npy and, to test with, x_test.npy, y_test.npy"

    def fits(self, source: str) -> bool:
        """Whether the folder holds one of these files."""
        return any(self.has(source, split) for split in SPLITS)

    def has(self, source: str, split: str) -> bool:
        """Whether the folder holds x or y of the split."""
        return find_word(split, _names(source), source) is not None

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """The mapped inputs and the labels of the split; the labels may be missing."""
        word = find_word(split, _names(source), source) or split
        inputs, labels, weights = (Path(source) / f"{name}_{word}.npy" for name in "xyw")
        if not os.path.exists(inputs):
            raise DataError(f"{inputs} is missing; the folder holds {listed(os.listdir(source))}.")
        return _split(inputs, labels, weights, task)


def _names(folder: str) -> set[str]:
    """The names of the .npy files in a folder, without their ending."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return {name[:-4] for name in names if name.endswith(".npy") and os.path.isfile(Path(folder) / name)}


class NpyFile:
    """One .npy file of inputs. Labels are in the file beside it: y_new.npy of x_new.npy; weights in w_new.npy."""

    description = "an .npy file of inputs; of x_NAME.npy, the labels are in y_NAME.npy beside it"

    def fits(self, source: str) -> bool:
        """Whether the source is a file whose name ends in .npy."""
        return source.endswith(".npy") and os.path.isfile(source)

    def has(self, source: str, split: str) -> bool:
        """True: the file serves as any split."""
        return True

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """All samples of the file, mapped; the labels may be missing."""
        inputs = Path(source)
        if not re.fullmatch(r"x([-_.].*)?\.npy", inputs.name):
            return make_split(map_npy(inputs), None, source, "")
        labels, weights = (inputs.with_name(f"{name}{inputs.name[1:]}") for name in "yw")
        return _split(inputs, labels, weights, task)


def _split(inputs: Path, labels: Path, weights: Path, task: Task | None) -> Split:
    """The mapped inputs, with the labels and the weights that there are."""
    y, w = (map_npy(path) if path.exists() else None for path in (labels, weights))
    return make_split(map_npy(inputs), y, str(inputs), str(labels), task=task, weights=w, weights_file=str(weights))


class Header(NamedTuple):
    """What a header promises of the numbers that follow."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    by_columns: bool

    @property
    def num_bytes(self) -> int:
        """Bytes of all numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def map_npy(path: Path) -> npt.NDArray[Any]:
    """The array of an .npy file as a read-only np.memmap (an ordinary array if it has no elements).

    Raises:
        DataError: the file cannot be read, holds no plain numbers, is stored by columns, or is not as long as its
            header says.
    """
    with guarded(str(path)):
        with path.open("rb") as stream:
            head = stream.peek(HEAD_BYTES)
            if not head.startswith(npy_format.MAGIC_PREFIX):
                refuse_foreign(str(path), head, "an .npy file")
            header = read_header(stream, str(path))
            offset = stream.tell()
            check_size(str(path), os.fstat(stream.fileno()).st_size - offset, header.num_bytes)
        if header.by_columns and len(header.shape) > 1:
            # The numbers of one sample lie far apart: reading a row would read the whole file.
            raise DataError(
                f"{path} is stored by columns (Fortran order), so its rows cannot be mapped; "
                "save it by rows: np.save(path, np.ascontiguousarray(x))."
            )
        if header.num_bytes == 0:
            return np.empty(header.shape, dtype=header.dtype)
        return np.memmap(path, dtype=header.dtype, mode="r", offset=offset, shape=header.shape)


def read_header(stream: IO[bytes], file: str) -> Header:
    """The header of an array; leaves `stream` at the first number.

    Raises:
        DataError: the header is damaged, or the array holds no plain numbers. Other errors come from damaged bytes:
            call within `guarded`.
    """
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
            # numpy reads a file from Python 2, but warns.
            warnings.simplefilter("ignore")
            shape, by_columns, dtype = parser(io.BytesIO(text))
    except MemoryError as error:
        # Python's parser raises it for an expression that is nested too deeply.
        raise DataError(f"{file} has a header that is too complex; it is damaged: make or copy it again.") from error
    if dtype.kind not in "biufcSUmM":
        raise DataError(
            f"{file} holds elements of type {dtype}; expected plain numbers: pickled objects and records are not read; "
            "save x.astype(float) or y.astype(int)."
        )
    if any(size < 0 for size in shape):
        raise DataError(f"{file} has a header with the shape {shape}; it is damaged: make or copy it again.")
    if dtype.itemsize == 0:
        # numpy would make elements of 1 byte, which the file does not have.
        raise DataError(f"{file} has a header with elements of 0 bytes; it is damaged: make or copy it again.")
    return Header(dtype, shape, by_columns)
