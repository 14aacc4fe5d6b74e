"""The watchdog: no rank hangs silently.

A thread of every rank, which never calls MPI, notices that the rank has finished nothing (`watchdog.py`) within a
time-out that suits the steps so far (`patience.py`). Then every rank writes a report (`report.py`, `node_view.py`) to a
folder that all ranks see (`scene.py`), and one rank prints for all which rank keeps the others waiting (`inquiry.py`,
`verdict.py`). The watchdog must not know what is trained: it reads the whereabouts of ranks and nothing else.
"""

from dpnet.resilience.watchdog.watchdog import Watchdog

__all__ = ["Watchdog"]
