"""Arrays of HDF5 files, which h5py reads in a process of its own.

    this process                                  reading process: imports h5py, opens the file
      asks for some data sets  ---------------->    finds them, refuses what leads out of the file
      maps the file itself     <-- offset, type --  plain numbers that lie in one piece
      or fills an array        <-- bytes ---------  what is compressed, in chunks, or text

libhdf5 believes what it reads: a damaged file can crash the process that opens it, or keep it busy for ever. Here only
the reading process ends, which has a limit of processor time, and the file is refused.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from dpnet.data.readers.contents import HEAD_BYTES, refuse_foreign
from dpnet.data.readers.guards import READ_BYTES, check_size, guarded
from dpnet.environment import SAFE_PATH, without_rank
from dpnet.errors import ConfigError, DataError
from dpnet.whereabouts import HERE

ENDINGS = (".h5", ".hdf5", ".he5")
"""How the names of HDF5 files end."""
SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""How the content begins: at byte 0, or behind a block of 512, 1024, 2048, ... bytes of another program."""
MAX_LINE = 1 << 20
"""Most bytes of a line from the reading process."""
KINDS = "biufSU"
"""Kinds of numpy types that the reading process may give."""


def is_hdf5(path: str) -> bool:
    """Whether a file is of HDF5 by its name."""
    return path.lower().endswith(ENDINGS) and os.path.isfile(path)


def list_sets(path: str) -> dict[str, str]:
    """What the data sets of a file hold, in words, by their paths; of very many only the first.

    Raises:
        DataError: the file is damaged, or another kind of file.
        ConfigError: h5py is not installed.
    """
    with Reading(path, {"list": True}) as reading:
        return dict(reading.line()["sets"])


def find_sets(path: str, names: Sequence[str]) -> set[str]:
    """Those of the names that are data sets of a file; raises as `list_sets`."""
    with guarded(path):
        found = os.stat(path)
    return _find_sets(path, tuple(names), (found.st_ino, found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=8)
def _find_sets(path: str, names: tuple[str, ...], _: tuple[int, ...]) -> set[str]:
    """The answer of `find_sets` for a file that has not changed: a process takes its time to start."""
    with Reading(path, {"find": list(names)}) as reading:
        return set(reading.line()["found"])


def read_arrays(path: str, wanted: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Some data sets of a file, which must be there.

    Args:
        path: of the file.
        wanted: their paths in the file.

    Returns:
        each as an array: a read-only np.memmap where plain numbers lie in one piece, else in memory; text as bytes of
        UTF-8.

    Raises:
        DataError: the file is damaged, or a data set leads to another file, or holds what is not read.
        ConfigError: h5py is not installed.
    """
    found = []
    with Reading(path, {"read": list(wanted)}) as reading:
        for name in wanted:
            answer = reading.line()
            dtype, shape = described(answer, f"{path} ({name})")
            if answer["offset"] is None:
                found.append(reading.array(dtype, shape))
            else:
                found.append(mapped(path, name, dtype, shape, int(answer["offset"])))
    return found


def described(answer: Mapping[str, Any], file: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of a data set, as the process says them; raises DataError if no array is such."""
    dtype, shape = np.dtype(answer["dtype"]), tuple(map(int, answer["shape"]))
    if dtype.kind not in KINDS or dtype.itemsize == 0 or min(shape, default=0) < 0:
        raise DataError(f"{file} holds {dtype} of shape {shape}; it is damaged: make or copy it again.")
    return dtype, shape


def mapped(path: str, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> npt.NDArray[Any]:
    """A data set that lies at an offset of its file; raises DataError if the file ends before it."""
    num_bytes = math.prod(shape) * dtype.itemsize
    with guarded(path):
        check_size(f"{path} ({name})", min(os.path.getsize(path) - offset, num_bytes), num_bytes)
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)


class Reading:
    """A reading process, for the time of a with block.

    Args:
        path: of the file.
        order: what it is to do, see `hdf5_process`.
        asked: it will be asked for rows.

    Raises:
        DataError: from any method: the file is damaged or refused.
        ConfigError: likewise: h5py is not installed, or cannot be imported.
    """

    def __init__(self, path: str, order: Mapping[str, Any], *, asked: bool = False) -> None:
        if importlib.util.find_spec("h5py") is None:
            raise ConfigError(f"{path} is an HDF5 file, which h5py reads; install it: pip install 'dpnet[hdf5]'")
        with guarded(path):
            _check_signature(path)
        self._path = path
        code = (
            f"{SAFE_PATH}; import json; sys.path[:] = json.loads(sys.argv[1]); "
            "from dpnet.data.readers.hdf5_process import main; main()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(sys.path), path, json.dumps(order)],
            stdin=subprocess.PIPE if asked else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=without_rank(os.environ),
        )
        HERE.helpers.add(self._process.pid)

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        HERE.helpers.discard(self._process.pid)

    @property
    def _stream(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def line(self) -> dict[str, Any]:
        """The next answer."""
        line = self._stream.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise DataError(answer["error"])
        if "unusable" in answer:
            raise ConfigError(answer["unusable"])
        return answer

    def array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The numbers that follow an answer."""
        found = self._numbers(dtype, shape)
        if answer := self.line():
            raise AssertionError(answer)
        return found

    def rows(self, start: int, stop: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Some rows, which are asked for."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # It has ended: reading says why.
            self._process.stdin.write(f"{start} {stop}\n".encode())
            self._process.stdin.flush()
        return self._numbers(dtype, shape)

    def _numbers(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        data, size = bytearray(), math.prod(shape) * dtype.itemsize
        while len(data) < size:
            piece = self._stream.read(min(READ_BYTES, size - len(data)))
            if not piece:
                raise self._ended()
            data += piece
        return np.frombuffer(data, dtype).reshape(shape)

    def _ended(self) -> DataError:
        """The error for a process that ended without saying why."""
        self._stream.close()  # Otherwise it might wait to write.
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            why = "reading it took far more processor time than so many bytes do"
        elif code == -signal.SIGKILL:
            why = "the process that read it was killed, as when memory runs out"
        else:
            why = f"the process that read it ended with {signal.Signals(-code).name if code < 0 else f'code {code}'}"
        return DataError(f"{self._path} cannot be read: {why}; it seems damaged: make or copy it again.")


def _check_signature(path: str) -> None:
    with Path(path).open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if head.startswith(SIGNATURE):
            return
        refuse_foreign(path, head, "an HDF5 file")
        start, size = 512, os.fstat(stream.fileno()).st_size
        while start < size:
            stream.seek(start)
            if stream.read(len(SIGNATURE)) == SIGNATURE:
                return
            start *= 2
    raise DataError(f"{path} does not start as an HDF5 file does; it is damaged, or of another kind: copy it again.")
