"""IDX files, the format of the MNIST database (Y. LeCun, C. Cortes, C. Burges), gzip-compressed or not.

    bytes 0, 1   0
    byte  2      type: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
    byte  3      number of dimensions
    then         each dimension, 4 bytes unsigned
    then         the numbers in C order

All are big endian.

Several data sets come in this format, under names that follow those of MNIST:

    train-images-idx3-ubyte, t10k-labels-idx1-ubyte    MNIST, Fashion-MNIST, Kuzushiji-MNIST
    train-images.idx3-ubyte                            MNIST from Kaggle, where a folder train-images-idx3-ubyte lies
                                                       beside it that holds the file once more
    emnist-letters-train-images-idx3-ubyte, ...-test-  EMNIST: six sets in one folder
    qmnist-train-labels-idx2-int                       QMNIST: a label is a row of 8 numbers, of which the first is the
                                                       class and the others tell writer and origin

Numbers are taken as they are stored. So the images of EMNIST, which NIST wrote column by column, remain transposed, as
they do in torchvision and TensorFlow Datasets; and its letters keep the labels 1 to 26 of its mapping file.
"""

from __future__ import annotations

import gzip
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from dpnet.config.model import Task
from dpnet.data.readers.contents import GZIP, HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import check_ratio, check_size, guarded, read_exactly
from dpnet.data.split import NAMES, Split, make_split
from dpnet.errors import DataError
from dpnet.text import listed

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
WORDS = {**NAMES, "test": ("t10k", "test")}
"""What stands for a split in the names of files; the first is taken where there are several."""
_SUFFIX = r"[-.]idx\d-\w+(\.gz)?"
_NAME = re.compile(rf"(?:(?P<set>.+)-)?(?P<word>train|t10k|test|validation|val|valid)-(?P<what>images|labels){_SUFFIX}")


@dataclass(frozen=True)
class _Entry:
    """A file of a folder that is named as in MNIST.

    Attributes:
        of: name of the data set, "" if the name has none.
        word: "train", "t10k" or another one of WORDS.
        what: "images" or "labels".
        path: of the file.
        rank: the file with the least is read: rather a file than one within a folder, rather one that is not
            compressed.
    """

    of: str
    word: str
    what: str
    path: Path
    rank: tuple[int, bool]


class IdxFolder:
    """A folder with the files of MNIST, or with other data under such names.

    Where a folder holds several data sets, FOLDER/NAME is the one whose files begin with NAME.
    """

    description = "a folder of IDX files: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-..., also with .gz"

    def fits(self, source: str) -> bool:
        """Whether the source is a folder that holds a file named as in MNIST, or one data set in such a folder."""
        return bool(_entries(source))

    def has(self, source: str, split: str) -> bool:
        """Whether there are images or labels of the split."""
        return any(entry.word in WORDS[split] for entry in _one_set(source))

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """The images and labels of the split; the labels may be missing."""
        entries = _one_set(source)
        images, labels = (_find(entries, split, what) for what in ("images", "labels"))
        start = f"{entries[0].of}-" if entries[0].of else ""
        word = next((entry.word for entry in entries if entry.word in WORDS[split]), WORDS[split][0])
        if images is None:
            folder = _place(source)[0]
            raise DataError(
                f"{folder} has no file {start}{word}-images-idx3-ubyte or the same with .gz; "
                f"it holds {listed(os.listdir(folder))}."
            )
        labels_file = labels or Path(_place(source)[0]) / f"{start}{word}-labels-idx1-ubyte"
        numbers = None if labels is None else _labels(labels)
        return make_split(read_idx(images), numbers, str(images), str(labels_file), task=task)


class IdxFile:
    """One IDX file of inputs. Where it is named as in MNIST, the labels are those of its folder."""

    description = "an IDX file of inputs: NAME-idx3-ubyte, also with .gz"

    def fits(self, source: str) -> bool:
        """Whether the source is a file that is named like an IDX file."""
        return os.path.isfile(source) and re.search(f"{_SUFFIX}$", source) is not None

    def has(self, source: str, split: str) -> bool:
        """True: the file serves as any split."""
        return True

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """All samples of the file; the labels may be missing."""
        inputs, folder = Path(source), os.path.dirname(source) or "."
        named = _NAME.fullmatch(inputs.name)
        if named is None or named["what"] != "images":
            return make_split(read_idx(inputs), None, source, "")
        beside = [entry for entry in _entries(folder) if (entry.of, entry.word) == (named["set"] or "", named["word"])]
        labels = min((entry for entry in beside if entry.what == "labels"), key=lambda entry: entry.rank, default=None)
        expected = inputs.with_name(f"{inputs.name.partition('images')[0]}labels-idx1-ubyte")
        if labels is None:
            return make_split(read_idx(inputs), None, source, str(expected))
        return make_split(read_idx(inputs), _labels(labels.path), source, str(labels.path), task=task)


