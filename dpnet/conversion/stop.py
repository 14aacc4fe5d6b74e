"""The end of a conversion that a signal asks for: on all ranks after the same piece."""

from __future__ import annotations

import signal
from pathlib import Path

from dpnet.comm.group import World
from dpnet.errors import INTERRUPTED_EXIT_CODE, Interrupted, Preempted
from dpnet.resilience.signals import StopSignals

ADVICE = ". What was converted so far stays: start the same command again, and it goes on"
"""Of an error that leaves the work where it is."""


class Stop:
    """Ends a conversion.

    Args:
        folder: that is written.
        group: all ranks.
        signals: that have come.
        exit_code: of a conversion that a signal ends.
    """

    def __init__(self, folder: Path, group: World, signals: StopSignals, exit_code: int) -> None:
        self._folder, self._group, self._signals, self._exit_code = folder, group, signals, exit_code

    def check(self) -> None:
        """Raises Preempted, or Interrupted, on all ranks if a signal came to one of them; collective."""
        came = [name for name in self._group.allgather(self._signals.received) if name]
        if came:
            where = f"{self._folder} is not complete; the same command, started again, goes on with it"
            if signal.SIGINT.name in came:
                raise Interrupted(f"Ctrl-C: {where}", INTERRUPTED_EXIT_CODE)
            raise Preempted(f"{came[0]} came: {where}", self._exit_code)
