"""`dpnet launch`, from its arguments to its exit code."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dpnet.errors import CommunicationError, DpnetError
from dpnet.launch import hosts
from dpnet.launch.attempt import ASK, Attempt, Ended, Limits, Signals
from dpnet.launch.decide import Decision, Outcome, decide
from dpnet.launch.flags import environment, fault_tolerance, find_mpirun, flavour_flags, forwards_signals, is_open_mpi
from dpnet.launch.options import TRAIN, Options, num_ranks, parse
from dpnet.launch.processes import ATTEMPT

if TYPE_CHECKING:
    from dpnet.launch.progress_on_disk import Training  # It imports numpy, which a mere start of ranks does without.


def launch(arguments: Sequence[str]) -> int:
    """Run a dpnet command on N ranks; a training that is cut off as often as the options allow.

    Args:
        arguments: `-n N`, options, `--`, and the arguments of `dpnet` itself.

    Returns:
        exit code: that of mpirun, 128 + n where signal n ended it; of a training 0 only if it is complete.

    Raises:
        ConfigError: the arguments, or those of a training that may be restarted, are wrong.
        CommunicationError: there is no mpirun, or it cannot be run.
    """
    options = parse(arguments)
    launcher = Launcher(find_mpirun(), options)
    if not options.max_restarts:
        with Signals() as signals:
            begun_ns = time.time_ns()
            ended = launcher.start(options.mpirun, options.command, signals)
        return _believed(ended, launcher.mpirun, options.command, begun_ns)
    from dpnet.launch.progress_on_disk import Training

    training = Training(options.command)
    with Signals() as signals:
        return supervise(launcher, training, options, signals)


class Launcher:
    """Starts attempts.

    Args:
        mpirun: its path.
        options: of the command line.

    Raises:
        CommunicationError: it cannot be run.
    """

    def __init__(self, mpirun: str, options: Options) -> None:
        self.mpirun = mpirun
        self._options = options
        self._limits = Limits(options.grace_s, options.time_limit_s)
        self._forwards = forwards_signals(mpirun)

    def line(self, options: Sequence[str], command: Sequence[str]) -> list[str]:
        """The command line that starts dpnet with these options of mpirun."""
        flags = flavour_flags(self.mpirun, options)
        if self._options.fault_tolerance and command[0] == TRAIN:
            flags += fault_tolerance(self.mpirun, options)
        if is_open_mpi(self.mpirun):
            flags += ["-x", ATTEMPT]  # Others pass the whole environment to all hosts.
        return [self.mpirun, *flags, *options, sys.executable, "-m", "dpnet", *command]

    def start(
        self,
        options: Sequence[str],
        command: Sequence[str],
        signals: Signals,
        is_done: Callable[[], bool] = lambda: False,
    ) -> Ended:
        """Run an attempt to its end.

        Raises:
            CommunicationError: mpirun cannot be run.
        """
        environ = {**os.environ, **environment(options)}
        read_errors = self._options.max_restarts > 0
        line = self.line(options, command)
        try:
            attempt = Attempt(
                line,
                environ,
                self._limits,
                num_ranks=num_ranks(options),
                read_errors=read_errors,
                forwards=self._forwards,
            )
        except OSError as error:
            raise CommunicationError(f"cannot run {self.mpirun}: {error.strerror or error}") from error
        ended = attempt.run(signals, is_done)
        if ended.lingered:
            _say("mpirun went on without its ranks, and was ended")
        return ended


def supervise(launcher: Launcher, training: Training, options: Options, signals: Signals) -> int:
    """Start a training again until it is complete; returns the exit code."""
    outcomes: list[Outcome] = []
    mpirun_options: Sequence[str] = options.mpirun
    while True:
        ended = launcher.start(mpirun_options, training.begin_attempt(), signals, lambda: training.finished(1))
        outcomes.append(_outcome(ended, training))
        decision = decide(outcomes, options.max_restarts)
        if decision.wait_s is None:
            if decision.why:
                _say(decision.why)
            return decision.exit_code
        _tell_restart(decision, len(outcomes) + 1, options.max_restarts + 1)
        mpirun_options = hosts.those_that_answer(launcher.mpirun, options.mpirun, _say)
        if (number := signals.wait(decision.wait_s)) is not None:
            # The job is at its checkpoint, as if the signal had come before it failed.
            return 128 + number if number == signal.SIGINT else training.preempted_exit_code


def _believed(ended: Ended, mpirun: str, command: Sequence[str], begun_ns: int) -> int:
    """The exit code of a command that is not restarted."""
    if command[0] != TRAIN or (ended.code and not ended.lingered):
        return ended.code
    from dpnet.launch.progress_on_disk import Training, is_complete

    if ended.lingered:
        try:
            training = Training(command, begun_ns)
        except (DpnetError, SystemExit):
            return ended.code
        return 0 if training.finished(ended.code) else _code(ended, training)
    # Open MPI 5 returns 0 for a job all of whose ranks were lost.
    if not is_open_mpi(mpirun) or is_complete(command):
        return 0
    _say("mpirun returned 0, but there is no summary: the training is not complete; the same command goes on with it")
    return 1


def _outcome(ended: Ended, training: Training) -> Outcome:
    return Outcome(
        code=_code(ended, training),
        finished=training.finished(ended.code),
        place=training.place(),
        error=ended.error,
        stopped=ended.stopped_by is not None,
        timed_out=ended.timed_out,
    )


def _code(ended: Ended, training: Training) -> int:
    """The exit code of an attempt; that of ranks which were asked to stop and did, where mpirun does not have it."""
    asked = ended.stopped_by in ASK or ended.timed_out
    return training.preempted_exit_code if ended.lingered and asked else ended.code


def _tell_restart(decision: Decision, number: int, attempts: int) -> None:
    _say(f"attempt {number} of {attempts}: {decision.why}; restart in {decision.wait_s:g} s")


def _say(text: str) -> None:
    sys.stderr.write(f"dpnet launch: {text}\n")
    sys.stderr.flush()
