"""`dpnet launch`, from its arguments to its exit code."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dpnet.allocation import Allocation, allocation
from dpnet.errors import INTERRUPTED_EXIT_CODE, DpnetError
from dpnet.launch import hosts
from dpnet.launch.attempt import Ended
from dpnet.launch.batch.again import again, restarts
from dpnet.launch.batch.notice import Notices, stop_time
from dpnet.launch.batch.placement import placed
from dpnet.launch.batch.record import record
from dpnet.launch.batch.starter import find_starter
from dpnet.launch.decide import Outcome, decide, killed, queues_again
from dpnet.launch.directory import JobOf, where_ranks_run
from dpnet.launch.errorline import PREEMPTED
from dpnet.launch.flags import is_open_mpi
from dpnet.launch.launcher import Launcher
from dpnet.launch.options import TRAIN, Options, command_to_go_on, is_program, on_this_host, parse
from dpnet.launch.relay import drawn
from dpnet.launch.say import say
from dpnet.launch.signals import ASK, Signals

if TYPE_CHECKING:
    from dpnet.launch.progress_on_disk import Training  # It imports numpy, which a mere start of ranks does not need.


def launch(arguments: Sequence[str], job_of: JobOf) -> int:
    """Run a dpnet command on N ranks; restart a training that is cut off as often as the options allow.

    Args:
        arguments: `-n N`, options, `--`, and the arguments of `dpnet` itself.
        job_of: called only for a training that may have to be restarted, or whose exit code is in doubt.

    Returns:
        exit code: that of mpirun, 128 + n where signal n ended it; of a training 0 only if it is complete.

    Raises:
        ConfigError: the arguments, or those of a training that may be restarted, are wrong.
        CommunicationError: there is no mpirun, or it cannot be run.
        OutputError: the command has succeeded, but what it printed could not be written.
    """
    job = allocation()
    options = parse(arguments, in_batch=job is not None)
    mpirun, place = find_starter(options, job)
    if place is not None:
        options = dataclasses.replace(options, mpirun=tuple(placed(options.mpirun, place)))
    with drawn(options.mpirun) as terminal:
        launcher = Launcher(mpirun, options, terminal, place)
        with where_ranks_run(options.mpirun, job_of) as job_of:
            return _launch(launcher, options, job_of) if job is None else _in_batch(launcher, options, job_of, job)


def _in_batch(launcher: Launcher, options: Options, job_of: JobOf, job: Allocation) -> int:
    """Run a command in a batch job, which ends at a time of its own."""
    stop_s = stop_time(time.time(), record(job).end_s, options.grace_s)
    if options.command[0] != TRAIN:
        with Notices(stop_s) as signals:
            ended = launcher.start(options.mpirun, options.command, signals)
        return _exit_code(ended, launcher.mpirun, options.command, lambda: None)
    from dpnet.launch.progress_on_disk import Training

    begun = restarts()
    training = Training(options.command, job_of(options.command), launcher.name, follows=begun > 0)
    with Notices(stop_s) as signals:
        return supervise(launcher, training, options, signals, job_of, Turn(job, begun))


def _launch(launcher: Launcher, options: Options, job_of: JobOf) -> int:
    here = on_this_host(options.mpirun)
    if not options.max_restarts:
        with Signals(job_control=here) as signals:
            begun_ns = time.time_ns()
            ended = launcher.start(options.mpirun, options.command, signals)
        see = functools.partial(_seen, options.command, job_of, launcher.name, begun_ns)
        if (ended.stopped_by is not None or ended.timed_out) and options.command[0] == TRAIN:
            training = see()
            return _stopped(ended, options, training, _code(ended, training) if training else ended.code)
        return _exit_code(ended, launcher.mpirun, options.command, see)
    from dpnet.launch.progress_on_disk import Training

    training = Training(options.command, job_of(options.command), launcher.name)
    with Signals(job_control=here) as signals:
        return supervise(launcher, training, options, signals, job_of)


class Turn(NamedTuple):
    """A batch job, and how often its scheduler has started it again."""

    job: Allocation
    restarts: int


def supervise(
    launcher: Launcher,
    training: Training,
    options: Options,
    signals: Signals,
    job_of: JobOf,
    turn: Turn | None = None,
) -> int:
    """Start a training, again and again, until it is complete; returns the exit code.

    In a batch job, `turn`, it is put back into the queue where another turn may complete it.

    Raises:
        ConfigError: the job file was changed, so that a restart would be another training.
    """
    outcomes: list[Outcome] = []
    mpirun_options: Sequence[str] = options.mpirun
    while True:
        ended = launcher.start(mpirun_options, training.begin_attempt(), signals, lambda: training.finished(1))
        outcomes.append(_outcome(ended, training, in_batch=turn is not None))
        decision = decide(outcomes, options.max_restarts)
        if decision.wait_s is None:
            if decision.why:
                say(decision.why)
            by_us = outcomes[-1].stopped or outcomes[-1].timed_out
            if turn and (code := _queued_again(turn, outcomes[-1], training)) is not None:
                return code
            return _stopped(ended, options, training, outcomes[-1].code) if by_us else decision.exit_code
        attempt = f"attempt {len(outcomes) + 1} of {options.max_restarts + 1}"
        say(f"{attempt}: {decision.why}; restart in {decision.wait_s:g} s{training.next_start()}")
        mpirun_options = hosts.those_that_answer(launcher.mpirun, options.mpirun, say)
        if (number := signals.wait(decision.wait_s)) is not None:
            # The job is at its checkpoint, as if the signal had come before the failure.
            stopped = dataclasses.replace(outcomes[-1], stopped=True)
            if turn and number != signal.SIGINT and (code := _queued_again(turn, stopped, training)) is not None:
                return code
            _say_how_to_go_on(options, training)
            return INTERRUPTED_EXIT_CODE if number == signal.SIGINT else training.preempted_exit_code
        training.check_job(job_of(options.command))


def _queued_again(turn: Turn, last: Outcome, training: Training) -> int | None:
    """Put a batch job back into the queue if it is to be there; returns the exit code, None: it is not there."""
    if not queues_again(last, progressed=training.has_progressed(), restarts=turn.restarts):
        return None
    done, told = again(turn.job, training.next_start())
    say(told)
    return training.preempted_exit_code if done else None


def _stopped(ended: Ended, options: Options, training: Training | None, code: int) -> int:
    """Say how a training that a signal stopped goes on; returns the exit code: `code`, but 0 only with a summary."""
    if training is not None:
        if training.finished(ended.code):
            return 0
        _say_how_to_go_on(options, training)
    if ended.stopped_by == signal.SIGINT:
        return INTERRUPTED_EXIT_CODE
    return code or int(training is not None)


def _say_how_to_go_on(options: Options, training: Training) -> None:
    command = command_to_go_on(options.command, options.launcher)
    if training.place().checkpoint:
        say("go on with:")
        print(f"  {command}", file=sys.stderr, flush=True)  # In one piece, to be copied.
    else:
        say("there is no checkpoint: a training begins anew")


def _exit_code(ended: Ended, mpirun: str, command: Sequence[str], see: Callable[[], Training | None]) -> int:
    """The exit code of a command that is not restarted.

    Args:
        ended: how its only attempt ended.
        mpirun: path of mpirun.
        command: arguments of dpnet.
        see: the training; None: its job cannot be read here.
    """
    if command[0] != TRAIN or (ended.code and not ended.lingered):
        by_us = ended.timed_out or ended.stopped_by is not None
        if (why := killed(ended.code)) and not by_us and not is_program(command):
            say(why)
        return ended.code
    if ended.lingered:
        training = see()
        if training is None:
            return ended.code
        return 0 if training.finished(ended.code) else _code(ended, training)
    # Open MPI 5 returns 0 for a job that has lost all of its ranks.
    if not is_open_mpi(mpirun) or (training := see()) is None or training.finished(0):
        return 0
    say("mpirun returned 0, but there is no summary: the training is not complete; the same command goes on with it")
    return 1


def _seen(command: Sequence[str], job_of: JobOf, name: str, begun_ns: int) -> Training | None:
    """The training that a command has begun; None: it asked for help, or the job cannot be read here, as is told."""
    from dpnet.launch.progress_on_disk import Training

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return Training(command, job_of(command), name, begun_ns)
    except DpnetError as error:
        say(f"cannot see here whether the training is complete: {error}")
    except SystemExit:
        pass
    return None


def _outcome(ended: Ended, training: Training, *, in_batch: bool) -> Outcome:
    code = _code(ended, training)
    # Slurm may signal the ranks alone, and srun then returns another code than theirs.
    was_asked = in_batch and (code == training.preempted_exit_code or (ended.error or "").startswith(PREEMPTED))
    return Outcome(
        code=training.preempted_exit_code if was_asked else code,
        finished=training.finished(ended.code),
        place=training.place(),
        error=ended.error,
        stopped=was_asked or ended.stopped_by is not None,
        timed_out=ended.timed_out,
    )


def _code(ended: Ended, training: Training) -> int:
    """The exit code of an attempt; where mpirun missed that its ranks stopped when asked to, the ranks' own."""
    asked = ended.stopped_by in ASK or ended.timed_out
    return training.preempted_exit_code if ended.lingered and asked else ended.code
