"""A terminal for tests: a pseudo-terminal of a chosen width, and what a person would see on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence


class TerminalOf:
    """A command that runs on a terminal of its own.

    Attributes:
        data: all that was written to the terminal.
    """

    def __init__(self, command: Sequence[str], *, columns: int, env: Mapping[str, str] | None = None) -> None:
        self._leader, follower = pty.openpty()
        self.resize(columns)
        environ = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})}
        self.process = subprocess.Popen(
            list(command),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environ,
            # In a session of its own, whose terminal this is: Ctrl-C reaches every process there.
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(follower)
        os.set_blocking(self._leader, False)
        self.data = b""

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._leader, keys)

    def read_until(self, condition: Callable[[str], bool], timeout_s: float) -> bool:
        """Whether the condition comes true for what was written, in time."""
        end = time.monotonic() + timeout_s
        while not condition(self.text):
            if time.monotonic() > end or self._ended():
                return condition(self.text)
            self._read()
            time.sleep(0.02)
        return True

    def wait(self, timeout_s: float) -> int | None:
        """The exit code; None: the command did not end in time."""
        end = time.monotonic() + timeout_s
        while not self._ended() and time.monotonic() < end:
            self._read()
            time.sleep(0.02)
        self._read()
        return self.process.poll()

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._leader)

    def _ended(self) -> bool:
        ended = self.process.poll() is not None
        self._read()
        return ended

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # Nothing is there, or everybody has closed the terminal.
            while chunk := os.read(self._leader, 65536):
                self.data += chunk


def seen(text: str) -> list[str]:
    """The lines on a terminal that this text was written to: only what dpnet uses of its language."""
    lines, column = [""], 0
    for part in text.replace("\x1b[J", "\x00"):
        if part == "\r":
            column = 0
        elif part == "\n":
            lines.append("")
            column = 0
        elif part == "\x00":
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column] + part + lines[-1][column + 1 :]
            column += 1
    return lines
