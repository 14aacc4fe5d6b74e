"""Which reducer is chosen; and that none reads the sums of a node before all its ranks have brought theirs."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.jobs import train

from dpnet.comm.local import LocalGroup
from dpnet.comm.topology import Topology
from dpnet.compute.backend import plain_backend
from dpnet.config.keys import KEYS
from dpnet.nn.layout import Layout
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import REDUCERS, choose_reducer, joint_reads_less
from dpnet.parallel.step_sums import Sums

WIDE, SMALL = Layout([784, 2048, 2048, 10]), Layout([64, 64, 10])
TWO = [range(2)]


def test_a_job_file_can_name_every_reducer():
    for name in REDUCERS:
        assert f'"{name}"' in KEYS["train.reducer"].expected
    assert KEYS["train.reducer"].expected.count('"') == 2 * (len(REDUCERS) + 1)
    assert KEYS["train.reducer"].default == "auto"


def test_left_to_dpnet_it_is_the_one_that_reads_less():
    assert choose_reducer("auto", 0, WIDE, TWO, 256) == "joint"
    assert choose_reducer("auto", 0, SMALL, TWO, 32) == "shards"


@pytest.mark.parametrize("name", REDUCERS)
def test_one_that_is_asked_for_is_taken(name):
    assert {choose_reducer(name, 0, layout, TWO, 32) for layout in (WIDE, SMALL)} == {name}


@pytest.mark.parametrize("setting", ["auto", "shards"])
def test_reproducible_shards_are_summed_in_their_order(setting):
    assert choose_reducer(setting, 4, WIDE, TWO, 256) == "shards"


@pytest.mark.parametrize("setting", ["joint", "allreduce"])
def test_no_other_order_passes_for_reproducible(setting):
    # A job file that asks for it is refused; a job made in Python is not checked.
    with pytest.raises(AssertionError, match=setting):
        choose_reducer(setting, 4, WIDE, TWO, 256)


def test_joint_is_used_where_ranks_read_less_of_one_another():
    assert joint_reads_less(WIDE, TWO, 256)
    assert not joint_reads_less(SMALL, TWO, 32)
    # Of 64 x 64 weights each of two ranks makes the rows of 32 inputs and all 64 outputs.
    square = Layout([64, 64])
    most = square.size // (2 * (32 + 64))
    assert [joint_reads_less(square, [range(1), range(1, 3)], most + more) for more in (-3, 3)] == [True, False]


@pytest.mark.parametrize("name", ["joint", "shards", "allreduce"])
def test_a_training_may_go_on_with_another(tmp_path, capsys, name):
    train(tmp_path, {"train.epochs": 1, "checkpoint.every_steps": 12})
    summary = train(tmp_path, {"train.epochs": 2, "checkpoint.every_steps": 12, "train.reducer": name})
    assert summary["steps"] == 24
    text = capsys.readouterr().out
    assert f'note: train.reducer is "{name}", in the run it is "auto"' in text
    assert "going on from the checkpoint of step 12" in text


class Rank(LocalGroup):
    """One of two ranks of a node, which are objects of this process and share their memory."""

    world_size = 2

    def __init__(self, rank, vectors):
        super().__init__()
        self.rank, self._count, self._vectors = rank, itertools.count(), vectors
        self.waits_for = lambda: None

    def barrier(self):
        self.waits_for()

    def zeros(self, size, dtype):
        return self._vectors.setdefault(next(self._count), np.zeros(size, dtype))


@pytest.mark.parametrize("name", ["joint", "shards"])
def test_the_sums_are_those_of_ranks_that_come_later_too(name):
    vectors, plan, layout = {}, Plan(8, 8, seed=0, num_shards=2), Layout([3, 2])
    nothing = SimpleNamespace(weight_gradients=lambda dweights: None)

    def make(node):
        factors = [(node.zeros(8 * 3, np.float64).reshape(8, 3), node.zeros(8 * 2, np.float64).reshape(8, 2))]
        where = Topology(node, node, node, [range(2)])
        how = {"layout": layout, "dtype": np.float64, "factors": factors, "backend": plain_backend()}
        return REDUCERS[name](where, plan=plan, **how)

    node = Rank(0, vectors)
    early, late = make(node), make(Rank(1, vectors))
    for step in range(2):
        early.add(0, nothing, Sums(4, 4, 1.5, 2))
        node.waits_for = lambda step=step: late.add(1, nothing, Sums(4, 4, 0.25, step))
        assert early.reduce(8) == late.reduce(8) == Sums(8, 8, 1.75, 2 + step)
