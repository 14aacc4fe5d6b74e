"""How long a rank may go without a heartbeat: as long as its pace so far makes plausible."""

from __future__ import annotations

FLOOR_S = 60.0
"""The shortest time-out that is chosen."""
FACTOR = 30
"""A beat may take so many times as long as the longest usual one: a machine under load is ten times as slow."""
FACTOR_ONCE = 2
"""The same factor for exceptionally long ones: the first step, and hangs that ended."""
FIRST = 5
"""The first step may take so many times the shortest time-out: it compiles, and reads data that no cache holds."""


def adaptive_timeout_s(usual_s: float, once_s: float, floor_s: float) -> float:
    """The time-out after which a rank counts as hanging.

    Args:
        usual_s: the longest usual time between heartbeats; 0: there were none yet.
        once_s: the longest exceptional one.
        floor_s: no time-out is shorter.
    """
    return max(floor_s, FACTOR * usual_s, FACTOR_ONCE * once_s)


class Patience:
    """The time-out of one rank, learned from its heartbeats.

    Args:
        fixed_s: the time-out; 0: choose it.
        floor_s: the shortest that is chosen.
        now: time.monotonic.

    Attributes:
        fixed_s: see above.
        timeout_s: the time-out.
    """

    def __init__(self, fixed_s: float, floor_s: float, now: float) -> None:
        self.fixed_s = fixed_s
        self._floor_s = floor_s
        self._usual_s = self._once_s = 0.0
        self._beats = 0
        self._beat = self._since = now
        self.timeout_s = fixed_s or FIRST * floor_s

    def see(self, now: float, beat: float, lost_s: float = 0.0) -> bool:
        """Learn from the last heartbeat; returns whether it is a new one.

        Args:
            now: time.monotonic.
            beat: when the last heartbeat was.
            lost_s: seconds since the last call in which nothing could run on this machine; they do not count.
        """
        self._since += lost_s
        if beat <= self._beat:
            return False
        self._learn(beat - self._since)
        self._beat, self._since = beat, min(now, beat + lost_s)
        return True

    def idle_s(self, now: float) -> float:
        """Seconds since the last heartbeat."""
        return now - self._since

    def left_s(self, now: float) -> float:
        """Seconds until the time-out; negative after it."""
        return self._since + self.timeout_s - now

    def _learn(self, interval_s: float) -> None:
        self._beats += 1
        if self._beats == 1 or interval_s > self.timeout_s:
            self._once_s = max(self._once_s, interval_s)
        else:
            self._usual_s = max(self._usual_s, interval_s)
        self.timeout_s = self.fixed_s or adaptive_timeout_s(self._usual_s, self._once_s, self._floor_s)
