"""The gradient that the ranks of a node compute together: that of all samples, however they are shared out."""

import functools
import itertools

import numpy as np
import pytest
from helpers.nodes import KINDS, finished, on_nodes

from dpnet.comm.connect import connect
from dpnet.comm.world import by_node
from dpnet.compute.backend import plain_backend
from dpnet.config.file import from_dict
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.nn.layout import Layout
from dpnet.parallel import tiles
from dpnet.parallel.allreduce import AllReduce
from dpnet.parallel.joint import JointReducer
from dpnet.parallel.plan import Plan
from dpnet.parallel.shards import ShardReducer
from dpnet.parallel.step_sums import Sums
from dpnet.state.ownership import owned_slices
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

pytestmark = pytest.mark.mpi

SIZES = (60, 70, 9)
LAYOUT = Layout(SIZES)
WIDTHS = list(itertools.pairwise(SIZES))


@pytest.fixture(params=KINDS)
def nodes(request):
    return on_nodes(request.param)


def samples(num_samples, step):
    """Of all ranks together: x and dz of both layers."""
    draw = np.random.default_rng([step, num_samples])
    return [tuple(draw.standard_normal((num_samples, width)) for width in pair) for pair in WIDTHS]


def expected_gradient(num_samples, step):
    flat = np.zeros(LAYOUT.size)
    for (dweight, dbias), (x, dz) in zip(LAYOUT.views(flat), samples(num_samples, step), strict=True):
        dweight[...] = x.T @ dz
        dbias[...] = dz.sum(axis=0)
    return flat


class Joint:
    """A reducer with the buffers of a network."""

    def __init__(self, nodes, global_batch_size):
        self.plan = Plan(1000, global_batch_size, seed=0, num_shards=nodes.group.world_size)
        rows = self.plan.max_rows(len(nodes.here))
        self.factors = [
            tuple(nodes.memory.zeros(rows * width, np.float64).reshape(rows, width) for width in pair)
            for pair in WIDTHS
        ]
        self.reducer = JointReducer(
            nodes,
            plan=self.plan,
            layout=LAYOUT,
            dtype=np.float64,
            factors=self.factors,
            backend=plain_backend(),
        )

    def step(self, num_samples, step):
        """What this rank brings; the sums over all."""
        (shard,) = self.reducer.shards
        start, stop = self.plan.shard_start(num_samples, shard), self.plan.shard_start(num_samples, shard + 1)
        first = self.reducer.first_row(num_samples, shard)
        for mine, whole in zip(self.factors, samples(num_samples, step), strict=True):
            for target, source in zip(mine, whole, strict=True):
                target[first : first + stop - start] = source[start:stop]
        for dbias, (_, dz) in zip(self.reducer.dbiases, samples(num_samples, step), strict=True):
            dbias[...] = dz[start:stop].sum(axis=0)
        self.reducer.add(shard, None, Sums(samples=stop - start, weight=stop - start, loss=0.5 * shard, hits=shard))
        return self.reducer.reduce(num_samples)


@pytest.mark.parametrize("tile", [1, 100, 1000, tiles.TILE])
def test_every_owner_gets_its_slice_of_the_gradient_of_all_samples(nodes, tile, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", tile)
    group, node = nodes.group, nodes.node
    joint = Joint(nodes, 21)
    owned = owned_slices(LAYOUT, node.world_size)[node.rank]
    inside = np.zeros(LAYOUT.size, dtype=bool)
    for tensor in LAYOUT.tensors:
        inside[tensor.start : tensor.stop] = True
    for step, num_samples in enumerate([21, 21, 13, 2, 1, 21]):  # Short batches: some ranks have no sample.
        sums = joint.step(num_samples, step)
        grad, expected = finished(joint.reducer.grad, np.float64), expected_gradient(num_samples, step)[owned]
        kept = inside[owned][: len(grad)]
        assert not inside[owned][len(grad) :].any()
        np.testing.assert_allclose(grad[kept], expected[: len(grad)][kept], rtol=1e-12, atol=1e-13)
        # Padding counts in the norm of a gradient that is clipped; what lies between two tiles is never written.
        assert not np.nan_to_num(grad[~kept]).any()
        whole = sum(range(group.world_size))
        assert sums == Sums(samples=num_samples, weight=num_samples, loss=0.5 * whole, hits=whole)
        node.barrier()  # As a commit does: only then others may write to the buffers again.


def test_the_bits_are_the_same_every_time(nodes):
    first, second = Joint(nodes, 21), Joint(nodes, 21)
    for step in range(2):
        for joint in (first, second):
            joint.step(21, step)
        assert finished(first.reducer.grad, np.float64).tobytes() == finished(second.reducer.grad, np.float64).tobytes()
        nodes.node.barrier()


SOURCE = DataSource(
    "random", make_split(np.random.default_rng(1).standard_normal((50, 30)), np.arange(50) % 3, "x", "y"), None
)


@functools.cache
def trained(clip_norm, ranks_per_node, reducer="auto", tile=tiles.TILE):
    """The parameters after some steps on nodes of so many ranks, and the kind of what reduced the gradients."""
    job = from_dict(
        {
            "model": {"hidden_layers": [70, 9, 9, 5], "dtype": "float64"},
            "train": {"global_batch_size": 11, "steps": 6, "reducer": reducer},
            "optimizer": {"name": "sgd", "momentum": 0.9, "learning_rate": 0.1, "clip_norm": clip_norm},
        },
        where="test",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", tile)
        setup = prepare(job, group_of(ranks_per_node), SOURCE, backend=plain_backend(), scaling=UNSCALED)
        parts = build_parts(setup, SOURCE)
        for step in range(6):
            parts.trainer.step(step)
    return np.array(parts.state.params), type(parts.trainer.reducer)


@functools.cache
def group_of(ranks_per_node):
    return by_node(connect()._comm, ranks_per_node) if connect().world_size > 1 else connect()


on_several_nodes = pytest.mark.parametrize("ranks_per_node", [2, 4])


@on_several_nodes
@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
def test_a_training_in_many_pieces_is_that_in_one(clip_norm, ranks_per_node):
    whole, kind = trained(clip_norm, ranks_per_node)
    assert kind is JointReducer
    for tile in (700, 50):
        in_pieces, kind = trained(clip_norm, ranks_per_node, tile=tile)
        assert kind is JointReducer
        np.testing.assert_allclose(in_pieces, whole, rtol=1e-11, atol=1e-14)


@on_several_nodes
@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
@pytest.mark.parametrize(("setting", "kind"), [("shards", ShardReducer), ("allreduce", AllReduce)])
def test_a_training_that_adds_up_gradients_instead_is_the_same_but_for_rounding(
    clip_norm, ranks_per_node, setting, kind
):
    joint, seen = trained(clip_norm, ranks_per_node)
    assert seen is JointReducer
    summed, seen = trained(clip_norm, ranks_per_node, setting)
    assert seen is kind
    np.testing.assert_allclose(summed, joint, rtol=1e-11, atol=1e-14)
