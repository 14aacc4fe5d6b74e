"""What follows an attempt: done, restart, or give up. A pure function of what happened.

A failure that repeats is the job's own fault, and a restart would only repeat it again. Two failures are the same if
they have the same place (last step, newest checkpoint), exit code and error. A killed process leaves no error, and
kills may hit the same place twice by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dpnet.errors import INTERRUPTED_EXIT_CODE
from dpnet.launch.errorline import PREEMPTED

USAGE_EXIT_CODE = 2
KILLED_EXIT_CODES = (9, 137)
"""Exit codes of a job that lost a rank to SIGKILL, under MPICH and under Open MPI."""
_SIGNALS = {
    4: "a library was compiled for another processor?",
    7: "/dev/shm or a disk is full?",
    9: "the system's memory ran out?",
    11: "a library failed",
}
"""Signals that kill a rank, and what may have been the cause."""
MOST_SAME, MOST_STUCK = 2, 3
"""Attempts in a row that may end at the same place: with the same error, or in any way."""
MOST_WAIT_S = 60.0


@dataclass(frozen=True)
class Place:
    """How far a training got: its last step in the learning curve, and the step of its newest checkpoint."""

    step: int
    checkpoint: int


@dataclass(frozen=True)
class Outcome:
    """An attempt that has ended.

    Attributes:
        code: exit code of mpirun, 128 + n where signal n ended it.
        finished: the training is provably complete.
        place: how far the training got.
        error: the last error that the ranks printed.
        stopped: a signal to this process ended the attempt.
        timed_out: the attempt was ended at the time limit.
    """

    code: int
    finished: bool
    place: Place
    error: str | None = None
    stopped: bool = False
    timed_out: bool = False

    def __str__(self) -> str:
        if self.timed_out:
            return "the time limit was reached"
        if not self.error and (why := killed(self.code)):
            return f"exit code {self.code} ({why})"
        if self.code == 0:
            return "mpirun returned 0, but the training is not complete (were all ranks killed?)"
        return f"exit code {self.code}" + (f", {self.error}" if self.error else "")

    @property
    def by_the_job(self) -> bool:
        """Whether the job itself failed, as far as its error shows: nothing killed it, and no rank was lost."""
        lost = self.error is None or self.error.startswith(("CommunicationError", PREEMPTED))
        return not (lost or self.timed_out or self.code in KILLED_EXIT_CODES)


@dataclass(frozen=True)
class Decision:
    """What to do after an attempt.

    Attributes:
        wait_s: seconds to wait before a restart; None: no restart.
        exit_code: of `dpnet launch`, where there is no restart.
        why: for the user; empty: there is nothing to report.
    """

    wait_s: float | None
    exit_code: int
    why: str


def queues_again(last: Outcome, *, progressed: bool, restarts: int) -> bool:
    """Whether a batch job goes back into the queue after its last attempt.

    Yes, where something other than the job itself ended it: it was asked to end, or ranks were lost. A job that never
    gets anywhere so is given up after a few turns.

    Args:
        last: its last attempt.
        progressed: it has written a checkpoint.
        restarts: how often the scheduler has started it again already.
    """
    if last.finished or last.code in (USAGE_EXIT_CODE, INTERRUPTED_EXIT_CODE):
        return False
    return (last.stopped or not last.by_the_job) and (progressed or restarts < MOST_STUCK)


def killed(code: int) -> str:
    """By which signal a rank was killed, and why perhaps, as the exit code of mpirun says; empty: none was.

    Open MPI returns 128 + n, MPICH n, which is none of dpnet's own codes. Who was killed is not known: mpirun itself
    leaves the same code.
    """
    number = code - 128 if code > 128 else code
    return f"a rank, or mpirun, was killed by signal {number}; {_SIGNALS[number]}" if number in _SIGNALS else ""


def decide(outcomes: Sequence[Outcome], max_restarts: int) -> Decision:
    """What to do after the last of these attempts."""
    last = outcomes[-1]
    failed = last.code or 1
    if last.finished:
        return Decision(None, 0, "")
    if last.stopped or last.code == USAGE_EXIT_CODE:
        return Decision(None, failed, "")
    same = _same(outcomes)
    stuck = _stuck(outcomes)
    if same >= MOST_SAME or stuck >= MOST_STUCK:
        number = same if same >= MOST_SAME else stuck  # Before the same failure, another may have come there.
        times = "twice" if number == MOST_SAME else f"{number} times"
        where = f"at step {last.place.step}, newest checkpoint {last.place.checkpoint}"
        return Decision(None, failed, f"gave up: {last.error or last}; {times} {where}")
    if not max_restarts:
        return Decision(None, failed, f"{last}; at step {last.place.step}")
    if len(outcomes) > max_restarts:
        return Decision(None, failed, f"gave up after {len(outcomes)} attempts: {last}; at step {last.place.step}")
    return Decision(min(MOST_WAIT_S, 2.0 ** (stuck - 1)), failed, f"{last}; at step {last.place.step}")


def _stuck(outcomes: Sequence[Outcome]) -> int:
    """How many attempts in a row ended at the same place as the last."""
    count = 0
    for outcome in reversed(outcomes):
        if outcome.place != outcomes[-1].place:
            break
        count += 1
    return count


def _same(outcomes: Sequence[Outcome]) -> int:
    """How many attempts in a row ended like the last, with its place and failure; 1 if that may be chance."""
    last, count = outcomes[-1], 0
    for outcome in reversed(outcomes):
        if (outcome.place, outcome.code, outcome.error) != (last.place, last.code, last.error):
            break
        count += 1
    return count if last.by_the_job else 1
