"""Where one node has no room for shared memory, all nodes hear of it, and train without."""

import dataclasses
import errno
import functools
import itertools
import os

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.world import by_node
from dpnet.compute.backend import plain_backend
from dpnet.config.file import from_dict
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

pytestmark = pytest.mark.mpi(min_size=2)

group = connect()
INPUTS = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
SOURCE = DataSource("random", make_split(INPUTS, np.arange(40) % 3, "x", "y"), None)


def trained(job, ranks):
    """The parts of a training after its three steps."""
    parts = build_parts(prepare(job, ranks, SOURCE, backend=plain_backend(), scaling=UNSCALED), SOURCE)
    for step in range(3):
        parts.trainer.step(step)
    return parts


@functools.cache
def without_shared_memory(job):
    """The parameters of the same training where nobody has asked for shared memory."""
    apart = dataclasses.replace(job, train=dataclasses.replace(job.train, shared_memory=False))
    return trained(apart, by_node(group._comm, 2)).state.params.tobytes()


@pytest.mark.parametrize("shards", [0, 6])
@pytest.mark.parametrize("fails_at", [0, 3])
def test_one_node_without_room_makes_all_train_without(monkeypatch, shards, fails_at):
    settings = {"global_batch_size": 9, "steps": 3, "reproducible_shards": shards}
    job = from_dict({"model": {"hidden_layers": [6, 4]}, "train": settings}, where="test")
    expected = without_shared_memory(job)
    ranks, allocate, calls = by_node(group._comm, 2), os.posix_fallocate, itertools.count()

    def full(handle, start, size):
        if ranks.rank < 2 and next(calls) >= fails_at:  # On the first node alone.
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(handle, start, size)

    monkeypatch.setattr(os, "posix_fallocate", full)
    parts = trained(job, ranks)
    told = ranks.allgather(parts.memory)
    assert all(text.startswith("a copy of the parameters for each rank: no room in /dev/shm") for text in told)
    assert parts.state.params.tobytes() == expected
