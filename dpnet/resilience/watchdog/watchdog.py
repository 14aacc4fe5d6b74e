"""The thread that watches over a rank."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from pathlib import Path

from dpnet import whereabouts
from dpnet.compute.arrays import Vector
from dpnet.resilience.watchdog import patience, stacks
from dpnet.resilience.watchdog.inquiry import Inquiry, say, within
from dpnet.resilience.watchdog.patience import Patience
from dpnet.resilience.watchdog.report import Node, Scene, process

MAX_BEAT_S = 1.0
MIN_BEAT_S = 0.01
MIN_STALE_S = 1.0
MIN_GRACE_S, MAX_GRACE_S = 1.0, 5.0
FILES_S = 10.0
"""Files that take longer than that are taken to hang themselves."""

OTHERS_FIRST_S = 0.3


class Watchdog:
    """Tells when nothing moves any more, and who is to blame.

    While all is well it reads and writes some numbers, once a second, and touches no file. (Where a step takes longer
    than half the shortest time-out, it looks once a second whether other ranks have reported a hang.)

    A rank that never lets go of the interpreter stops its watchdog too. Another rank of the node asks it for its stacks
    then, see `stacks`. Where there is none, a timer, which needs no interpreter, has them written to stderr or, with
    `end`, ends the process. (It does so as well when the process is stopped for longer than the time-out, and
    continued.)

    Args:
        folder: of the run, seen by all ranks; what is known of a hang goes to hang-<step> in it.
        board: whereabouts of the node's ranks, (ranks, whereabouts.LENGTH) float64, in memory that they share.
        rank: this one.
        world_size: ranks of the job.
        node_ranks: ranks of this node; row i of the board is of node_ranks[i].
        host: the node's name.
        timeout_s: the longest time without a move; 0: chosen from the time between moves so far.
        end: whether to end the job, with exit code 1, once the hang has been told.
    """

    def __init__(
        self,
        folder: Path,
        board: memoryview[float] | Vector,
        *,
        rank: int,
        world_size: int,
        node_ranks: range,
        host: str,
        timeout_s: float,
        end: bool,
    ) -> None:
        view, length = board if isinstance(board, memoryview) else board.data, whereabouts.LENGTH
        numbers = view.cast("B").cast("d")
        rows = [numbers[place * length : (place + 1) * length] for place in range(len(node_ranks))]
        self._folder = folder
        self._rank = rank
        self._world_size = world_size
        self._end = end
        self._row = rows[node_ranks.index(rank)]
        self._shortest_s = timeout_s or patience.FLOOR_S
        self._beat_s = min(MAX_BEAT_S, self._shortest_s / 5)
        self._node = Node(rows, node_ranks, rank=rank, host=host, stale_s=max(MIN_STALE_S, 3 * self._beat_s))
        self._patience = Patience(timeout_s, patience.FLOOR_S, time.monotonic())
        self._stacks = 0
        self._inquiry: Inquiry | None = None
        self._moved = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dpnet-watchdog", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        now, pid = time.monotonic(), os.getpid()
        if len(self._node.ranks) > 1:
            self._stacks = stacks.ready()
        self._patience = Patience(self._patience.fixed_s, patience.FLOOR_S, now)
        row = self._row
        row[whereabouts.STACKS] = self._stacks
        row[whereabouts.BORN] = process(pid)[1]
        row[whereabouts.ALIVE], row[whereabouts.PID] = now, pid
        self._thread.start()

    def stop(self) -> None:
        """Watch no more. The other ranks go on to watch this one: stop all at about the same time."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._inquiry is not None:
            self._inquiry.stop()
        faulthandler.cancel_dump_traceback_later()
        if not self._stacks:
            stacks.write_later(0)
        self._row[whereabouts.STACKS] = 0

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _watch(self) -> None:
        before, asked_s = time.monotonic(), 0.0
        while not self._stopped.wait(asked_s):
            now = time.monotonic()
            self._row[whereabouts.ALIVE] = now
            self._arm()
            late_s = now - before - asked_s
            self._look(now, late_s if late_s > max(1.0, asked_s) else 0.0)
            left_s = self._patience.left_s(now)
            before, asked_s = now, min(self._beat_s, max(MIN_BEAT_S, left_s)) if left_s > 0 else self._beat_s

    def _arm(self) -> None:
        if self._stacks:
            return
        late_s = 1.2 * self._patience.timeout_s
        if self._end:
            faulthandler.dump_traceback_later(late_s, file=2, exit=True)
        else:
            stacks.write_later(late_s)

    def _look(self, now: float, lost_s: float) -> None:
        moved = self._row[whereabouts.BEAT]
        if self._patience.see(now, moved, lost_s):
            if self._inquiry is not None:
                self._inquiry.stop()
                if self._inquiry.is_teller:
                    say(f"dpnet: going on after {moved - self._moved:.0f} s")
            self._inquiry = None
            self._moved = moved
            return
        if self._inquiry is None and self._patience.idle_s(now) > self._shortest_s / 2:
            self._inquiry = self._inquire(now, moved)
        if self._inquiry is not None:
            if self._patience.left_s(now) <= 0:
                self._inquiry.alarm()
            if not lost_s:
                self._follow(self._inquiry, now)

    def _inquire(self, now: float, moved: float) -> Inquiry:
        after = time.time() - (now - moved) + self._shortest_s / 2
        scene = Scene(self._folder, int(self._row[whereabouts.STEP]), after=after)
        grace_s = min(max(MIN_GRACE_S, self._patience.timeout_s / 5), MAX_GRACE_S)
        return Inquiry(
            self._node,
            scene,
            rank=self._rank,
            world_size=self._world_size,
            grace_s=grace_s,
            beat_s=self._beat_s,
        )

    def _follow(self, inquiry: Inquiry, now: float) -> None:
        if inquiry.has_begun and not inquiry.is_done and now - inquiry.seen > FILES_S:
            inquiry.tell_alone(f"{self._folder} does not answer")
        if self._end and inquiry.is_done:
            self._end_job()

    def _end_job(self) -> None:
        within(1.0, _flush)
        if self._node.is_first() and self._node.stuck():
            # The launcher returns the code of the rank that it sees end first: not that of one which was killed.
            time.sleep(OTHERS_FIRST_S)
            self._node.kill_stuck()
        os._exit(1)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
