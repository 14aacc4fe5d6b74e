"""Rows of an array in an .npz file that may be larger than memory: read forward, a part at a time.

A zip file has one checksum for the whole of an array, compressed or not, and it is compared only at its end. So rows
are never reached by a seek: what lies before them is read as well, and whoever reads the last row has seen every byte.
A conversion writes its manifest after that.
"""

from __future__ import annotations

import contextlib
import weakref
import zipfile
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from dpnet.data.in_parts import InParts
from dpnet.data.readers.guards import READ_BYTES, guarded
from dpnet.data.readers.npy import Header, read_header
from dpnet.errors import DataError


class NpzRows(InParts):
    """The rows of an array in an .npz file, which is open as long as this object is there.

    Args:
        source: the file.
        key: name of the array.
        file: what messages call it.
        header: of the array, whose numbers lie row by row.
    """

    forward = True

    def __init__(self, source: str, key: str, file: str, header: Header) -> None:
        super().__init__(header.dtype, header.shape, 1)
        self._source, self._member, self._file = source, f"{key}.npy", file
        self._size, self._row_bytes = header.num_bytes, header.num_bytes // header.shape[0]
        self._open = contextlib.ExitStack()
        self._stream: IO[bytes] | None = None
        self._at = 0
        weakref.finalize(self, self._open.close)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """See InParts.read; raises DataError if the file is damaged."""
        first, size = start * self._row_bytes, (stop - start) * self._row_bytes
        with guarded(self._file):
            stream, self._stream = self._stream, None  # After an error it would be anywhere.
            if stream is None or first < self._at:
                stream = self._begin()
            while self._at < first:
                self._next(stream, first - self._at)
            data = bytearray()
            while len(data) < size:
                data += self._next(stream, size - len(data))
            self._stream = stream
        return np.frombuffer(data, self.dtype).reshape(stop - start, -1)

    def _begin(self) -> IO[bytes]:
        """The file, open at the first row."""
        self._open.close()
        archive = self._open.enter_context(zipfile.ZipFile(self._source))
        stream = self._open.enter_context(archive.open(self._member))
        read_header(stream, self._file)
        self._at = 0
        return stream

    def _next(self, stream: IO[bytes], most: int) -> bytes:
        """The next bytes, one or more; with the last of them their checksum is compared."""
        piece = stream.read(min(most, READ_BYTES))
        if not piece:
            raise DataError(
                f"{self._file} ends after {self._at} bytes, but its header promises {self._size}; it is damaged, or "
                "has changed meanwhile: copy or download it again."
            )
        self._at += len(piece)
        return piece


def can_be_read_in_parts(header: Header) -> bool:
    """Whether an array has rows of numbers, one after the other."""
    rows = len(header.shape) > 1 and not header.by_columns
    return rows and header.num_bytes > 0 and header.dtype.kind in "biuf"


def open_rows(source: str, key: str, file: str, header: Header) -> npt.NDArray[Any]:
    """The rows of an array of an .npz file that `can_be_read_in_parts`, in the place of the array; see NpzRows."""
    return cast(npt.NDArray[Any], NpzRows(source, key, file, header))
