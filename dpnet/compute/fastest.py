"""The time of work that is repeated: that of its fastest call, as other programs take the core from the others."""

from __future__ import annotations

import time
from collections.abc import Callable


def fastest_s(work: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest call of `work`, which is repeated for so many seconds."""
    best, end_s = float("inf"), time.perf_counter() + seconds
    while (begin_s := time.perf_counter()) < end_s:
        work()
        best = min(best, time.perf_counter() - begin_s)
    return best
