"""Starts mpirun with the flags and variables that its ranks need."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence

from dpnet.compute.threads import too_many, what_is_faster
from dpnet.environment import ATTEMPT, COLUMNS, CROWDED, DRAWN, OFFERED
from dpnet.errors import CommunicationError, OutputError
from dpnet.launch.attempt import Attempt, Ended
from dpnet.launch.batch.placement import SRUN, Place, flags, variables
from dpnet.launch.batch.starter import srun_flags, srun_variables
from dpnet.launch.escalation import Limits
from dpnet.launch.flags import environment, fault_tolerance, flavour_flags, forwards_signals, is_open_mpi
from dpnet.launch.hosts import all_here
from dpnet.launch.options import TRAIN, Options, is_program, num_ranks, on_this_host, process_of
from dpnet.launch.say import say, say_over_ctrl_c
from dpnet.launch.signals import Signals
from dpnet.output.terminal import Terminal
from dpnet.resilience.signals import STOPPING_FOR_CTRL_C

MOST_CRASHES = 2
"""So often ranks that crashed in the initialisation of MPI are started again. Open MPI 5.0 crashes there now and then
where ranks on several hosts start on busy cores; nothing of the job has begun by then."""


class Launcher:
    """Starts attempts.

    Args:
        mpirun: its path.
        options: of the command line.
        terminal: see Attempt.
        place: in a batch job.

    Attributes:
        name: with which the names of all its attempts begin.

    Raises:
        CommunicationError: mpirun cannot be run.
    """

    def __init__(self, mpirun: str, options: Options, terminal: Terminal | None, place: Place | None = None) -> None:
        self.mpirun, self._terminal, self._place = mpirun, terminal, place
        self.name, self._attempts = uuid.uuid4().hex, 0
        self._options, self._directory = options, os.getcwd()
        self._limits = Limits(options.grace_s, options.time_limit_s)
        self._forwards = forwards_signals(mpirun)
        self._told = {CROWDED: "1"} if _tell_if_crowded(options) else {}
        if is_program(options.command) and options.fault_tolerance is None and fault_tolerance(mpirun, options.mpirun):
            self._told[OFFERED] = "1"

    def line(
        self, options: Sequence[str], command: Sequence[str], environ: Mapping[str, str] = os.environ
    ) -> list[str]:
        """The command line that starts dpnet with these options of mpirun, in this environment."""
        if self._place and self._place.starter == SRUN:
            return [self.mpirun, *srun_flags(options), *options, *process_of(command)]
        own = flavour_flags(self.mpirun, options, say=say if command[0] == TRAIN else str)
        if self._survives(command):
            own += fault_tolerance(self.mpirun, options, say)
        if is_open_mpi(self.mpirun):
            # Others pass the whole environment to all hosts.
            own += ["-x", ATTEMPT, "-x", COLUMNS, *(["-x", DRAWN] if self._terminal else [])]
            own += ["-x", OFFERED] * (OFFERED in self._told)
        if self._place:
            own += flags(options, self._place, environ)
        return [self.mpirun, *own, *options, *process_of(command)]

    def _environ(self, options: Sequence[str]) -> dict[str, str]:
        environ = {**os.environ, **environment(options), **self._told}
        if self._place:
            environ |= variables(options, self._place)
            environ |= srun_variables() if self._place.starter == SRUN else {}
        return environ

    def _survives(self, command: Sequence[str]) -> bool:
        asked = self._options.fault_tolerance
        return command[0] == TRAIN if asked is None else asked

    def start(
        self,
        options: Sequence[str],
        command: Sequence[str],
        signals: Signals,
        is_done: Callable[[], bool] = lambda: False,
    ) -> Ended:
        """Run an attempt to its end; one that did not get through the initialisation of MPI is made anew.

        Raises:
            CommunicationError: mpirun cannot be run.
            OutputError: what the ranks printed, and nothing else is the result of the command, could not be written.
        """
        for crashes in range(MOST_CRASHES + 1):
            ended = self._attempt(options, command).run(signals, is_done)
            if not ended.crashed_at_start or ended.stopped_by is not None or ended.timed_out or crashes == MOST_CRASHES:
                break
            say("a rank crashed in the initialisation of MPI, before the job began: all ranks are started again")
        if ended.lingered:
            say("mpirun outlived its ranks and was killed")
        if ended.lost_output and not ended.code:
            raise OutputError(f"cannot write to standard output: {ended.lost_output}")
        return ended

    def _attempt(self, options: Sequence[str], command: Sequence[str]) -> Attempt:
        environ = self._environ(options)
        line = self.line(options, command, environ)
        self._attempts += 1
        told = STOPPING_FOR_CTRL_C if command[0] == TRAIN else "Ctrl-C: ending; Ctrl-C again ends at once"
        try:
            return Attempt(
                line,
                environ,
                self._limits,
                num_ranks=num_ranks(options),
                trains=command[0] == TRAIN,
                forwards=self._forwards,
                on_interrupt=lambda: say_over_ctrl_c(told),
                terminal=self._terminal,
                name=f"{self.name}-{self._attempts}",
                directory=self._directory,
            )
        except OSError as error:
            raise CommunicationError(f"cannot run {self.mpirun}: {error.strerror or error}") from error


def _tell_if_crowded(options: Options) -> bool:
    """Tell at once, before Python starts on a core so often, that there are more ranks than cores on this host.

    The ranks tell the rest, when they know their threads: what a job sets, and the cores of other hosts.
    """
    ranks, trains = num_ranks(options.mpirun) or 1, options.command[0] == TRAIN
    if not (on_this_host(options.mpirun) or all_here(options.mpirun)) or not (trains or is_program(options.command)):
        return False
    crowded = too_many(ranks, 1)
    if crowded:
        say(f"{crowded}: {what_is_faster(ranks, 1) if trains else 'they take turns'}")
    return bool(crowded)
