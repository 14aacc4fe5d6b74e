"""What a rank does about a hang: it reports, also for ranks of its node that cannot, and one rank tells for all.

That is the first rank of the lowest node that reports; should it fail to, the first of the next node does, and so on.
All of this is done in a thread of its own, for the file system may be what hangs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from dpnet.resilience.watchdog.report import Node, Scene, read
from dpnet.resilience.watchdog.verdict import verdict

POLL_S = 0.1
TURN_S = 3.0
"""A rank that should tell is given so long before the next does."""
MAX_TURNS = 3


class Inquiry:
    """Into one hang, or what may become one: it begins with the alarm, of this rank or of another.

    Time-outs that are chosen differ between ranks. The shortest decides; the others see its report and add theirs.

    Args:
        node: the ranks of this node.
        scene: where reports go.
        rank: this one.
        world_size: as many ranks should report.
        grace_s: reports that take longer are not waited for.
        beat_s: how often to look whether others have raised the alarm.

    Attributes:
        is_teller: whether this rank has told.
        is_done: whether there is nothing left to do.
        seen: time.monotonic when it last got on.
    """

    def __init__(self, node: Node, scene: Scene, *, rank: int, world_size: int, grace_s: float, beat_s: float) -> None:
        self._node = node
        self._scene = scene
        self._rank = rank
        self._world_size = world_size
        self._grace_s = grace_s
        self._beat_s = beat_s
        self._alarm = threading.Event()
        self._over = threading.Event()
        self._stood_in: set[int] = set()
        self.is_teller = self.is_done = False
        self.seen = time.monotonic()
        threading.Thread(target=self._run, name="dpnet-inquiry", daemon=True).start()

    @property
    def has_begun(self) -> bool:
        """Whether there was an alarm."""
        return self._alarm.is_set()

    def alarm(self) -> None:
        """This rank hangs."""
        if not self.has_begun:
            self.seen = time.monotonic()
            self._alarm.set()

    def stop(self) -> None:
        """Do nothing more."""
        self._over.set()
        self._alarm.set()

    def tell_alone(self, why: str) -> None:
        """Tell what is known on this node, for there are no reports."""
        self._over.set()
        if self._node.is_first():
            self.is_teller = True
            say(verdict([self._node.report(rank) for rank in self._node.ranks], self._node.ranks, f"No stacks: {why}"))
        self.is_done = True

    def _run(self) -> None:
        while not self._alarm.wait(self._beat_s):
            if self._is_alarm_elsewhere():
                self.alarm()
        if self._over.is_set():
            return
        try:
            self._scene.write(self._node.report(self._rank))
            self._follow()
        except OSError as error:
            self.tell_alone(f"cannot write to {self._scene.path}: {error.strerror or error}")
        self.is_done = True

    def _is_alarm_elsewhere(self) -> bool:
        try:
            return bool(self._scene.found())
        except OSError:
            return False

    def _follow(self) -> None:
        began = time.monotonic()
        while not self._over.is_set() and not self._scene.told():
            self.seen = time.monotonic()
            waited_s = self.seen - began
            if self._node.is_first():
                self._stand_in()
                if self._is_turn(waited_s):
                    self._scene.refresh(self._rank)
                    if self._is_turn(waited_s) and not self._scene.told():
                        self._tell()
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
        for rank in sorted(rank for rank in found if rank < self._rank):
            report = read(found[rank])
            before += report is not None and report.is_own
            if before == MAX_TURNS:
                break
        return not before or waited_s >= self._grace_s + before * TURN_S

    def _tell(self) -> None:
        reports = [report for path in self._scene.found().values() if (report := read(path)) is not None]
        reports = reports or [self._node.report(self._rank)]
        text = verdict(reports, range(self._world_size), f"Stacks: {self._scene.path}/")
        self.is_teller = True
        self._scene.tell(text)
        if not self._over.is_set():
            say(text)


def say(text: str) -> None:
    """Print to stderr; whoever should read it may have ceased to."""
    within(1.0, lambda: print(text, file=sys.stderr, flush=True))


def within(seconds: float, function: Callable[[], None]) -> None:
    """Call a function, and wait no longer than that for its return."""
    thread = threading.Thread(target=function, name="dpnet-output", daemon=True)
    thread.start()
    thread.join(seconds)
