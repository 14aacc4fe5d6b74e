"""Passes a job's stderr on, with a sentence in front of mpirun's own pages, and keeps the last error in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO

from dpnet.launch.pages import Pages
from dpnet.launch.reading import CHUNK_BYTES, Reading
from dpnet.launch.say import say

PREEMPTED = "Preempted: "
"""How the line begins with which ranks end that were asked to: the exit code of what started them may be another."""
_ERROR = re.compile(rf"\b(?:\w+Error: |{PREEMPTED}).*")
_BY_RANK = re.compile(r" \(rank \d+, [^()]*\)$")
_CRASH = re.compile(r"^\[\S+\] \[ *\d+\] .*\bP?MPI_Init")
"""A call of MPI's initialisation, among those that Open MPI lists when a signal kills a rank."""
_NOISE = re.compile(rb"^\[warn\] Epoll [A-Z]+\(\d+\) on fd \d+ failed\..*: Bad file descriptor\n", re.MULTILINE)
"""What a library of Open MPI's mpirun may print when it closes the streams of ranks that have ended."""


class ErrorLine:
    """The last line `SomeError: ...`, or `Preempted: ...`, of a stream that is passed on.

    Args:
        stream: the job's stderr.
        write: passes it on.

    Attributes:
        crashed_at_start: a signal has killed a rank inside the initialisation of MPI.
    """

    def __init__(self, stream: IO[bytes], write: Callable[[bytes], None]) -> None:
        self._write, self._pages = write, Pages()
        self._last: str | None = None
        self.crashed_at_start = False
        self._line = self._noise = b""
        self._reading = Reading(stream, self._take)

    def close(self, *, succeeded: bool) -> str | None:
        """Wait for the end of the stream; returns the last error, without the rank that printed it.

        Args:
            succeeded: the job has; what mpirun's libraries have printed meanwhile had no effect then.
        """
        self._reading.close()
        if self._noise and not succeeded:
            self._write(self._noise)
        return self._last

    def _take(self, data: bytes) -> bool:
        self._noise += b"".join(_NOISE.findall(data))
        for part in self._pages.feed(_NOISE.sub(b"", data) if data else data):
            if isinstance(part, str):
                say(part)
            else:
                self._search(part)
                self._write(part)
        if not data:
            self._search(b"\n")
        return self._pages.holds

    def _search(self, data: bytes) -> None:
        *lines, rest = (self._line + data).split(b"\n")
        for line in (line.decode(errors="replace") for line in lines):
            self._last = find_error(line) or self._last
            self.crashed_at_start |= _CRASH.match(line) is not None
        self._line = rest[-CHUNK_BYTES:]


def find_error(line: str) -> str | None:
    """The error in a line, without the rank; None: there is none."""
    found = _ERROR.search(line)
    return None if found is None else _BY_RANK.sub("", found[0].rstrip())
