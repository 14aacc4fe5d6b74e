"""Text of svmlight and libsvm, line by line: scikit-learn parses the lines, and this checks what it would overlook."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import check_memory, guarded, memory
from dpnet.errors import ConfigError, DataError
from dpnet.text import counted, shorten

PACKED = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
"""Which module of Python opens a compressed file, by its ending."""
MAX_LINE = 1 << 26
"""Most bytes of a line."""
ENTRY_BYTES = 16
"""Memory of an INDEX:VALUE pair while the file is parsed."""
BOM = b"\xef\xbb\xbf"
"""With which some programs begin text of UTF-8."""
LINE = re.compile(rb"[-+]?[\d.][\d.eE+-]*(,[-+\d.]+)*(\s+qid:\d+)?(\s+\d+:[-+\d.][\d.eE+-]*)+\s*(#.*)?")


class Parsed(NamedTuple):
    """What a file holds.

    Attributes:
        labels: (rows,) float64; of `parse` with `several`, 0.
        sets: (rows) the labels of each, in rising order, of `parse` with `several`.
        values: (entries,) float64, of all rows.
        indices: (entries,) int64, as they stand in the file, rising in each row.
        starts: (rows + 1,) int64, where each row begins among the entries.
        lines: (rows,) int64, of the file, from 1.
        groups: number of lines with qid.
    """

    labels: npt.NDArray[np.float64]
    sets: Sequence[tuple[float, ...]]
    values: npt.NDArray[np.float64]
    indices: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    groups: int

    def line(self, entry: int) -> int:
        """The line of an entry."""
        return int(self.lines[np.searchsorted(self.starts, entry, side="right") - 1])


def parse(path: str, *, several: bool = False) -> Parsed:
    """What a file holds.

    Args:
        path: of the file.
        several: a line may have several labels, 1,3,7, or none, and begin with its first pair.

    Raises:
        DataError: the file cannot be read, or a line is not of the format.
        ConfigError: scikit-learn is not installed.
    """
    try:
        load = importlib.import_module("sklearn.datasets").load_svmlight_file
    except ImportError as error:
        raise ConfigError(
            f"{path} is svmlight text, which scikit-learn reads; install it: pip install 'dpnet[svmlight]'"
        ) from error
    with guarded(path), _opened(path) as stream:
        lines = _Lines(path, stream, several=several)
        try:
            matrix, labels = load(lines, dtype=np.float64, zero_based=True, multilabel=several)
        except (ValueError, OverflowError) as error:
            seen = f"{path}, line {lines.number} is {shorten(repr(lines.text), 40)}: {str(error).rstrip('.')}"
            raise DataError(
                f"{seen}. Expected a label and pairs INDEX:VALUE with rising indices, 1 3:0.5 7:2 for example."
            ) from error
    if not len(labels) or not matrix.nnz:
        raise DataError(
            f"{path} holds {counted(len(labels), 'sample')} with {counted(matrix.nnz, 'feature')}; expected both."
        )
    starts, indices = (np.asarray(part, np.int64) for part in (matrix.indptr, matrix.indices))
    sets, labels = (labels, np.zeros(len(labels))) if several else ((), labels)
    return Parsed(labels, sets, matrix.data, indices, starts, np.asarray(lines.numbers), lines.groups)


class _Lines:
    """The lines of a file that hold samples, without their comments.

    Attributes:
        number: of the line that was given last, from 1.
        numbers: of all lines that were given.
        text: the line that was given last.
        groups: number of lines with qid.
    """

    def __init__(self, path: str, stream: IO[bytes], *, several: bool) -> None:
        self._path, self._stream, self._several = path, stream, several
        self.number, self.numbers, self.text, self.groups = 0, array("q"), "", 0

    def read(self) -> bytes:
        """Only shows scikit-learn that this is a stream."""
        raise AssertionError

    def __iter__(self) -> Iterator[bytes]:
        entries, most = 0, memory() // ENTRY_BYTES
        while raw := self._stream.readline(MAX_LINE):
            self.number += 1
            line = raw.removeprefix(BOM) if self.number == 1 else raw
            line = line.partition(b"#")[0].strip()
            if not line:
                continue
            self._check(raw, line)
            self.numbers.append(self.number)
            entries += line.count(b":")
            if entries > most:
                check_memory(self._path, entries * ENTRY_BYTES, f"{entries:,} values")
            yield line

    def _check(self, raw: bytes, line: bytes) -> None:
        """Refuse what scikit-learn would take for something else."""
        self.text = line[:80].decode(errors="replace")
        where = f"{self._path}, line {self.number}"
        if len(raw) == MAX_LINE:
            raise DataError(f"{where} is longer than {MAX_LINE >> 20} MiB; expected the label and values of a sample.")
        if b"\0" in line or b"_" in line:
            seen = "a zero byte" if b"\0" in line else "an underscore"
            raise DataError(f"{where} holds {seen}; expected a label and pairs INDEX:VALUE of plain numbers.")
        label, *rest = line.split(None, 2)
        self.groups += any(part.startswith(b"qid:") for part in ([label, *rest] if self._several else rest)[:2])
        if self._several:
            return
        if b":" in label:
            raise DataError(f"{where} has no label before its first pair; expected one, 0 where it is not known.")
        if b"," in label:
            seen = shorten(repr(label.decode(errors="replace")), 20)
            raise DataError(
                f"{where} has several labels, {seen}; expected one. Where each sample may have several: model.task = "
                '"multilabel".'
            )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """The text of a file, unpacked."""
    module = next((module for ending, module in PACKED.items() if path.lower().endswith(ending)), None)
    with contextlib.ExitStack() as stack:
        stream: Any = stack.enter_context(Path(path).open("rb"))
        if module is not None:
            stream = stack.enter_context(importlib.import_module(module).open(stream))
            stream = stack.enter_context(io.BufferedReader(stream))
        refuse_foreign(path, stream.peek(HEAD_BYTES)[:HEAD_BYTES], "svmlight text")
        yield stream


def begins_so(path: str) -> bool:
    """Whether the first line of a file with something in it is of this format."""
    try:
        with guarded(path), _opened(path) as stream:
            lines = stream.read(1 << 16).removeprefix(BOM).splitlines(keepends=True)
    except DataError:
        return False
    first = next((line for line in lines if not re.fullmatch(rb"\s*(#.*)?\s*", line)), b"")
    if not first.endswith((b"\n", b"\r")) and len(lines) > 1:
        return False
    # The last pair of a line that is longer than what was read may be cut.
    whole = first if first.endswith((b"\n", b"\r")) else first.rpartition(b" ")[0] or first
    return LINE.fullmatch(whole.rstrip()) is not None or LINE.fullmatch(first.rstrip()) is not None
