"""One run of mpirun: start it, forward signals to it, enforce its time limit, and clean up after it.

A job that is asked to end gets SIGUSR1, which mpirun forwards to its ranks; SIGTERM when the grace is over, on which
mpirun kills them; then SIGKILL. mpirun leads a session of its own, so that nobody but this process signals it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dpnet.environment import ATTEMPT
from dpnet.launch.escalation import Escalation, Limits
from dpnet.launch.linger import Linger
from dpnet.launch.processes import carriers, end_all, kill, stopped
from dpnet.launch.say import say
from dpnet.launch.signals import ASK, Signals
from dpnet.launch.streams import Streams
from dpnet.output.terminal import Terminal

LEFTOVERS_END_S = 10.0
POLL_S = 1.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ended:
    """How an attempt ended.

    Attributes:
        code: exit code of mpirun, 128 + n where signal n ended it.
        error: the last error that the ranks printed.
        stopped_by: the first signal to this process.
        timed_out: the time limit was reached.
        lingered: mpirun outlived its ranks and was killed.
        lost_output: why the output, which is the result of the job, could not be written; empty: it could.
        crashed_at_start: a signal has killed a rank inside the initialisation of MPI: the job has not begun.
    """

    code: int
    error: str | None
    stopped_by: int | None
    timed_out: bool
    lingered: bool
    lost_output: str = ""
    crashed_at_start: bool = False


class Attempt:
    """A run of mpirun.

    Args:
        line: the command line.
        environ: environment of mpirun, to which the name of the attempt is added.
        limits: how long the job may take.
        num_ranks: that mpirun starts; None: unknown.
        trains: see Streams.
        forwards: mpirun forwards SIGUSR1 to its ranks.
        on_interrupt: called at the first Ctrl-C.
        terminal: what the ranks print is passed on to it; None: they print there themselves, or elsewhere.
        directory: in which mpirun is started; None: the current one.
        name: of the attempt, no other one's; empty: a random one.

    Raises:
        OSError: mpirun cannot be run.
    """

    def __init__(
        self,
        line: Sequence[str],
        environ: Mapping[str, str],
        limits: Limits,
        *,
        num_ranks: int | None,
        trains: bool,
        forwards: bool,
        on_interrupt: Callable[[], None] = lambda: None,
        terminal: Terminal | None = None,
        name: str = "",
        directory: str | None = None,
    ) -> None:
        self._on_interrupt = on_interrupt
        self._name, self._num_ranks = name or uuid.uuid4().hex, num_ranks
        self._streams = Streams(terminal, trains=trains)
        environ = {**environ, ATTEMPT: self._name, **self._streams.variables}
        self._process = _start(line, environ, directory, self._streams)
        self._streams.open(self._process.stdout, self._process.stderr, num_ranks)
        ask = functools.partial(_ask, self._process, self._name, forwards=forwards)
        self._escalation = Escalation(self._process, ask, limits)
        self._stopped_by: int | None = None
        self._timed_out = False

    def run(self, signals: Signals, is_done: Callable[[], bool] = lambda: False) -> Ended:
        """Wait for the end of the attempt.

        Args:
            signals: to this process.
            is_done: whether the job has done its work; an mpirun that does not end then is killed.
        """
        linger, lingered = Linger(self._name, self._num_ranks, is_done), False
        while (code := self._process.poll()) is None:
            if linger.look():
                lingered = True
                self._process.kill()
            if self._escalation.left_s() <= 0:
                if self._stopped_by is None and not self._timed_out:
                    self._timed_out = True
                    say("the time limit is reached: the ranks are asked to end")
                self._escalation.step()
            number = signals.get(min(POLL_S, self._escalation.left_s()))
            if number in (*ASK, signal.SIGINT):
                self._stop(number)
            elif number == signal.SIGTSTP:
                self._pause()
        end_all(self._name, LEFTOVERS_END_S)
        error = self._streams.close(succeeded=code == 0)
        code = code if code >= 0 else 128 - code
        streams = self._streams
        crashed = streams.crashed_at_start and code != 0
        return Ended(code, error, self._stopped_by, self._timed_out, lingered, streams.lost, crashed)

    def _pause(self) -> None:
        """Ctrl-Z: stop all processes of the job on this host, and this one with them, until the shell continues it."""
        begun = time.monotonic()
        with stopped(self._name):
            os.kill(os.getpid(), signal.SIGSTOP)
        self._escalation.put_off(time.monotonic() - begun)

    def _stop(self, number: int) -> None:
        if number == signal.SIGINT and self._stopped_by is None:
            self._on_interrupt()
        # A job that was asked at its time limit already keeps the rest of its grace.
        was_asked = self._timed_out and self._stopped_by is None
        self._stopped_by = self._stopped_by or number
        if not was_asked:
            self._escalation.step()


def _start(
    line: Sequence[str], environ: Mapping[str, str], directory: str | None, streams: Streams
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        line,
        env=environ,
        cwd=directory,
        # mpirun would read what is meant for the shell script or the loop that `dpnet launch` stands in.
        stdin=subprocess.DEVNULL,
        stdout=streams.stdout,
        stderr=streams.stderr,
        start_new_session=True,
        preexec_fn=_end_with_parent(),
    )


def _ask(process: subprocess.Popen[bytes], name: str, *, forwards: bool) -> None:
    """Ask the ranks of an attempt to end."""
    if forwards:
        process.send_signal(signal.SIGUSR1)
    else:
        for pid in carriers(name, of_ranks=True):
            kill(pid, signal.SIGUSR1)


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
