"""The terminal: lines of text, broken between words, and below them a footer that everything else is printed above.

The cursor stays at the start of the footer. So a terminal that becomes narrower, and breaks the footer into two lines,
has both of them behind the cursor, where they are erased; and what other processes print overwrites the footer instead
of sticking to it.
"""

from __future__ import annotations

import contextlib
import locale
import os
import sys
import termios
import threading
from typing import IO, Any, TextIO

from dpnet.environment import opened_terminal_of_mpirun
from dpnet.output.footer import Footer, footer_line
from dpnet.text import DEFAULT_COLUMNS, columns_of, fitted

_ERASE = "\r\x1b[J"


class Terminal:
    """A screen on a terminal. While it is open, what this process prints appears above the footer.

    Args:
        stream: leads to the terminal.

    Attributes:
        stream: the same.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._footer: Footer | None = None
        self._drawn = False
        self._at_line_start = True
        self._lock = threading.RLock()
        self._standard = sys.stdout, sys.stderr
        if stream is sys.stdout:
            sys.stdout = Above(stream, self)
        if is_terminal(sys.stderr):
            sys.stderr = Above(sys.stderr, self)

    @property
    def columns(self) -> int:
        """Its width, now."""
        try:
            return columns_of(self.stream.fileno())
        except (OSError, ValueError):
            return DEFAULT_COLUMNS

    def say(self, text: str) -> None:
        """See Screen.say. Lines are broken between words."""
        self.write(f"{fitted(text, self.columns)}\n", self.stream)

    def show(self, footer: Footer | None) -> None:
        """See Screen.show."""
        with self._lock:
            self._footer = footer
            if footer is None:
                self._erase()
            else:
                self._draw()

    def write(self, text: str | bytes, stream: IO[Any]) -> None:
        """Print something above the footer, as it is, to a stream that leads to this terminal."""
        with self._lock:
            self._erase()
            with contextlib.suppress(OSError):  # The terminal is gone: the training must go on.
                if isinstance(text, bytes):
                    _write_all(stream.fileno(), text)
                else:
                    stream.write(text)
                    stream.flush()
            if text:
                self._at_line_start = text[-1] in ("\n", "\r", 10, 13)
            self._draw()

    def close(self) -> None:
        """See Screen.close."""
        self.show(None)
        for name, stream in zip(("stdout", "stderr"), self._standard, strict=True):
            if isinstance(getattr(sys, name), Above):
                setattr(sys, name, stream)

    def _erase(self) -> None:
        if self._drawn:
            self._put(_ERASE)
            self._drawn = False

    def _draw(self) -> None:
        # Not behind an unfinished line.
        if self._footer is not None and self._at_line_start:
            unicode = (self.stream.encoding or "").lower().startswith("utf")
            line = footer_line(self._footer, self.columns - 1, unicode=unicode)
            self._put(f"{_ERASE if self._drawn else ''}{line}\r")
            self._drawn = True

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.stream.write(text)
            self.stream.flush()


class Above:
    """A stream of this process whose text appears above the footer.

    Args:
        stream: leads to the terminal.
        terminal: has the footer.
    """

    def __init__(self, stream: TextIO, terminal: Terminal) -> None:
        self._stream, self._terminal = stream, terminal

    def write(self, text: str) -> int:
        """See io.TextIOBase.write."""
        self._terminal.write(text, self._stream)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream leads to a terminal that can move its cursor."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def of_mpirun() -> Terminal | None:
    """The terminal that mpirun was started on, if it runs on this host; None: there is none.

    Drawn on directly: mpirun passes whole lines only, and a footer is none.
    """
    try:
        if (descriptor := opened_terminal_of_mpirun(1)) is None:
            return None
        stops_background = termios.tcgetattr(descriptor)[3] & termios.TOSTOP  # It would stop this rank for writing.
    except (OSError, ValueError, termios.error):
        return None
    stream = os.fdopen(descriptor, "w", encoding=locale.getpreferredencoding(False), errors="replace")
    return Terminal(stream) if is_terminal(stream) and not stops_background else None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
