"""What a rank sees of the ranks of its node, in the memory that they share.

A rank that is stopped, dead, or in a call that never releases the interpreter cannot write its report. The other ranks
of its node see its whereabouts, so one of them writes the report in its place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from dpnet import whereabouts
from dpnet.compute.arrays import Vector
from dpnet.resilience.watchdog import stacks
from dpnet.resilience.watchdog.report import GONE, STOPPED, Report, process


class NodeView:
    """The ranks of a node, as one of them sees them.

    Args:
        board: whereabouts of the ranks, (ranks, whereabouts.LENGTH) float64.
        ranks: their numbers; row i of the board is of ranks[i].
        rank: number of this one.
        host: the node's name.
        stale_s: a watchdog that has not been alive for so many seconds cannot run.

    Attributes:
        ranks, rank: see above.
    """

    def __init__(
        self, board: memoryview[float] | Vector, ranks: range, *, rank: int, host: str, stale_s: float
    ) -> None:
        numbers = board if isinstance(board, memoryview) else board.data
        self._rows = [whereabouts.row_of(numbers, place)[: whereabouts.LENGTH] for place in range(len(ranks))]
        self.ranks, self.rank = ranks, rank
        self._host = host
        self._stale_s = stale_s

    @property
    def row(self) -> memoryview[float]:
        """This rank's own whereabouts."""
        return self._row(self.rank)

    def stuck(self) -> list[int]:
        """Other ranks whose watchdogs cannot run."""
        now = time.monotonic()
        others = [rank for rank in self.ranks if rank != self.rank]
        return [rank for rank in others if now - self._row(rank)[whereabouts.ALIVE] > self._stale_s]

    def running(self) -> list[int]:
        """Other ranks whose watchdogs run, and whose processes have not ended."""
        stuck = self.stuck()
        others = [rank for rank in self.ranks if rank != self.rank and rank not in stuck]
        return [rank for rank in others if self._state(rank) != GONE]

    def is_first(self) -> bool:
        """Whether this rank is the first of the node whose watchdog runs."""
        stuck = self.stuck()
        return all(rank in stuck for rank in self.ranks if rank < self.rank)

    def report(self, rank: int) -> Report:
        """The report of a rank, written by this one if that rank is stuck."""
        row, now = self._row(rank), time.monotonic()
        operation = whereabouts.OPERATIONS[int(row[whereabouts.OPERATION])]
        return Report(
            rank=rank,
            host=self._host,
            pid=int(row[whereabouts.PID]),
            step=int(row[whereabouts.STEP]),
            phase=whereabouts.PHASES[int(row[whereabouts.PHASE])],
            seconds=now - row[whereabouts.SINCE],
            operation=operation,
            waiting_s=now - row[whereabouts.WAITING_SINCE] if operation else 0.0,
            idle_s=now - row[whereabouts.BEAT],
            state=self._state(rank),
            by=rank if rank == self.rank or rank not in self.stuck() else self.rank,
        )

    def stacks(self, rank: int) -> bytes:
        """The stacks of a stuck rank; empty if its process cannot write them."""
        row = self._row(rank)
        descriptor = int(row[whereabouts.STACKS])
        if descriptor and self._state(rank) not in (GONE, *STOPPED):
            return stacks.ask(int(row[whereabouts.PID]), descriptor)
        return b""

    def kill_stuck(self) -> None:
        """Kill the processes of the ranks whose watchdogs cannot run."""
        for rank in self.stuck():
            if self._state(rank) != GONE:
                with contextlib.suppress(OSError):
                    os.kill(int(self._row(rank)[whereabouts.PID]), signal.SIGKILL)

    def _state(self, rank: int) -> str:
        row = self._row(rank)
        state, born = process(int(row[whereabouts.PID]))
        return state if born == row[whereabouts.BORN] else GONE  # Otherwise another process has got its number.

    def _row(self, rank: int) -> memoryview[float]:
        return self._rows[self.ranks.index(rank)]
