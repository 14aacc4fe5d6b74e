"""The feed: the same samples with and without a thread, and a thread only where gathering sleeps."""

import threading
import time

import numpy as np
import pytest

from dpnet.data.dataset import Dataset
from dpnet.data.scaling import Scaling
from dpnet.data.split import make_split
from dpnet.parallel import feed as feed_module
from dpnet.parallel.feed import MEASURED_EVERY, Feed
from dpnet.parallel.plan import Plan

NUM_SAMPLES = 103
INPUTS = np.arange(NUM_SAMPLES * 2, dtype=np.float32).reshape(-1, 2)
STEPS = 5 * MEASURED_EVERY
FIRST = 4
"""The row of the buffer that samples are asked to begin in."""


class Slow(Dataset):
    """Rows that arrive late, as from a disk; notes which thread gathers."""

    delay_s, noted = 0.0, None

    def gather(self, ids, *, first=0):
        self.noted.append(threading.current_thread() is threading.main_thread())
        time.sleep(self.delay_s)
        return super().gather(ids, first=first)


gathered_by = []


def make_feed(plan, shards, delay_s):
    global gathered_by
    gathered_by = []  # A new list: the thread of an earlier feed may still be gathering.
    split = make_split(INPUTS, np.arange(NUM_SAMPLES), "x", "y")
    rows, plain = plan.max_rows() + FIRST, Scaling(np.zeros(1), np.ones(1))
    datasets = [Slow(split, plain, max_rows=rows, dtype=np.float32) for _ in range(2)]
    for data in datasets:
        data.delay_s, data.noted = delay_s, gathered_by
    return Feed(plan, *datasets, shards), datasets


def never_asleep(monkeypatch):
    """Count all time as busy: on a machine with other work, a core may be gone for as long as a disk takes."""
    monkeypatch.setattr(feed_module.time, "thread_time", time.perf_counter)


def check(feed, plan, step, shard):
    x, labels = feed.gather(step, shard, first=FIRST)
    ids = plan.shard(step, shard)
    assert labels.tolist() == ids.tolist()
    assert x.tobytes() == INPUTS[ids].tobytes()
    assert np.shares_memory(x, feed._data.x[FIRST : FIRST + len(ids)]) == (len(ids) > 0)
    assert not feed._data.x[:FIRST].any()


@pytest.mark.parametrize("delay_s", [0.0, 0.002])
@pytest.mark.parametrize("shards", [[0], [1, 2]])
def test_every_shard_gets_its_samples(shards, delay_s, monkeypatch):
    if delay_s == 0:
        never_asleep(monkeypatch)
    plan = Plan(NUM_SAMPLES, 20, seed=1, num_shards=3)
    feed, _ = make_feed(plan, shards, delay_s)
    for step in range(STEPS):
        for shard in shards:
            check(feed, plan, step, shard)
    assert all(gathered_by) == (delay_s == 0)


def test_going_back_to_an_earlier_step_gives_its_samples():
    plan = Plan(NUM_SAMPLES, 20, seed=1, num_shards=1)
    feed, _ = make_feed(plan, [0], 0.002)
    for step in [*range(MEASURED_EVERY + 3), 2, 3, 4]:
        check(feed, plan, step, 0)
    assert not all(gathered_by)


def test_the_thread_stops_when_the_data_have_come_into_memory(monkeypatch):
    plan = Plan(NUM_SAMPLES, 20, seed=1, num_shards=1)
    feed, datasets = make_feed(plan, [0], 0.002)
    for step in range(2 * MEASURED_EVERY):
        check(feed, plan, step, 0)
    assert not gathered_by[-1]
    never_asleep(monkeypatch)
    for data in datasets:
        data.delay_s = 0.0
    for step in range(2 * MEASURED_EVERY, 4 * MEASURED_EVERY):
        check(feed, plan, step, 0)
    assert all(gathered_by[-MEASURED_EVERY:])


def test_an_error_in_the_thread_is_raised():
    plan = Plan(NUM_SAMPLES, 20, seed=1, num_shards=1)
    feed, datasets = make_feed(plan, [0], 0.002)
    for step in range(MEASURED_EVERY - 1):
        feed.gather(step, 0)
    for data in datasets:
        data.gather = raise_after_the_first(data.gather)
    feed.gather(MEASURED_EVERY - 1, 0)
    with pytest.raises(OSError, match="gone"):
        feed.gather(MEASURED_EVERY, 0)


def raise_after_the_first(original):
    def gather(ids, *, first=0):
        if threading.current_thread() is threading.main_thread():
            return original(ids, first=first)
        raise OSError("the disk is gone")

    return gather


def test_a_gathering_that_computes_does_not_count_as_asleep(monkeypatch):
    plan = Plan(NUM_SAMPLES, 20, seed=1, num_shards=1)
    _, (data, _) = make_feed(plan, [0], 0.0)
    # Less than half of the time asleep: a core that others use as well.
    clock = iter([0.0, 0.010])
    busy = iter([0.0, 0.006])
    monkeypatch.setattr(feed_module.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(feed_module.time, "thread_time", lambda: next(busy))
    assert feed_module.measured_gather(data, np.arange(3)).asleep_s == 0
