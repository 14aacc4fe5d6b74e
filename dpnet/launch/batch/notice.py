"""What counts as a signal in a batch job: its time is nearly up, or the script that started this process has ended.

A scheduler sends a signal before the end only to those who have asked for it, and to nobody but the script. So the end
is known from the start. And a shell that does not catch a signal dies of it, with all that waits for it.
"""

from __future__ import annotations

import os
import signal
import time

from dpnet.launch.escalation import KILL_AFTER_S
from dpnet.launch.say import say
from dpnet.launch.signals import ASK, Signals

REQUEUE_S = 10.0
"""Seconds to put the job back into the queue, once its ranks have ended."""
POLL_S = 1.0


class Notices(Signals):
    """Signals to a process in a batch job. Only the first that asks the job to end counts: its grace is in the limits.

    A scheduler sends several: the one that the user has asked for, another one when the time is up, and both perhaps to
    every process of the job.

    Args:
        stop_s: when the job is to be asked to end, in seconds of time.time; None: never.
        job_control: see Signals.
    """

    def __init__(self, stop_s: float | None, *, job_control: bool = False) -> None:
        super().__init__(job_control=job_control)
        self._stop_s, self._asked = float("inf") if stop_s is None else stop_s, False
        self._parent = os.getppid()

    def get(self, timeout_s: float) -> int | None:
        """The next signal, or what counts as one; None: none came in time."""
        end = time.monotonic() + timeout_s
        while True:
            if not self._asked and (why := self._why_end()):
                say(f"{why}: the ranks are asked to end")
                self._asked = True
                return signal.SIGUSR1
            number = super().get(min(POLL_S, end - time.monotonic()))
            if number in ASK:
                if not self._asked:
                    self._asked = True
                    return number
            elif number is not None:
                return number
            if time.monotonic() >= end:
                return None

    def _why_end(self) -> str:
        if time.time() >= self._stop_s:
            return "the time of the job is nearly up"
        return "the script that started this has ended" if os.getppid() != self._parent else ""


def stop_time(now_s: float, end_s: float | None, grace_s: float) -> float | None:
    """When to ask a job to end; None: never, as its end is unknown.

    So early that it has its grace, is ended if it needs more, and is put back into the queue; but a job with little
    time has half of it.

    Args:
        now_s: the time, in seconds of time.time, as are all others.
        end_s: end of the job.
        grace_s: for the ranks to end by themselves.
    """
    if end_s is None:
        return None
    return end_s - min(grace_s + KILL_AFTER_S + REQUEUE_S, max(0.0, end_s - now_s) / 2)
