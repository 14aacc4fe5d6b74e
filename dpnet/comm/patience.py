"""Waiting for what nobody wakes a rank for: a message from another node."""

from __future__ import annotations

import time
from collections.abc import Callable

SPIN_S = 50e-6
"""So long a rank asks again and again, then it naps."""
SHARE = 8
"""A nap takes one in so many parts of the time waited so far: a message lies there for no longer than that."""
LONGEST_NAP_S = 1e-3


def wait_until(done: Callable[[], bool]) -> None:
    """Return once `done()` is true. It is called from time to time, and what it raises ends the wait."""
    if done():
        return
    begin = time.monotonic()
    while not done():
        waited_s = time.monotonic() - begin
        if waited_s > SPIN_S:
            time.sleep(min(LONGEST_NAP_S, waited_s / SHARE))
