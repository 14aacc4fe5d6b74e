"""What a rank does about a hang: it writes reports, its own and those of stuck ranks of its node.

One rank announces the verdict for all: the first rank of the lowest node that reports; if it fails to, the first rank
of the next node, and so on. An inquiry runs in a thread of its own, for the file system may be what hangs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from dpnet.resilience.watchdog.node_view import NodeView
from dpnet.resilience.watchdog.report import read
from dpnet.resilience.watchdog.scene import Scene
from dpnet.resilience.watchdog.verdict import verdict

POLL_S = 0.1
TURN_S = 3.0
"""A rank whose turn it is to announce the verdict has so many seconds, then it is the next one's turn."""
MAX_TURNS = 3


class Inquiry:
    """An inquiry into one hang, or into what may become one; it begins with the alarm of this rank or of another.

    Time-outs that are chosen differ between ranks. The shortest decides: the other ranks see its report and add theirs.

    Args:
        node: the ranks of this node.
        scene: where reports go.
        world_size: number of ranks that should report.
        grace_s: reports that take longer are not waited for.
        look_every_s: from one look for the alarm of another rank to the next.

    Attributes:
        has_announced: whether this rank has announced the verdict.
        is_done: whether there is nothing left to do.
        progressed: time.monotonic of the last progress of its thread.
    """

    def __init__(self, node: NodeView, scene: Scene, *, world_size: int, grace_s: float, look_every_s: float) -> None:
        self._node = node
        self._scene = scene
        self._world_size = world_size
        self._grace_s = grace_s
        self._look_every_s = look_every_s
        self._alarm = threading.Event()
        self._over = threading.Event()
        self._stood_in: set[int] = set()
        self.has_announced = self.is_done = False
        self.progressed = time.monotonic()
        threading.Thread(target=self._run, name="dpnet-inquiry", daemon=True).start()

    @property
    def has_begun(self) -> bool:
        """Whether there was an alarm."""
        return self._alarm.is_set()

    def alarm(self) -> None:
        """Begin, as this rank hangs or another one does."""
        if not self.has_begun:
            self.progressed = time.monotonic()
            self._alarm.set()

    def stop(self) -> None:
        """Do nothing more: the hang is over."""
        self._over.set()
        self._alarm.set()

    def announce_alone(self, why: str) -> None:
        """Announce what this node knows, without any reports; `why` says why there are none."""
        self._over.set()
        if self._node.is_first():
            self.has_announced = True
            say(verdict([self._node.report(rank) for rank in self._node.ranks], self._node.ranks, f"No stacks: {why}"))
        self.is_done = True

    def _run(self) -> None:
        while not self._alarm.wait(self._look_every_s):
            if self._is_alarm_elsewhere():
                self.alarm()
        if self._over.is_set():
            return
        try:
            self._scene.write(self._node.report(self._node.rank))
            self._follow()
        except OSError as error:
            self.announce_alone(f"cannot write to {self._scene.path}: {error.strerror or error}")
        self.is_done = True

    def _is_alarm_elsewhere(self) -> bool:
        try:
            return bool(self._scene.found())
        except OSError:
            return False

    def _follow(self) -> None:
        began = time.monotonic()
        while not self._over.is_set() and not self._scene.is_summarised():
            self.progressed = time.monotonic()
            waited_s = self.progressed - began
            if self._node.is_first():
                self._stand_in()
                if self._is_turn(waited_s):
                    self._scene.refresh(self._node.rank)
                    if self._is_turn(waited_s) and not self._scene.is_summarised():
                        self._announce()
            elif waited_s > self._grace_s + TURN_S:
                return
            self._over.wait(POLL_S)

    def _stand_in(self) -> None:
        for rank in set(self._node.stuck()) - self._stood_in:
            self._stood_in.add(rank)
            report = self._node.report(rank)
            if report.pid and rank not in self._scene.found():
                self._scene.write(report, self._node.stacks(rank))

    def _is_turn(self, waited_s: float) -> bool:
        found = self._scene.found()
        if waited_s < self._grace_s and len(found) < self._world_size:
            return False
        before = 0
        for rank in sorted(rank for rank in found if rank < self._node.rank):
            report = read(found[rank])
            before += report is not None and report.is_own
            if before == MAX_TURNS:
                break
        return not before or waited_s >= self._grace_s + before * TURN_S

    def _announce(self) -> None:
        reports = [report for path in self._scene.found().values() if (report := read(path)) is not None]
        reports = reports or [self._node.report(self._node.rank)]
        text = verdict(reports, range(self._world_size), f"Stacks: {self._scene.path}/")
        self.has_announced = True
        self._scene.summarise(text)
        if not self._over.is_set():
            say(text)


def say(text: str) -> None:
    """Print to stderr; do not wait for a reader who has stopped reading."""
    within(1.0, lambda: print(text, file=sys.stderr, flush=True))


def within(seconds: float, function: Callable[[], None]) -> None:
    """Call a function in a thread, and wait at most so many seconds for its return."""
    thread = threading.Thread(target=function, name="dpnet-output", daemon=True)
    thread.start()
    thread.join(seconds)
