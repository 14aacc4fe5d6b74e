"""The feed: the samples of every shard, step by step, gathered ahead where gathering waits for the disk.

Rows that lie in memory are gathered when they are needed: a thread could do it no faster, and waking one costs more
than it saves. Rows of a mapped file that is not in memory are another matter: whoever touches them sleeps until they
have been read. So the feed looks at its own gathering. Where most of that time passes asleep, a thread gathers the next
shard while this one is computed; where it does not, or no longer, there is none. Which of the two changes no bit.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from dpnet.compute.arrays import Labels, Matrix, SampleIds
from dpnet.data.dataset import Dataset
from dpnet.parallel.plan import Plan

WORTH_A_THREAD_S = 300e-6
"""Least time asleep per gathering that a thread is worth: several times what waking it takes."""
LOOKS_EVERY = 16
"""Gatherings from one look to the next."""


class Gathered(NamedTuple):
    """What one gathering brought, and how much of its time it slept."""

    x: Matrix
    labels: Labels
    asleep_s: float


class Feed:
    """Samples for the shards of one rank.

    Args:
        plan: which samples each step uses.
        data: gathers them into a buffer that others may read.
        ahead: another one over the same samples, for any shard of the plan, to gather into ahead.
        shards: of this rank, in order.
    """

    def __init__(self, plan: Plan, data: Dataset, ahead: Dataset, shards: Sequence[int]) -> None:
        self._plan = plan
        self._data, self._data_ahead = data, ahead
        self._after = dict(zip(shards, [*((shard, 0) for shard in shards[1:]), (shards[0], 1)], strict=True))
        self._count = 0
        self._ahead: tuple[int, int] | None = None
        self._helper: _Helper | None = None

    def gather(self, step: int, shard: int, *, first: int = 0) -> tuple[Matrix, Labels]:
        """The samples of a shard and their labels, views that hold until the next call for the same rows.

        Args:
            step: from 0.
            shard: of this rank.
            first: row of the buffer in which the first sample belongs.
        """
        self._count += 1
        if self._ahead is None and self._count % LOOKS_EVERY:
            return self._data.gather(self._plan.shard(step, shard), first=first)
        x, labels, asleep_s = self._with_a_look(step, shard, first)
        self._ahead = None
        if asleep_s > WORTH_A_THREAD_S:
            self._helper = self._helper or _Helper()
            shard_after, steps = self._after[shard]
            self._ahead = (step + steps, shard_after)
            self._helper.ask(self._data_ahead, self._plan.shard(*self._ahead))
        return x, labels

    def _with_a_look(self, step: int, shard: int, first: int) -> Gathered:
        if self._helper is not None and self._ahead is not None:
            gathered = self._helper.take()
            if self._ahead == (step, shard):
                return Gathered(*self._data.put(gathered.x, gathered.labels, first=first), gathered.asleep_s)
            # Somebody went elsewhere: to an earlier step, say.
        return watched_gather(self._data, self._plan.shard(step, shard), first=first)


def watched_gather(data: Dataset, ids: SampleIds, *, first: int = 0) -> Gathered:
    """Gather, and see how long this thread slept in it."""
    begin_s, busy_begin_s = time.perf_counter(), time.thread_time()
    x, labels = data.gather(ids, first=first)
    elapsed_s, busy_s = time.perf_counter() - begin_s, time.thread_time() - busy_begin_s
    # Less than half asleep: the core was taken away for a moment, no more.
    return Gathered(x, labels, elapsed_s - busy_s if elapsed_s > 2 * busy_s else 0.0)


class _Helper:
    """A thread that gathers."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[Dataset, SampleIds]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Gathered | BaseException] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def ask(self, data: Dataset, ids: SampleIds) -> None:
        """Begin to gather."""
        self._asked.put((data, ids))

    def take(self) -> Gathered:
        """What was asked for, once it is there."""
        outcome = self._done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _serve(self) -> None:
        while True:
            data, ids = self._asked.get()
            try:
                self._done.put(watched_gather(data, ids))
            except BaseException as error:
                self._done.put(error)
