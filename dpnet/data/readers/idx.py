"""IDX files, the format of the MNIST database (Y. LeCun, C. Cortes, C. Burges), gzip-compressed or not.

    bytes 0, 1   0
    byte  2      type: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
    byte  3      number of dimensions
    then         each dimension, 4 bytes unsigned
    then         the numbers in C order

All are big endian.
"""

from __future__ import annotations

import gzip
import math
import os
import re
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from dpnet.data.readers.guards import check_ratio, check_size, guarded, read_exactly
from dpnet.data.split import Split, make_split
from dpnet.errors import DataError
from dpnet.text import listed

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PREFIXES = {"train": "train", "test": "t10k"}
_SUFFIX = r"[-.]idx\d-\w+(\.gz)?$"


class IdxFolder:
    """A folder with the files of MNIST, or with other data under the same names."""

    description = (
        "a folder of IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-..., with or without .gz)"
    )

    def fits(self, source: str) -> bool:
        """Whether the source is a folder that holds a file named as in MNIST."""
        return os.path.isdir(source) and any(self.has(source, split) for split in PREFIXES)

    def has(self, source: str, split: str) -> bool:
        """Whether the folder holds images or labels of the split."""
        return any(_find(source, split, what) for what in ("images", "labels"))

    def read(self, source: str, split: str) -> Split:
        """The images and labels of the split; the labels may be missing."""
        images, labels = (_find(source, split, what) for what in ("images", "labels"))
        if images is None:
            raise DataError(
                f"{source} has no file {PREFIXES[split]}-images-idx3-ubyte or the same with .gz; "
                f"it holds {listed(os.listdir(source))}."
            )
        labels_file = str(labels or Path(source) / f"{PREFIXES[split]}-labels-idx1-ubyte")
        return make_split(read_idx(images), None if labels is None else read_idx(labels), str(images), labels_file)


class IdxFile:
    """One IDX file of inputs without labels."""

    description = "an IDX file of inputs (NAME-idx3-ubyte, may end in .gz)"

    def fits(self, source: str) -> bool:
        """Whether the source is a file that is named like an IDX file."""
        return os.path.isfile(source) and re.search(_SUFFIX, source) is not None

    def has(self, source: str, split: str) -> bool:
        """True: the file serves as either split."""
        return True

    def read(self, source: str, split: str) -> Split:
        """All samples of the file."""
        return make_split(read_idx(Path(source)), None, source, f"a label file beside {source}")


def read_idx(path: Path) -> npt.NDArray[Any]:
    """The array of an IDX file, in the byte order of this machine.

    Raises:
        DataError: the file cannot be read, is not an IDX file, or is not as long as its header says.
    """
    with guarded(str(path)), _open(path) as stream:
        dtype, shape = _read_header(stream, path)
        num_bytes = math.prod(shape) * dtype.itemsize
        if path.suffix != ".gz":
            check_size(str(path), os.fstat(stream.fileno()).st_size - stream.tell(), num_bytes)
        else:
            check_ratio(str(path), path.stat().st_size, num_bytes)
        data = read_exactly(stream, num_bytes, file=str(path))
        return np.frombuffer(data, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _read_header(stream: IO[bytes], path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise DataError(
            f"{path} starts with the bytes {magic.hex(' ') or '(none)'}; an IDX file starts with 00 00, a type "
            f"({listed(f'{code:02x}' for code in TYPES)}) and the number of dimensions; give a file of that format."
        )
    dims = stream.read(4 * magic[3])
    if len(dims) < 4 * magic[3]:
        raise DataError(f"{path} ends inside its header; it is truncated: copy or download it again.")
    return np.dtype(TYPES[magic[2]]), tuple(int(size) for size in np.frombuffer(dims, dtype=">u4"))


def _find(folder: str, split: str, what: str) -> Path | None:
    """The file of the split in the folder, an uncompressed one if there are several; None if there is none."""
    name = re.compile(f"{PREFIXES[split]}-{what}{_SUFFIX}")
    with guarded(folder):
        found = sorted(entry for entry in os.listdir(folder) if name.match(entry))
    return Path(folder) / min(found, key=lambda entry: entry.endswith(".gz")) if found else None
