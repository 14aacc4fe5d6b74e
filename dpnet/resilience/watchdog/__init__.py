"""The watchdog: no rank hangs without saying so.

A thread of every rank, which never calls MPI, sees that nothing is finished any more (`watchdog.py`), by a time-out
that suits the steps so far (`patience.py`). Then the ranks write where they are (`hang.py`), and the lowest that still
can tells, once for all of them, who keeps the others waiting (`inquiry.py`, `verdict.py`).
"""

from dpnet.resilience.watchdog.watchdog import Watchdog

__all__ = ["Watchdog"]
