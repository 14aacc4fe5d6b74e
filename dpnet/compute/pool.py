"""A rank's threads for loops that release Python's lock; matrix products bring their own threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from dpnet.compute.shares import share

Work = Callable[[int, int, int], None]
"""Does the parts from `first` to before `stop` on thread number `member` of the pool: (member, first, stop)."""


class Pool:
    """Threads that do the parts of some work at the same time.

    Args:
        size: number of threads with the caller's, at least 1.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._orders: list[queue.SimpleQueue[tuple[Work, int, int]]] = [queue.SimpleQueue() for _ in range(size - 1)]
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        for member, orders in enumerate(self._orders, 1):
            threading.Thread(target=self._serve, args=(member, orders), daemon=True).start()

    def run(self, work: Work, parts: int, *, least: int) -> None:
        """Do some work, and return when all of it is done.

        Args:
            work: does some of the parts. It should release Python's lock, or threads gain nothing.
            parts: number of parts.
            least: fewest parts that are worth a thread: waking one takes some 20 microseconds.
        """
        if self.size == 1 or parts < 2 * least:
            work(0, 0, parts)
            return
        helpers = min(self.size, parts // least) - 1
        for member in range(1, helpers + 1):
            self._orders[member - 1].put((work, *share(parts, member, helpers + 1)))
        try:
            work(0, *share(parts, 0, helpers + 1))
        finally:
            failed = [error for error in [self._done.get() for _ in range(helpers)] if error is not None]
        if failed:
            raise failed[0]

    def _serve(self, member: int, orders: queue.SimpleQueue[tuple[Work, int, int]]) -> None:
        while True:
            work, first, stop = orders.get()
            try:
                work(member, first, stop)
            except BaseException as error:
                self._done.put(error)
            else:
                self._done.put(None)
