"""The feed: the samples of every shard, step by step, gathered ahead where gathering waits for the disk.

Rows that lie in memory are gathered when they are needed: a thread could do it no faster, and waking one costs more
than it saves. Rows of a mapped file may not be in memory yet: whoever touches them sleeps until they have been read. So
the feed measures its own gathering. Where most of that time passes asleep, a thread gathers the next shard while this
one is computed; otherwise no thread is used. Samples are the same either way.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from dpnet.compute.arrays import Matrix, SampleIds, Targets
from dpnet.data.dataset import Dataset
from dpnet.parallel.plan import Plan

WORTH_A_THREAD_S = 300e-6
"""Least time asleep in a gathering that makes a thread worthwhile: several times what waking the thread takes."""
MEASURED_EVERY = 16
"""Gatherings from one that is measured to the next, while no thread is used."""


class Gathered(NamedTuple):
    """The outcome of one gathering, and the time that it spent asleep."""

    x: Matrix
    labels: Targets
    asleep_s: float


class Feed:
    """Samples for the shards of one rank.

    Args:
        plan: which samples each step uses.
        data: gathers them into a buffer that others may read.
        ahead: gathers the same samples, for any shard of the plan, into another buffer.
        shards: of this rank, in order.
    """

    def __init__(self, plan: Plan, data: Dataset, ahead: Dataset, shards: Sequence[int]) -> None:
        self._plan = plan
        self._data, self._data_ahead = data, ahead
        self._after = dict(zip(shards, [*((shard, 0) for shard in shards[1:]), (shards[0], 1)], strict=True))
        self._count = 0
        self._ahead: tuple[int, int] | None = None
        self._helper: _Helper | None = None

    def gather(self, step: int, shard: int, *, first: int = 0) -> tuple[Matrix, Targets]:
        """The samples of a shard and their labels, views that hold until the next call for the same rows.

        Args:
            step: from 0.
            shard: of this rank.
            first: row of the buffer in which the first sample belongs.
        """
        self._count += 1
        if self._ahead is None and self._count % MEASURED_EVERY:
            return self._data.gather(self._plan.shard(step, shard), first=first)
        x, labels, asleep_s = self._measured(step, shard, first)
        self._ahead = None
        if asleep_s > WORTH_A_THREAD_S:
            self._helper = self._helper or _Helper()
            shard_after, steps = self._after[shard]
            self._ahead = (step + steps, shard_after)
            self._helper.ask(self._data_ahead, self._plan.shard(*self._ahead))
        return x, labels

    def numbers(self, ids: SampleIds) -> SampleIds:
        """The numbers in their file of some samples."""
        return self._data.numbers(ids)

    def _measured(self, step: int, shard: int, first: int) -> Gathered:
        if self._helper is not None and self._ahead is not None:
            gathered = self._helper.take()
            if self._ahead == (step, shard):
                return Gathered(*self._data.put(gathered.x, gathered.labels, first=first), gathered.asleep_s)
            # What was gathered ahead is not needed: the training went back to an earlier step, for example.
        return measured_gather(self._data, self._plan.shard(step, shard), first=first)


def measured_gather(data: Dataset, ids: SampleIds, *, first: int = 0) -> Gathered:
    """Gather, and measure how long this thread slept meanwhile."""
    begin_s, busy_begin_s = time.perf_counter(), time.thread_time()
    x, labels = data.gather(ids, first=first)
    elapsed_s, busy_s = time.perf_counter() - begin_s, time.thread_time() - busy_begin_s
    # If it was asleep for less than half of the time, the core was only taken away for a moment.
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
        """Wait for what was asked for."""
        outcome = self._done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _serve(self) -> None:
        while True:
            data, ids = self._asked.get()
            try:
                self._done.put(measured_gather(data, ids))
            except BaseException as error:
                self._done.put(error)
