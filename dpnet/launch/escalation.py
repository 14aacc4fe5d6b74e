"""How a job is ended: asked, then terminated, then killed, each step some time after the one before."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

KILL_AFTER_S = 5.0
"""Seconds from SIGTERM to SIGKILL."""


@dataclass(frozen=True)
class Limits:
    """How long a job may take.

    Attributes:
        grace_s: to end after it was asked to.
        time_limit_s: in all; None: no limit.
    """

    grace_s: float
    time_limit_s: float | None


class Escalation:
    """The steps that end a job. The first is due at the time limit, and may be taken earlier.

    Args:
        process: mpirun.
        ask: asks the ranks to end.
        limits: how long the job may take.
    """

    def __init__(self, process: subprocess.Popen[bytes], ask: Callable[[], None], limits: Limits) -> None:
        steps = ((ask, limits.grace_s), (process.terminate, KILL_AFTER_S), (process.kill, float("inf")))
        self._steps: Iterator[tuple[Callable[[], None], float]] = iter(steps)
        self._due_s = float("inf") if limits.time_limit_s is None else time.monotonic() + limits.time_limit_s

    def left_s(self) -> float:
        """Seconds until the next step is due; 0 or less: it is due."""
        return self._due_s - time.monotonic()

    def put_off(self, seconds: float) -> None:
        """The job was stopped for so long: its time does not run meanwhile."""
        self._due_s += seconds

    def step(self) -> None:
        """Take the next step, if there is one."""
        self._due_s = float("inf")
        for act, wait_s in self._steps:
            act()
            self._due_s = time.monotonic() + wait_s
            return
