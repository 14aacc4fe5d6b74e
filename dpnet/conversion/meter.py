"""The bar of a conversion: how much of the data is done, and how fast."""

from __future__ import annotations

import time

from dpnet.comm.group import Group
from dpnet.output.console import BETWEEN_S
from dpnet.output.footer import Footer, duration
from dpnet.output.screen import PlainScreen, current

MB = 1e6


class Meter:
    """A bar for a with block, on rank 0 alone.

    Args:
        group: all ranks.
        title: in front of the bar.
        total: bytes of all work.
    """

    def __init__(self, group: Group, title: str, total: int) -> None:
        self._shows, self._title, self._total = group.rank == 0, title, max(total, 1)
        self._done, self._begin_s = 0, time.monotonic()
        self._next_s = self._begin_s + BETWEEN_S

    def __enter__(self) -> Meter:
        self.add(0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._shows:
            current().show(None)

    def add(self, num_bytes: int) -> None:
        """So many bytes more are done."""
        self._done += num_bytes
        if not self._shows:
            return
        seconds, share = time.monotonic() - self._begin_s, self._done / self._total
        facts = []
        if self._done and seconds > 0:
            left = duration(seconds * (1 - share) / share)
            facts = [f"{left} left", f"{self._done / seconds / MB:,.0f} MB/s"]
        current().show(Footer(self._title, share, facts))
        if isinstance(current(), PlainScreen) and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + BETWEEN_S
            current().say(", ".join([f"{self._title}: {share:.0%}", *facts]))
