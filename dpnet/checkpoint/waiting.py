"""What is said while all wait for the disk, and when that has become too long."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from dpnet.errors import OutputError

FIRST_S = 5.0
"""Seconds until the first sentence; the next ones come after twice as long each."""
SILENT_S = 600.0
"""A disk that has not answered for so long is not waited for any longer."""


class Waiting:
    """A wait for what is being written.

    Args:
        folder: where it is written.
        tell: is called with each sentence.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder, self._tell = folder, tell
        self.begin()

    def begin(self) -> None:
        """Somebody waits from now on."""
        self._began_s = self._heard_s = time.monotonic()
        self._next_s, self._written = FIRST_S, 0

    def heard(self, written: int) -> None:
        """The writer has shown that it is alive: it has written so many bytes."""
        self._heard_s, self._written = time.monotonic(), written

    def tell(self, what: str) -> None:
        """Say, if it is time, that `what` is waited for.

        Raises:
            OutputError: nothing was heard for too long.
        """
        now = time.monotonic()
        if now - self._heard_s > SILENT_S:
            raise OutputError(f"{self._folder} has not answered for {SILENT_S:.0f} s: {what} is not on the disk")
        if now - self._began_s >= self._next_s:
            self._next_s *= 2
            so_far = f", {self._written / 2**20:,.0f} MB so far" if self._written else ""
            self._tell(f"note: waiting for the disk, {now - self._began_s:.0f} s now: {what}{so_far}")
