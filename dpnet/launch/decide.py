"""What follows an attempt: done, restart, or give up. A pure function of what happened.

A failure that repeats is the job's own: restarting would repeat it for ever. It is known by its place, the last step
and the newest checkpoint, and by its exit code and error. What kills a process leaves no error; it may hit the same
place twice by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

USAGE_EXIT_CODE = 2
KILLED_EXIT_CODES = (9, 137)
"""Of a job that lost a rank to SIGKILL, under MPICH and under Open MPI."""
MOST_SAME, MOST_STUCK = 2, 3
"""Attempts in a row that end at the same place: with the same error, or however they end."""
MOST_WAIT_S = 60.0


@dataclass(frozen=True)
class Place:
    """How far a training got: the last step that it logged, and the newest that it saved."""

    step: int
    checkpoint: int


@dataclass(frozen=True)
class Outcome:
    """An attempt that has ended.

    Attributes:
        code: exit code of mpirun, 128 + n where signal n ended it.
        finished: there is a proof that the training is complete.
        place: how far it got.
        error: the last error that the ranks told.
        stopped: a signal to this process ended it.
        timed_out: it was ended at the time limit.
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
        said = "without a summary" if self.code == 0 else self.error
        return f"exit code {self.code}" + (f", {said}" if said else "")

    @property
    def by_the_job(self) -> bool:
        """The job itself failed, as far as can be seen: nothing killed it, and no rank was lost."""
        lost = self.error is None or self.error.startswith("CommunicationError")
        return not (lost or self.timed_out or self.code in KILLED_EXIT_CODES)


@dataclass(frozen=True)
class Decision:
    """What to do after an attempt.

    Attributes:
        wait_s: seconds to wait before a restart; None: no restart.
        exit_code: where there is no restart.
        why: for the user; empty where nothing is to be said.
    """

    wait_s: float | None
    exit_code: int
    why: str


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
        times = "twice" if stuck == MOST_SAME else f"{stuck} times"
        where = f"at step {last.place.step}, newest checkpoint {last.place.checkpoint}"
        return Decision(None, failed, f"gave up: {last.error or last} {times} {where}")
    if len(outcomes) > max_restarts:
        return Decision(None, failed, f"gave up after {len(outcomes)} attempts: {last} at step {last.place.step}")
    return Decision(min(MOST_WAIT_S, 2.0 ** (stuck - 1)), failed, f"{last} at step {last.place.step}")


def _stuck(outcomes: Sequence[Outcome]) -> int:
    """How many attempts in a row ended at the place of the last."""
    count = 0
    for outcome in reversed(outcomes):
        if outcome.place != outcomes[-1].place:
            break
        count += 1
    return count


def _same(outcomes: Sequence[Outcome]) -> int:
    """How many attempts in a row ended at the place and with the failure of the last; 1 for one that may be chance."""
    last, count = outcomes[-1], 0
    for outcome in reversed(outcomes):
        if (outcome.place, outcome.code, outcome.error) != (last.place, last.code, last.error):
            break
        count += 1
    return count if last.by_the_job else 1
