"""Whereabouts: what this rank is doing and since when, for whoever asks why nothing moves, and who is slow.

The training says so as it goes, at the price of storing some numbers. They lie in a row that can be moved to memory
which all ranks of the node see: there the others find it when this rank is stuck and cannot tell any more.
"""

from __future__ import annotations

import os
import time

PHASES = (
    "start",
    "data",
    "forward",
    "backward",
    "reduce",
    "update",
    "commit",
    "evaluation",
    "checkpoint",
    "recovery",
    "end",
)
"""What a rank may be doing."""
START, DATA, FORWARD, BACKWARD, REDUCE, UPDATE, COMMIT, EVALUATION, CHECKPOINT, RECOVERY, END = range(len(PHASES))

OPERATIONS = (
    "",
    "start",
    "barrier",
    "broadcast",
    "allgather",
    "exchange",
    "allgather_into",
    "gather_into",
    "agreement",
    "allreduce",
)
"""What it may wait in for other ranks; "": nothing."""

STEP, PHASE, SINCE, OPERATION, WAITING_SINCE, BEAT, ALIVE, PID, BORN, STACKS = range(10)
"""Places in a row of float64 numbers: the step being taken (from 1); the phase and since when; the operation in which
it waits and since when; when something was last finished; when its watchdog was last seen; the process, and when it
began, in the kernel's ticks; its file descriptor of its stacks, see watchdog.stacks. Times are those of
time.monotonic, which all processes of a host share, in seconds. The watchdog fills in the last four."""
LENGTH = 16
"""Numbers of a row, with room behind: no two rows share a line of the cache, which every write would take away."""

QUICK_S = 5e-3
"""Of steps that take less only every `SAMPLED`-th is timed: reading the clock takes up to a hundredth of the time."""
SAMPLED = 8


def row_of(board: memoryview, number: int) -> memoryview[float]:
    """Row `number`, and those behind it, of a board: the rows of all ranks of a node, one after the other."""
    return board.cast("B").cast("d")[number * LENGTH :]


class Whereabouts:
    """Of one process.

    Attributes:
        row: its numbers; others may read them.
        seconds: spent in each phase so far, the time that it waited for others included. Where steps are quick, an
            estimate from some of them.
        waited: of these, the time that it waited for others.
    """

    def __init__(self) -> None:
        self.row: memoryview[float] = memoryview(bytearray(8 * LENGTH)).cast("d")
        self.seconds = [0.0] * len(PHASES)
        self.waited = 0.0
        self._phase, self._since = START, time.monotonic()
        # Of how many steps the current one is an example; 0: it is not timed.
        self._weight = 1
        self.row[SINCE] = self.row[BEAT] = self._since
        self.row[PID] = os.getpid()

    def relocate(self, row: memoryview[float]) -> None:
        """Keep the numbers in another row, of at least LENGTH float64 numbers, from now on."""
        row[:LENGTH] = self.row[:LENGTH]
        self.row = row[:LENGTH]

    def enter(self, phase: int) -> None:
        """Begin a phase."""
        self.row[PHASE] = phase
        if self._weight or phase > COMMIT or self._phase > COMMIT:  # What is no part of a step is always timed.
            self._count(time.monotonic())
            self._phase = phase

    def _count(self, now: float) -> None:
        self.seconds[self._phase] += (now - self._since) * (self._weight if self._phase <= COMMIT else 1)
        self._since = self.row[SINCE] = now

    def step_done(self, step: int) -> None:
        """A step was finished; step `step`, from 1, is taken next."""
        now, row = time.monotonic(), self.row
        if self._weight:
            self._count(now)
        if now - row[BEAT] > QUICK_S:
            self._weight = 1
        elif step % SAMPLED:
            self._weight = 0
        else:
            self._weight = SAMPLED
        self._since = row[BEAT] = now
        row[STEP] = step

    def beat(self) -> None:
        """Something was finished: a step, a block of an evaluation, a checkpoint."""
        self.row[BEAT] = time.monotonic()

    def wait(self, operation: int) -> None:
        """Begin to wait for other ranks."""
        row = self.row
        row[WAITING_SINCE] = time.monotonic()
        row[OPERATION] = operation

    def go_on(self) -> float:
        """The wait is over; returns the seconds that it took."""
        row = self.row
        seconds = time.monotonic() - row[WAITING_SINCE]
        self.waited += seconds
        row[OPERATION] = 0
        return seconds


HERE = Whereabouts()
"""Those of this process: one training at a time takes place in it."""
