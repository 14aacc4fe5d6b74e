"""A thread that takes what a job prints, and the standard streams of this process, to which it passes that on."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable
from typing import IO

from dpnet.launch.say import say

CHUNK_BYTES = 65536
PAUSE_S = 0.2
"""Seconds after which the rest of what has come in part is not waited for any more."""
SILENCE_S = 1.0


class Reading:
    """Reads a stream of the job in a thread of its own, until its end.

    Args:
        stream: of mpirun.
        take: gets each piece. If it says that a part of it is kept back, it gets an empty piece when no more has come
            for PAUSE_S; and so it does at the end. Its BrokenPipeError closes the stream, which mpirun notices.
    """

    def __init__(self, stream: IO[bytes], take: Callable[[bytes], bool]) -> None:
        self._stream, self._take = stream, take
        self._pieces, self._is_taking = 0, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait until all is taken.

        A launcher's process on another host may keep the stream open: it is left when nothing has come for SILENCE_S.
        Whoever reads slowly what is passed on is waited for.
        """
        before = -1
        while self._thread.is_alive() and (self._is_taking or before != self._pieces):
            before = self._pieces
            self._thread.join(SILENCE_S)

    def _run(self) -> None:
        descriptor, keeps = self._stream.fileno(), False
        with self._stream, contextlib.suppress(BrokenPipeError):
            while True:
                if keeps and not select.select([descriptor], [], [], PAUSE_S)[0]:
                    keeps = self._give(b"")
                piece = os.read(descriptor, CHUNK_BYTES)
                keeps = self._give(piece)
                if not piece:
                    break

    def _give(self, piece: bytes) -> bool:
        self._is_taking = True
        try:
            return self._take(piece)
        finally:
            self._pieces += 1
            self._is_taking = False


class StandardOutput:
    """The standard output of this process.

    Args:
        may_fail: it is not the result of the job, which goes on where it cannot be written any more.

    Attributes:
        failure: why what was printed is lost; empty: it is not.
    """

    def __init__(self, *, may_fail: bool) -> None:
        self._may_fail, self.failure = may_fail, ""

    def write(self, data: bytes) -> None:
        """Pass data on.

        Raises:
            BrokenPipeError: its reader wants no more, as `head` does, and it may not fail.
        """
        if self.failure:
            return
        try:
            write_all(1, data)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and not self._may_fail:
                raise
            self.failure = error.strerror or str(error)
            if self._may_fail:
                say(f"cannot write to standard output: {self.failure}; the training goes on")


def to_standard_error(data: bytes) -> None:
    """Pass data on to the standard error of this process, if that can be written."""
    with contextlib.suppress(OSError):  # Its reader is gone: the job must go on.
        write_all(2, data)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all data, however slowly they are read."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # Whoever shares the stream has set it so.
            select.select([], [descriptor], [])
