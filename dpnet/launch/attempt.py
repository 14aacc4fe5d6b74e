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

from dpnet.comm.environment import NAMES
from dpnet.launch.errorline import ErrorLine

ATTEMPT = "DPNET_ATTEMPT"
"""Variable that every process of an attempt carries, and no other."""
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
"""Seconds that mpirun has, at least, to end once all is done."""


@dataclass(frozen=True)
class Limits:
    """How long a job may take: to end when asked to, and in all (None: as long as it likes)."""

    grace_s: float
    time_limit_s: float | None


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: see `Outcome`. `stopped_by` is the first signal to this process."""

    code: int
    error: str | None
    stopped_by: int | None
    timed_out: bool


class Attempt:
    """A run of mpirun.

    Args:
        line: the command line.
        environ: its environment, to which the name of the attempt is added.
        limits: how long it may take.
        read_errors: look for the last error that it tells on its way to stderr.
        forwards: mpirun passes SIGUSR1 on to its ranks.
    """

    def __init__(
        self, line: Sequence[str], environ: Mapping[str, str], limits: Limits, *, read_errors: bool, forwards: bool
    ) -> None:
        self._name = uuid.uuid4().hex
        self._limits = limits
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
        self._is_done, self._look_s = False, 0.0

    def run(self, signals: Signals, is_done: Callable[[], bool] = lambda: False) -> Ended:
        """Wait for its end.

        Args:
            signals: to this process.
            is_done: whether all is done that the job is for. Open MPI's mpirun waits for ever for a host that fell
                silent; it is then ended.
        """
        limit = self._limits.time_limit_s
        self._next_s = float("inf") if limit is None else time.monotonic() + limit
        while (code := self._process.poll()) is None:
            if self._lingers(is_done):
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
        return Ended(code if code >= 0 else 128 - code, error, self._stopped_by, self._timed_out)

    def _lingers(self, is_done: Callable[[], bool]) -> bool:
        """Whether mpirun has not ended although all has been done for a while."""
        now = time.monotonic()
        if now < self._look_s:
            return False
        was_done, self._is_done = self._is_done, is_done()
        self._look_s = now + LINGER_S
        return was_done and self._is_done

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
                _kill(pid, signal.SIGUSR1)
        return self._limits.grace_s

    def _terminate(self) -> float:
        self._process.terminate()
        return KILL_AFTER_S

    def _kill(self) -> float:
        self._process.kill()
        return float("inf")


def carriers(name: str, *, of_ranks: bool = False) -> list[int]:
    """Processes on this host that belong to an attempt; of its ranks alone, if so asked."""
    tag = f"{ATTEMPT}={name}".encode()
    ranks = {names[0].encode() for names in NAMES[:2]}
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue  # It has ended, or is somebody else's.
        is_rank = any(variable.partition(b"=")[0] in ranks for variable in variables)
        if tag in variables and (is_rank or not of_ranks):
            found.append(int(entry))
    return found


def end_all(name: str, wait_s: float) -> None:
    """End every process on this host that belongs to an attempt.

    Ranks get SIGKILL at once: Open MPI's can outlive their mpirun. Others get it after `wait_s` seconds: one may be
    writing the last checkpoint.
    """
    for pid in carriers(name, of_ranks=True):
        _kill(pid, signal.SIGKILL)
    end = time.monotonic() + wait_s
    while (left := carriers(name)) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in left:
        _kill(pid, signal.SIGKILL)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return  # It has ended.


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
