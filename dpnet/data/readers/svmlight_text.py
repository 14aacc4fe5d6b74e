"""Text of svmlight and libsvm, line by line: scikit-learn parses the lines, and this checks what it would overlook."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import re
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from dpnet.compute.arrays import SampleIds, Vector
from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import check_memory, guarded, memory
from dpnet.data.readers.svmlight_parsed import Found, Parsed
from dpnet.errors import ConfigError, DataError
from dpnet.text import counted, shorten

PACKED = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
"""Which module of Python opens a compressed file, by its ending."""
MAX_LINE = 1 << 26
"""Most bytes of a line."""
NO_END = sys.maxsize
"""Rows or bytes: as many as there are."""
ENTRY_BYTES = 16
"""Memory of an INDEX:VALUE pair while the file is parsed."""
BOM = b"\xef\xbb\xbf"
"""With which some programs begin text of UTF-8."""
LINE = re.compile(rb"[-+]?[\d.][\d.eE+-]*(,[-+\d.]+)*(\s+qid:\d+)?(\s+\d+:[-+\d.][\d.eE+-]*)+\s*(#.*)?")


class WholeText:
    """A file that is read as a whole.

    Args:
        path: of the file.
        several: a line may have several labels, 1,3,7, or none, and begin with its first pair.

    Attributes:
        found: of all rows.

    Raises:
        DataError: the file cannot be read, or a line is not of the format.
        ConfigError: scikit-learn is not installed.
    """

    def __init__(self, path: str, *, several: bool) -> None:
        with guarded(path), opened(path) as stream:
            self._parsed = Lines(path, stream, several=several).parse()
        self._path, self.found = path, Found.of(self._parsed)
        self.found.check(path)

    def indices(self, row: int) -> SampleIds:
        """The indices of a row, in rising order."""
        return self._parsed.indices[slice(*self._parsed.starts[row : row + 2])]

    def inputs(self, first: int, width: int) -> Vector:
        """The rows with all their features, see `Parsed.spread`; raises DataError if they do not fit in memory."""
        rows, features = counted(self.found.rows, "sample"), counted(width, "feature")
        check_memory(self._path, 8 * self.found.rows * width, f"{rows} of {features}, with their zeros,")
        return self._parsed.spread(first, width)


class Lines:
    """The lines of a file that hold samples, without their comments.

    Args:
        path: of the file.
        stream: its text, unpacked.
        several: see WholeText.

    Attributes:
        number: of the line that was given last, from 1.
        numbers: of the lines that were given since the last call of `parse` began.
        text: the line that was given last.
        groups: number of these lines with qid.
        ended: no line is left.
    """

    def __init__(self, path: str, stream: IO[bytes], *, several: bool) -> None:
        self._path, self._stream, self._several = path, stream, several
        self.number, self.numbers, self.text, self.groups, self.ended = 0, array("q"), "", 0, False
        self._rows = self._bytes = NO_END

    def parse(self, *, rows: int = NO_END, most_bytes: int = NO_END) -> Parsed:
        """The next rows, parsed.

        Args:
            rows: how many.
            most_bytes: the row with so many bytes of text is the last.

        Raises:
            DataError: a line is not of the format.
            ConfigError: scikit-learn is not installed.
        """
        try:
            load = importlib.import_module("sklearn.datasets").load_svmlight_file
        except ImportError as error:
            raise ConfigError(
                f"{self._path} is svmlight text, which scikit-learn reads; install it: pip install 'dpnet[svmlight]'"
            ) from error
        self.numbers, self.groups, self._rows, self._bytes = array("q"), 0, rows, most_bytes
        try:
            matrix, labels = load(self, dtype=np.float64, zero_based=True, multilabel=self._several)
        except (ValueError, OverflowError) as error:
            seen = f"{self._path}, line {self.number} is {shorten(repr(self.text), 40)}: {str(error).rstrip('.')}"
            raise DataError(
                f"{seen}. Expected a label and pairs INDEX:VALUE with rising indices, 1 3:0.5 7:2 for example."
            ) from error
        starts, indices = (np.asarray(part, np.int64) for part in (matrix.indptr, matrix.indices))
        sets, labels = (labels, np.zeros(len(labels))) if self._several else ((), labels)
        return Parsed(labels, sets, matrix.data, indices, starts, np.asarray(self.numbers), self.groups)

    def seek(self, offset: int, line: int) -> None:
        """Go to an offset, in bytes; `line` is the number of the line before it."""
        self._stream.seek(offset)
        self.number, self.ended = line, False

    def skip(self, rows: int) -> None:
        """Leave out so many rows, which were parsed before."""
        for _ in itertools.islice(self._samples(), rows):
            pass

    def _samples(self) -> Iterator[tuple[bytes, bytes]]:
        """The lines with samples, as they are, and without comments."""
        while raw := self._stream.readline(MAX_LINE):
            self.number += 1
            line = raw.removeprefix(BOM) if self.number == 1 else raw
            line = line.partition(b"#")[0].strip()
            if line:
                yield raw, line
        self.ended = True

    def read(self) -> bytes:
        """Only shows scikit-learn that this is a stream."""
        raise AssertionError

    def __iter__(self) -> Iterator[bytes]:
        entries, most = 0, memory() // ENTRY_BYTES
        if self._rows == 0:
            return
        for raw, line in self._samples():
            self._check(raw, line)
            self.numbers.append(self.number)
            entries += line.count(b":")
            if entries > most:
                check_memory(self._path, entries * ENTRY_BYTES, f"{entries:,} values")
            yield line
            self._rows, self._bytes = self._rows - 1, self._bytes - len(raw)
            if self._rows <= 0 or self._bytes <= 0:
                return

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


def is_packed(path: str) -> bool:
    """Whether a file is compressed, by its name."""
    return path.lower().endswith(tuple(PACKED))


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
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
        with guarded(path), opened(path) as stream:
            lines = stream.read(1 << 16).removeprefix(BOM).splitlines(keepends=True)
    except DataError:
        return False
    first = next((line for line in lines if not re.fullmatch(rb"\s*(#.*)?\s*", line)), b"")
    if not first.endswith((b"\n", b"\r")) and len(lines) > 1:
        return False
    # The last pair of a line that is longer than what was read may be cut.
    whole = first if first.endswith((b"\n", b"\r")) else first.rpartition(b" ")[0] or first
    return LINE.fullmatch(whole.rstrip()) is not None or LINE.fullmatch(first.rstrip()) is not None
