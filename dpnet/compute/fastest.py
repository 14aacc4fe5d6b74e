"""The time of work that is repeated.

That of its fastest call says what the core can do: other programs take the core from some of the other calls. The mean
of all says what is left for this process where more ranks than cores compute.
"""

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


def mean_s(work: Callable[[], object], seconds: float) -> float:
    """Seconds of a call of `work` in the mean over so many seconds, after a first call."""
    work()
    calls, begin_s = 0, time.perf_counter()
    while (taken_s := time.perf_counter() - begin_s) < seconds or not calls:
        work()
        calls += 1
    return taken_s / calls
