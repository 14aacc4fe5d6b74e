"""Notices an mpirun that lives on although its job is over.

Open MPI's mpirun waits for ever for a host that fell silent, and for ranks whose end it has missed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dpnet.launch.processes import carriers

LINGER_S = 5.0
"""Seconds that mpirun has to end once the job is over."""
FIRST_LOOK_S = 1.0
"""From one look at the processes and the run directory to the next, at first; up to LINGER_S later."""


class Linger:
    """Whether the mpirun of an attempt lingers.

    Args:
        name: of the attempt.
        num_ranks: of the attempt; None: unknown.
        is_done: whether the job has done its work.
    """

    def __init__(self, name: str, num_ranks: int | None, is_done: Callable[[], bool]) -> None:
        self._name = name
        self._num_ranks = num_ranks
        self._is_done = is_done
        self._all_were_here = False
        self._over_since_s = float("inf")
        self._next_look_s, self._pause_s = 0.0, FIRST_LOOK_S

    def look(self) -> bool:
        """Whether the work was done, or all ranks had ended, LINGER_S ago already; call this often."""
        now = time.monotonic()
        if now < self._next_look_s:
            return False
        is_over = self._is_done() or self._all_have_left()
        self._over_since_s = min(self._over_since_s, now) if is_over else float("inf")
        self._next_look_s, self._pause_s = now + self._pause_s, min(LINGER_S, self._pause_s * 1.5)
        return now - self._over_since_s >= LINGER_S

    def _all_have_left(self) -> bool:
        """Whether all ranks were on this host once and none is any more."""
        if self._num_ranks is None:
            return False
        here = len(carriers(self._name, of_ranks=True))
        self._all_were_here |= here >= self._num_ranks
        return self._all_were_here and not here
