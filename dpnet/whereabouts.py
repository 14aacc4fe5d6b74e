"""Whereabouts: what this rank is doing and since when, for the watchdog and the search for stragglers.

The training records them as it goes, which costs a few stores a step. The numbers lie in a row that can be relocated to
memory shared by all ranks of the node: there the others find them when this rank is stuck and cannot report itself.
"""

from __future__ import annotations

import os
import time
from typing import Any

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
    "report",
)
"""What a rank may be doing."""
START, DATA, FORWARD, BACKWARD, REDUCE, UPDATE, COMMIT = range(7)
EVALUATION, CHECKPOINT, RECOVERY, END, REPORT = range(7, len(PHASES))

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
"""Operations in which a rank may wait for others; "": it waits for none."""

STEP, PHASE, SINCE, OPERATION, WAITING_SINCE, BEAT, ALIVE, PID, BORN, STACKS = range(10)
"""Places in a row of float64 numbers. Times are seconds of time.monotonic, which all processes of a host share.

    STEP                        being taken, from 1
    PHASE, SINCE                what the rank does, and since when
    OPERATION, WAITING_SINCE    in which it waits for other ranks, and since when
    BEAT                        its last heartbeat: when it last finished something

The watchdog fills in the rest:

    ALIVE                       when the watchdog was last alive
    PID, BORN                   the process, and its start time in the kernel's ticks
    STACKS                      descriptor of the file for its stacks, see watchdog.stacks
"""
LENGTH = 16
"""Numbers in a row, padding included: no two rows share a cache line, or a write to one would evict the other."""

QUICK_S = 5e-3
"""Steps shorter than this are sampled, since reading the clock takes up to a hundredth of such a step."""
SAMPLED = 8
"""Every so many short steps one is timed."""


def row_of(board: memoryview[Any], number: int) -> memoryview[float]:
    """Row `number` of a board, and the rows behind it; a board holds the rows of all ranks of a node."""
    return board.cast("B").cast("d")[number * LENGTH :]


class Whereabouts:
    """What one process is doing, and how it has spent its time.

    Attributes:
        row: the numbers that others may read.
        seconds: spent in each phase so far, waiting included; an estimate from a sample where steps are quick.
        waited: seconds that the process waited for other ranks, in all phases.
        waited_outside: those of them that were outside of steps.
        helpers: processes that work for this one.
    """

    def __init__(self) -> None:
        self.row: memoryview[float] = memoryview(bytearray(8 * LENGTH)).cast("d")
        self.seconds = [0.0] * len(PHASES)
        self.waited = self.waited_outside = 0.0
        self.helpers: set[int] = set()
        self._phase, self._since = START, time.monotonic()
        # Number of steps that the current one stands for; 0: it is not timed.
        self._weight = 1
        self.row[SINCE] = self.row[BEAT] = self._since
        self.row[PID] = os.getpid()

    def relocate(self, row: memoryview[float]) -> None:
        """From now on keep the numbers in another row, of at least LENGTH float64 numbers."""
        row[:LENGTH] = self.row[:LENGTH]
        self.row = row[:LENGTH]

    def enter(self, phase: int) -> None:
        """Begin a phase."""
        self.row[PHASE] = phase
        if self._weight or phase > COMMIT or self._phase > COMMIT:  # Phases outside of steps are always timed.
            self._count(time.monotonic())
            self._phase = phase

    def _count(self, now: float) -> None:
        self.seconds[self._phase] += (now - self._since) * (self._weight if self._phase <= COMMIT else 1)
        self._since = self.row[SINCE] = now

    def step_done(self, step: int) -> None:
        """A step was finished: a heartbeat; step `step`, from 1, is taken next."""
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
        """Something other than a step was finished: a heartbeat after a block of an evaluation, or a checkpoint."""
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
        if self._phase > COMMIT:
            self.waited_outside += seconds
        row[OPERATION] = 0
        return seconds


HERE = Whereabouts()
"""The whereabouts of this process, in which one training at a time takes place."""
