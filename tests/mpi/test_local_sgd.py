"""Local SGD on every number of ranks and of nodes: the bits of one rank, and a vector each H steps between nodes."""

import dataclasses
import functools

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.local import LocalGroup
from dpnet.comm.world import by_node
from dpnet.compute.backend import plain_backend
from dpnet.config.file import from_dict
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.state.banks import StateVectors
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

pytestmark = pytest.mark.mpi

STEPS, EVERY = 10, 4
INPUTS, LABELS = np.random.default_rng(1).standard_normal((50, 30)), np.arange(50) % 3
SOURCE = DataSource("random", make_split(INPUTS, LABELS, "x", "y"), None)


def job(workers):
    return from_dict(
        {
            "model": {"hidden_layers": [70, 9]},
            "train": {"global_batch_size": 11, "steps": STEPS, "workers": workers, "sync_every": EVERY},
            "optimizer": {"learning_rate": 0.01, "clip_norm": 0.5},
        },
        where="test",
    )


@functools.cache
def group_of(ranks_per_node):
    return by_node(connect()._comm, ranks_per_node) if connect().world_size > 1 else connect()


def trained(workers, group, first=0, last=STEPS, vectors=None):
    """The vectors after the steps from `first` to `last`: on rank 0 all, as a checkpoint has them."""
    setup = prepare(job(workers), group, SOURCE, backend=plain_backend(), scaling=UNSCALED)
    parts = build_parts(setup, SOURCE, vectors)
    met = [parts.trainer.step(step) for step in range(first, last)][-1]
    slots = {name: vector.copy() for name, vector in parts.trainer.optimizer_vectors().items()}
    return StateVectors(parts.state.params.copy(), slots, last), met


@functools.cache
def alone(workers):
    return trained(workers, LocalGroup())


@pytest.mark.parametrize("ranks_per_node", [1, 2, 4])
@pytest.mark.parametrize("workers", [4, 5, 7])
def test_any_number_of_ranks_computes_the_same_bits(workers, ranks_per_node):
    group = group_of(ranks_per_node)
    (expected, sums), (found, met) = alone(workers), trained(workers, group)
    assert found.params.tobytes() == expected.params.tobytes()
    assert met == sums
    if group.rank == 0:
        names, vectors = [*expected.slots], expected.slots.values()
        assert sorted(found.slots) == sorted(names)
        assert [found.slots[name].tobytes() for name in names] == [vector.tobytes() for vector in vectors]


def test_a_state_goes_on_on_another_number_of_ranks():
    middle, _ = trained(5, LocalGroup(), last=2 * EVERY)
    expected, _ = alone(5)
    found, _ = trained(5, group_of(1), first=2 * EVERY, vectors=middle)
    assert found.params.tobytes() == expected.params.tobytes()


class Counting:
    """A group that counts the bytes which this rank sends to others."""

    def __init__(self, group):
        self._group, self.sent = group, 0

    def __getattr__(self, name):
        return getattr(self._group, name)

    def exchange(self, sends, receives):
        self.sent += sum(vector.nbytes for rank, vector in sends if rank != self._group.rank)
        self._group.exchange(sends, receives)

    def allgather_into(self, vector, counts):
        self.sent += (self._group.world_size - 1) * counts[self._group.rank] * vector.itemsize
        self._group.allgather_into(vector, counts)


@pytest.mark.parametrize("ranks_per_node", [1, 2, 4])
def test_between_nodes_travels_what_a_synchronous_step_sends_and_only_when_workers_meet(ranks_per_node):
    group, sent = Counting(group_of(ranks_per_node)), []
    for number in (4, 0):
        asked = job(4)
        train = dataclasses.replace(asked.train, workers=number, reproducible_shards=4 - number, steps=1000)
        made = dataclasses.replace(asked, train=train)
        parts = build_parts(prepare(made, group, SOURCE, backend=plain_backend(), scaling=UNSCALED), SOURCE)
        group.sent = 0
        for step in range(4 * EVERY):
            parts.trainer.step(step)
        sent.append(sum(group.allgather(group.sent)))
    assert sent[0] <= 1.05 / EVERY * sent[1]
    assert bool(sent[1]) == (group.node.world_size < group.world_size)
