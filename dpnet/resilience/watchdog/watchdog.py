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
from dpnet.resilience.watchdog.node_view import NodeView
from dpnet.resilience.watchdog.patience import Patience
from dpnet.resilience.watchdog.report import process
from dpnet.resilience.watchdog.scene import Scene

MAX_LOOK_EVERY_S = 1.0
MIN_LOOK_EVERY_S = 0.01
MIN_STALE_S = 1.0
MIN_GRACE_S, MAX_GRACE_S = 1.0, 5.0
FILES_S = 10.0
"""A file system that takes longer than that counts as hanging itself."""

OTHERS_FIRST_S = 3.0
"""Seconds within which the other ranks of a node have ended themselves: several times what they take to notice."""
POLL_S = 0.02

ENDED = (
    'dpnet: the job is ended, as resilience.on_hang is "end"; the same command goes on from the newest checkpoint, if '
    "there is one"
)


class Watchdog:
    """Reports that this rank has no heartbeat any more, and which rank is to blame.

    While all is well it reads and writes some numbers, once a second, and touches no file. (During a step that takes
    longer than half the shortest time-out, it checks once a second whether other ranks have reported a hang.)

    A rank that never releases the interpreter stops its watchdog too. Another rank of the node then asks it for its
    stacks, see `stacks`. Where there is no other rank, a timer, which needs no interpreter, has them written to stderr
    or, with `end`, ends the process. (The timer also expires when the process is stopped for longer than the time-out,
    and continued.)

    Args:
        folder: of the run, seen by all ranks; the reports of a hang go to hang-<step> in it.
        board: whereabouts of the node's ranks, (ranks, whereabouts.LENGTH) float64, in memory that they share.
        rank: number of this rank.
        world_size: ranks of the job.
        node_ranks: ranks of this node; row i of the board is of node_ranks[i].
        host: the node's name.
        timeout_s: the longest time without a heartbeat; 0: chosen from the times between heartbeats so far.
        end: whether to end the job, with exit code 1, once the hang has been reported.
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
        self._folder, self._world_size, self._end = folder, world_size, end
        self._shortest_s = timeout_s or patience.FLOOR_S
        self._look_every_s = min(MAX_LOOK_EVERY_S, self._shortest_s / 5)
        stale_s = max(MIN_STALE_S, 3 * self._look_every_s)
        self._node = NodeView(board, node_ranks, rank=rank, host=host, stale_s=stale_s)
        self._patience = Patience(timeout_s, patience.FLOOR_S, time.monotonic())
        self._stacks = 0
        self._inquiry: Inquiry | None = None
        self._last_beat = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dpnet-watchdog", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        now, pid = time.monotonic(), os.getpid()
        if len(self._node.ranks) > 1:
            self._stacks = stacks.ready()
        self._patience = Patience(self._patience.fixed_s, patience.FLOOR_S, now)
        row = self._node.row
        row[whereabouts.STACKS] = self._stacks
        row[whereabouts.BORN] = process(pid)[1]
        row[whereabouts.ALIVE], row[whereabouts.PID] = now, pid
        self._thread.start()

    def stop(self) -> None:
        """Watch no more. The other ranks still watch this one: stop all watchdogs at about the same time."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._inquiry is not None:
            self._inquiry.stop()
        faulthandler.cancel_dump_traceback_later()
        if not self._stacks:
            stacks.write_later(0)
        self._node.row[whereabouts.STACKS] = 0

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _watch(self) -> None:
        row = self._node.row
        before, pause_s = time.monotonic(), 0.0
        while not self._stopped.wait(pause_s):
            now = time.monotonic()
            row[whereabouts.ALIVE] = now
            self._arm()
            late_s = now - before - pause_s
            self._look(now, late_s if late_s > max(1.0, pause_s) else 0.0)
            left_s = self._patience.left_s(now)
            before, pause_s = now, self._look_every_s
            if left_s > 0:
                pause_s = min(pause_s, max(MIN_LOOK_EVERY_S, left_s))

    def _arm(self) -> None:
        if self._stacks:
            return
        late_s = 1.2 * self._patience.timeout_s
        if self._end:
            faulthandler.dump_traceback_later(late_s, file=2, exit=True)
        else:
            stacks.write_later(late_s)

    def _look(self, now: float, lost_s: float) -> None:
        beat = self._node.row[whereabouts.BEAT]
        if self._patience.see(now, beat, lost_s):
            if self._inquiry is not None:
                self._inquiry.stop()
                if self._inquiry.has_announced:
                    say(f"dpnet: going on after {beat - self._last_beat:.0f} s")
            self._inquiry = None
            self._last_beat = beat
            return
        if self._inquiry is None and self._patience.idle_s(now) > self._shortest_s / 2:
            self._inquiry = self._inquire(now, beat)
        if self._inquiry is not None:
            if self._patience.left_s(now) <= 0:
                self._inquiry.alarm()
            if not lost_s:
                self._follow(self._inquiry, now)

    def _inquire(self, now: float, beat: float) -> Inquiry:
        after = time.time() - (now - beat) + self._shortest_s / 2
        scene = Scene(self._folder, int(self._node.row[whereabouts.STEP]), after=after)
        grace_s = min(max(MIN_GRACE_S, self._patience.timeout_s / 5), MAX_GRACE_S)
        every_s = self._look_every_s
        return Inquiry(self._node, scene, world_size=self._world_size, grace_s=grace_s, look_every_s=every_s)

    def _follow(self, inquiry: Inquiry, now: float) -> None:
        if inquiry.has_begun and not inquiry.is_done and now - inquiry.progressed > FILES_S:
            inquiry.announce_alone(f"{self._folder} does not answer")
        if self._end and inquiry.is_done:
            if inquiry.has_announced:
                say(ENDED)
            self._end_job()

    def _end_job(self) -> None:
        within(1.0, _flush)
        if self._node.is_first() and self._node.stuck():
            # The launcher returns the exit code of the rank that it sees end first: not to be that of a killed one.
            end = time.monotonic() + OTHERS_FIRST_S
            while self._node.running() and time.monotonic() < end:
                time.sleep(POLL_S)
            self._node.kill_stuck()
        os._exit(1)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
