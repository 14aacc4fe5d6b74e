"""Waiting for what nobody wakes a rank for: a message from another node."""

from __future__ import annotations

import time
from collections.abc import Callable

SPIN_S = 50e-6
"""So long a rank asks again and again, then it naps."""
SHARE = 8
"""A nap takes one in so many parts of the time waited so far: a message lies there for no longer than that."""
LONGEST_NAP_S = 1e-3
LONG_BYTES, POLLS = 1 << 16, 256
"""From so many bytes on a message is moved by so many calls between two naps. MPICH moves some 8 kB in a call: with one
after each nap 23 MB took 3.2 s, and with these 0.04 s."""


def polls(num_bytes: int) -> int:
    """Calls between two naps for a message of so many bytes."""
    return POLLS if num_bytes >= LONG_BYTES else 1


def wait_until(done: Callable[[], bool], polls: int = 1) -> None:
    """Return once `done()` is true. It is called `polls` times between two naps, and what it raises ends the wait."""
    if done():
        return
    begin = time.monotonic()
    while not any(done() for _ in range(polls)):
        waited_s = time.monotonic() - begin
        if waited_s > SPIN_S:
            time.sleep(min(LONGEST_NAP_S, waited_s / SHARE))
