"""The sums of a step."""

import math

import pytest

from dpnet.comm import topology
from dpnet.comm.local import LocalGroup
from dpnet.compute.loops import reference
from dpnet.parallel.step_sums import NOTHING, NUM_SUMS, Requests, StepSums, Sums


@pytest.fixture
def step_sums():
    return StepSums(topology.shared(LocalGroup()), [range(3)], reference)


def test_every_number_of_every_shard_is_added(step_sums):
    for shard in range(3):
        step_sums.put(shard, Sums(*(10**place * (shard + 1) for place in range(NUM_SUMS))))
    assert step_sums.totals() == tuple(6 * 10**place for place in range(NUM_SUMS))
    step_sums.put(1, Sums(0, 0, 0.0, 0))
    assert step_sums.totals() == tuple(4 * 10**place for place in range(NUM_SUMS))


def test_counts_are_integers_and_what_has_a_weight_is_none(step_sums):
    for shard in range(3):
        step_sums.put(shard, Sums(4, 4, 1 / 3, 2, True, *Requests(save=True)))
    sums = step_sums.totals()
    assert sums == Sums(samples=12, weight=12, loss=1 / 3 + 1 / 3 + 1 / 3, hits=6, bad=3, saves=3)
    assert [type(number) for number in sums] == [int, float, float, float, int, int, int, int]


def test_a_loss_that_is_not_finite_spoils_nothing_else(step_sums):
    for shard, loss in enumerate((1.0, math.nan, math.inf)):
        step_sums.put(shard, Sums(4, 4, loss, 2, not math.isfinite(loss), *NOTHING))
    sums = step_sums.totals()
    assert math.isnan(sums.loss)
    assert sums._replace(loss=0) == (12, 12, 0, 6, 2, 0, 0, 0)


@pytest.mark.parametrize("name", Requests._fields)
def test_a_request_is_counted_under_its_own_name(step_sums, name):
    for shard in range(3):
        step_sums.put(shard, Sums(0, 0, 0.0, 0, False, *Requests(**{name: shard == 1})))
    counted = {"save": "saves", "stop": "stops", "fail": "failures"}[name]
    assert step_sums.totals() == Sums(0, 0, 0.0, 0)._replace(**{counted: 1})
