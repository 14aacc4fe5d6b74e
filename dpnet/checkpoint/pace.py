"""The pace of the writer process: polite while ranks compute, never starved, urgent while somebody waits for it.

Work that takes the processor is run in a thread with the lowest priority, which takes what the ranks leave of the
cores. Where that is next to nothing, as beside other programs, the writer would take minutes. So work is also run in
the main thread, which has the priority of a rank: as much of it as keeps up a least pace, and all of it while somebody
waits. (An ordinary user may lower the priority of a thread, but not raise it again; hence two threads.)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

LEAST_URGENT = 19
"""Niceness of the polite thread. Linux gives it a seventieth of a core that a rank keeps busy."""
LEAST_BYTES_PER_S = 10 << 20
"""The least pace. On one core, copying, hashing and writing take about four hundredths of the time for that."""


class Pace:
    """Runs work, see above.

    Attributes:
        urgent: set while somebody waits.
        done_bytes: handled so far by the work of the current checkpoint.
    """

    def __init__(self) -> None:
        self._polite = ThreadPoolExecutor(1, initializer=os.nice, initargs=(LEAST_URGENT,))
        self.urgent = threading.Event()
        self.begin()

    def begin(self) -> None:
        """Begin with another checkpoint."""
        self.done_bytes, self._seconds = 0, 0.0

    def run(self, work: Callable[[], None], num_bytes: int) -> None:
        """Run a piece of work that handles so many bytes, about a megabyte."""
        start_s = time.monotonic()
        is_late = self.done_bytes < LEAST_BYTES_PER_S * self._seconds
        if is_late or self.urgent.is_set():
            work()
        else:
            self._polite.submit(work).result()
        self.done_bytes += num_bytes
        self._seconds += time.monotonic() - start_s
