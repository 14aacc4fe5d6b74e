"""Copies a job's stderr to our own, or above the footer of a terminal, and keeps the last error in it."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import IO

from dpnet.output.terminal import Terminal

CHUNK_BYTES = 65536
_ERROR = re.compile(r"\b\w+Error: .*")
_BY_RANK = re.compile(r" \(rank \d+, [^()]*\)$")


class ErrorLine:
    """The last line `SomeError: ...` of a stream that is copied.

    Args:
        stream: the job's stderr.
        terminal: that our own stderr leads to; None: it leads elsewhere.
    """

    def __init__(self, stream: IO[bytes], terminal: Terminal | None = None) -> None:
        self._stream, self._terminal = stream, terminal
        self._last: str | None = None
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def close(self) -> str | None:
        """Wait for the end of the stream; returns the last error, without the rank that printed it."""
        # With a time limit: a launcher's process on another host may keep the stream open.
        self._thread.join(1)
        return self._last

    def _copy(self) -> None:
        with self._stream:
            self._copy_all()

    def _copy_all(self) -> None:
        rest = b""
        while chunk := os.read(self._stream.fileno(), CHUNK_BYTES):
            with contextlib.suppress(OSError):  # The reader of our stderr is gone: the job must go on.
                if self._terminal is None:
                    _write(chunk)
                else:
                    self._terminal.write(chunk, self._terminal.stream)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._search(line)
            rest = rest[-CHUNK_BYTES:]
        self._search(rest)

    def _search(self, line: bytes) -> None:
        self._last = find_error(line.decode(errors="replace")) or self._last


def find_error(line: str) -> str | None:
    """The error in a line, without the rank; None: there is none."""
    found = _ERROR.search(line)
    return None if found is None else _BY_RANK.sub("", found[0].rstrip())


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(2, data) :]
