"""How long a rank may go without finishing anything: as long as its own pace so far makes plausible."""

from __future__ import annotations

FLOOR_S = 60.0
"""The shortest time-out that is chosen."""
FACTOR = 30
"""How many times as long as usual something may take: a machine under load is ten times as slow."""
FACTOR_ONCE = 2
"""The same for what took exceptionally long: the first step, and what was a hang already."""
FIRST = 5
"""The first step may take so many times the shortest time-out: it compiles, and reads data that no cache holds."""


def adaptive_timeout_s(usual_s: float, once_s: float, floor_s: float) -> float:
    """The time-out after which a rank hangs.

    Args:
        usual_s: the longest that it has taken to finish something; 0: it has finished nothing yet.
        once_s: the longest that it has taken exceptionally.
        floor_s: no time-out is shorter.
    """
    return max(floor_s, FACTOR * usual_s, FACTOR_ONCE * once_s)


class Patience:
    """Of one rank.

    Args:
        fixed_s: the time-out; 0: choose it.
        floor_s: the shortest that is chosen.
        now: time.monotonic.

    Attributes:
        timeout_s: the time-out.
    """

    def __init__(self, fixed_s: float, floor_s: float, now: float) -> None:
        self.fixed_s = fixed_s
        self._floor_s = floor_s
        self._usual_s = self._once_s = 0.0
        self._moves = 0
        self._moved = self._since = now
        self.timeout_s = fixed_s or FIRST * floor_s

    def see(self, now: float, moved: float, lost_s: float = 0.0) -> bool:
        """Look whether something was finished since the last look.

        Args:
            now: time.monotonic.
            moved: when something was last finished.
            lost_s: for so long since the last look nothing could run on this machine; it does not count.
        """
        self._since += lost_s
        if moved <= self._moved:
            return False
        self._learn(moved - self._since)
        self._moved, self._since = moved, min(now, moved + lost_s)
        return True

    def idle_s(self, now: float) -> float:
        """Seconds since something was finished."""
        return now - self._since

    def left_s(self, now: float) -> float:
        """Seconds until the time-out; negative behind it."""
        return self._since + self.timeout_s - now

    def _learn(self, interval_s: float) -> None:
        self._moves += 1
        if self._moves == 1 or interval_s > self.timeout_s:
            self._once_s = max(self._once_s, interval_s)
        else:
            self._usual_s = max(self._usual_s, interval_s)
        self.timeout_s = self.fixed_s or adaptive_timeout_s(self._usual_s, self._once_s, self._floor_s)