def read_idx(path: Path) -> npt.NDArray[Any]:
    """The array of an IDX file, in the byte order of this machine.

    Whether the file is compressed is seen from its first bytes: browsers unpack files, and keep the name.

    Raises:
        DataError: the file cannot be read, is not an IDX file, or is not as long as its header says.
    """
    with guarded(str(path)), path.open("rb") as file:
        compressed = file.peek(2)[:2] == GZIP
        stream = _unpacked(file) if compressed else file
        dtype, shape = _read_header(stream, path)
        num_bytes, on_disk = math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size
        if compressed:
            check_ratio(str(path), on_disk, num_bytes)
        else:
            check_size(str(path), on_disk - stream.tell(), num_bytes)
        data = read_exactly(stream, num_bytes, file=str(path))
        return np.frombuffer(data, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file))


def _read_header(stream: IO[bytes], path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        refuse_foreign(str(path), magic + stream.read(HEAD_BYTES), "an IDX file")
        raise DataError(
            f"{path} starts with the bytes {magic.hex(' ') or '(none)'}; an IDX file starts with 00 00, a type "
            f"({listed(f'{code:02x}' for code in TYPES)}) and the number of dimensions; give a file of that format."
        )
    dims = stream.read(4 * magic[3])
    if len(dims) < 4 * magic[3]:
        raise DataError(f"{path} ends inside its header; it is truncated: copy or download it again.")
    return np.dtype(TYPES[magic[2]]), tuple(int(size) for size in np.frombuffer(dims, dtype=">u4"))


def _labels(path: Path) -> npt.NDArray[Any]:
    labels = read_idx(path)
    # See the top: only the first column is the class.
    extended = path.name.startswith("qmnist-") and labels.ndim == 2 and labels.shape[1] > 0
    return labels[:, 0] if extended else labels


def _place(source: str) -> tuple[str, str | None]:
    """The folder that a source lies in, and the name of the data set there; None: the only one."""
    if os.path.isdir(source):
        return source, None
    return os.path.dirname(source) or ".", os.path.basename(source)


def _entries(source: str) -> list[_Entry]:
    """The files that a source may mean; none if it is a file itself, or of another kind."""
    folder, name = _place(source)
    if name is not None and (os.path.exists(source) or not os.path.isdir(folder)):
        return []
    with guarded(folder):
        matches = [match for entry in os.listdir(folder) if (match := _NAME.fullmatch(entry))]
    return [_entry(folder, match) for match in matches if name is None or match["set"] == name]


def _entry(folder: str, match: re.Match[str]) -> _Entry:
    path, depth = Path(folder) / match[0], 0
    if path.is_dir():
        inner = path / match[0]
        path, depth = (inner, 1) if inner.is_file() else (path, 2)
    return _Entry(match["set"] or "", match["word"], match["what"], path, (depth, path.suffix == ".gz"))


def _one_set(source: str) -> list[_Entry]:
    """The files of one data set, at least one: of the only one, or of that whose names begin like those of MNIST.

    Raises:
        DataError: there are several.
    """
    entries = _entries(source)
    names = sorted({entry.of for entry in entries})
    if len(names) > 1 and "" not in names:
        ways = " or ".join(f'"{os.path.join(source, name)}"' for name in names)
        raise DataError(f"{source} holds the data sets {listed(names)}; name one of them as the source: {ways}.")
    return [entry for entry in entries if entry.of == names[0]]


def _find(entries: list[_Entry], split: str, what: str) -> Path | None:
    """The file of the split that is read; None if there is none."""
    found = [entry for entry in entries if entry.word in WORDS[split] and entry.what == what]
    return (
        min(found, key=lambda entry: (WORDS[split].index(entry.word), entry.rank, entry.path)).path if found else None
    )
