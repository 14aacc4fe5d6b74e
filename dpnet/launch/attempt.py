"""One run of mpirun: started, passed signals, ended in time, and cleaned up after.

A job that is asked to end gets SIGUSR1, which mpirun passes on to its ranks; SIGTERM when the grace is over, on which
mpirun kills them; then SIGKILL. mpirun leads a session of its own: nobody but this process signals it.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

from dpnet.launch.errorline import ErrorLine
from dpnet.launch.processes import ATTEMPT, carriers, end_all, kill

KILL_AFTER_S = 5.0
LEFTOVERS_END_S = 10.0
POLL_S = 1.0
ASK = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
CAUGHT = (*ASK, signal.SIGINT, signal.SIGCHLD)
_PR_SET_PDEATHSIG = 1


class Signals:
    """Signals to this process, one after the other, in place of what they would do to it."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        # One that is ignored stays so, as SIGINT is for a job in the background of a shell script.
        caught = [number for number in CAUGHT if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._put) for number in caught}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _put(self, number: int, frame: FrameType | None) -> None:
        self._queue.put(number)

    def get(self, timeout_s: float) -> int | None:
        """The next signal; None: there was none in time."""
        try:
            return self._queue.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None

    def wait(self, seconds: float) -> int | None:
        """Wait, unless a signal asks this process to end: then that."""
        end = time.monotonic() + seconds
        while (number := self.get(end - time.monotonic())) is not None:
            if number != signal.SIGCHLD:
                return number
        return None


LINGER_S = 5.0
"""Seconds that mpirun has to end once all is done, or all ranks have ended."""


@dataclass(frozen=True)
class Limits:
    """How long a job may take: to end when asked to, and in all (None: as long as it likes)."""

    grace_s: float
    time_limit_s: float | None


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: see `Outcome`.

    `stopped_by` is the first signal to this process; `lingered`: mpirun was ended, as its ranks had done so before it.
    """

    code: int
    error: str | None
    stopped_by: int | None
    timed_out: bool
    lingered: bool


class Attempt:
    """A run of mpirun.

    Args:
        line: the command line.
        environ: its environment, to which the name of the attempt is added.
        limits: how long it may take.
        num_ranks: that it starts, if that is known.
        read_errors: look for the last error that it tells on its way to stderr.
        forwards: mpirun passes SIGUSR1 on to its ranks.
    """

    def __init__(
        self,
        line: Sequence[str],
        environ: Mapping[str, str],
        limits: Limits,
        *,
        num_ranks: int | None,
        read_errors: bool,
        forwards: bool,
    ) -> None:
        self._name = uuid.uuid4().hex
        self._limits, self._num_ranks = limits, num_ranks
        self._forwards = forwards
        self._process = subprocess.Popen(
            line,
            env={**environ, ATTEMPT: self._name},
            # A session of its own may not read from a terminal.
            stdin=subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None,
            stderr=subprocess.PIPE if read_errors else None,
            start_new_session=True,
            preexec_fn=_end_with_parent(),
        )
        self._errors = ErrorLine(self._process.stderr) if self._process.stderr else None
        self._actions: Iterator[Callable[[], float]] = iter((self._ask, self._terminate, self._kill))
        self._next_s = float("inf")
        self._stopped_by: int | None = None
        self._timed_out = False
        self._all_were_here = False
        self._over_s, self._look_s, self._pause_s = float("inf"), 0.0, POLL_S

    def run(self, signals: Signals, is_done: Callable[[], bool] = lambda: False) -> Ended:
        """Wait for its end.

        Args:
            signals: to this process.
            is_done: whether all is done that the job is for. Open MPI's mpirun waits for ever for a host that fell
                silent, and for ranks whose end escaped it; it is then ended.
        """
        lingered = False
        limit = self._limits.time_limit_s
        self._next_s = float("inf") if limit is None else time.monotonic() + limit
        while (code := self._process.poll()) is None:
            if self._lingers(is_done):
                lingered = True
                self._kill()
            if self._next_s <= time.monotonic():
                self._timed_out |= self._stopped_by is None
                self._press()
            number = signals.get(min(POLL_S, self._next_s - time.monotonic()))
            if number == signal.SIGINT:
                self._interrupt()
            elif number in ASK:
                self._stop(number)
        end_all(self._name, LEFTOVERS_END_S)
        error = self._errors.close() if self._errors else None
        return Ended(code if code >= 0 else 128 - code, error, self._stopped_by, self._timed_out, lingered)

    def _lingers(self, is_done: Callable[[], bool]) -> bool:
        """Whether mpirun has not ended although all has been done, or all ranks have ended, for a while."""
        now = time.monotonic()
        if now < self._look_s:
            return False
        is_over = is_done() or self._all_have_left()
        self._over_s = min(self._over_s, now) if is_over else float("inf")
        self._look_s, self._pause_s = now + self._pause_s, min(LINGER_S, self._pause_s * 1.5)
        return now - self._over_s >= LINGER_S

    def _all_have_left(self) -> bool:
        """Whether all ranks were on this host and none is any more."""
        if self._num_ranks is None:
            return False
        here = len(carriers(self._name, of_ranks=True))
        self._all_were_here |= here >= self._num_ranks
        return self._all_were_here and not here

    def _stop(self, number: int | None) -> None:
        # A job that the time limit has asked already gets the rest of its grace.
        asked = self._timed_out and self._stopped_by is None
        self._stopped_by = self._stopped_by or number
        if not asked:
            self._press()

    def _interrupt(self) -> None:
        self._stopped_by = self._stopped_by or signal.SIGINT
        self._process.send_signal(signal.SIGINT)
        self._next_s = min(self._next_s, time.monotonic() + self._limits.grace_s)

    def _press(self) -> None:
        """Take the next of the steps that end a job; each says when the one after it is due."""
        action = next(self._actions, None)
        self._next_s = float("inf") if action is None else time.monotonic() + action()

    def _ask(self) -> float:
        if self._forwards:
            self._process.send_signal(signal.SIGUSR1)
        else:
            for pid in carriers(self._name, of_ranks=True):
                kill(pid, signal.SIGUSR1)
        return self._limits.grace_s

    def _terminate(self) -> float:
        self._process.terminate()
        return KILL_AFTER_S

    def _kill(self) -> float:
        self._process.kill()
        return float("inf")


def _end_with_parent() -> Callable[[], None]:
    """What the child does before it becomes mpirun, so that it does not outlive this process (Linux)."""
    parent = os.getpid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def prepare() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return prepare
