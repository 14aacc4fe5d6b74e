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

from dpnet.arrays import Labels, Matrix
from dpnet.data.dataset import Dataset
from dpnet.plan import Plan, SampleIds

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
        datasets: two over the same samples, each for the shards of the plan: one is used while the other is filled.
        shards: of this rank, in order.
    """

    def __init__(self, plan: Plan, datasets: tuple[Dataset, Dataset], shards: Sequence[int]) -> None:
        self._plan = plan
        self._datasets = datasets
        self._after = dict(zip(shards, [*((shard, 0) for shard in shards[1:]), (shards[0], 1)], strict=True))
        self._count = 0
        self._ahead: tuple[int, int] | None = None
        self._helper: _Helper | None = None

    def gather(self, step: int, shard: int) -> tuple[Matrix, Labels]:
        """The samples of a shard and their labels, views that hold until the call after the next.

        Args:
            step: from 0.
            shard: of this rank.
        """
        self._count += 1
        if self._ahead is None and self._count % LOOKS_EVERY:
            return self._datasets[0].gather(self._ids(step, shard))
        return self._with_a_look(step, shard)

    def _with_a_look(self, step: int, shard: int) -> tuple[Matrix, Labels]:
        if self._helper is not None and self._ahead is not None:
            gathered = self._helper.take()
            if self._ahead != (step, shard):  # Somebody went elsewhere: to an earlier step, say.
                gathered = watched_gather(self._datasets[self._count % 2], self._ids(step, shard))
        else:
            gathered = watched_gather(self._datasets[self._count % 2], self._ids(step, shard))
        self._ahead = None
        if gathered.asleep_s > WORTH_A_THREAD_S:
            self._helper = self._helper or _Helper()
            shard_after, steps = self._after[shard]
            self._ahead = (step + steps, shard_after)
            self._helper.ask(self._datasets[(self._count + 1) % 2], self._ids(*self._ahead))
        return gathered.x, gathered.labels

    def _ids(self, step: int, shard: int) -> SampleIds:
        return self._plan.shard(self._plan.batch(step), shard)


def watched_gather(data: Dataset, ids: SampleIds) -> Gathered:
    """Gather, and see how long this thread slept in it."""
    begin_s, busy_begin_s = time.perf_counter(), time.thread_time()
    x, labels = data.gather(ids)
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
