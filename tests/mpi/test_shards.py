"""The sum over shards on every number of ranks and of nodes: the same bits as the tree written out on one."""

import numpy as np
import pytest
from helpers.nodes import KINDS, finished, on_nodes

from dpnet.compute.backend import plain_backend
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.plan import Plan
from dpnet.parallel.shards import ShardReducer
from dpnet.parallel.step_sums import Sums
from dpnet.state.ownership import owned_slices

pytestmark = pytest.mark.mpi

LAYOUT = Layout((60, 70, 9))  # Five blocks.
SMALL = Layout((5, 4))


def shard_gradient(layout, shard, step=0, dtype=np.float32):
    """A flat vector whose padding is 0."""
    draw, flat = np.random.default_rng([step, shard]), np.zeros(layout.size, dtype)
    for target in layout.named(flat).values():
        target[...] = draw.standard_normal(target.shape)
    return flat


def written_out(terms, node):
    if node[1] - node[0] == 1:
        return terms[node[0]]
    middle = tree.split(node)
    return written_out(terms, (node[0], middle)) + written_out(terms, (middle, node[1]))


@pytest.fixture(params=KINDS)
def nodes(request):
    return on_nodes(request.param)


class Given:
    """A backward pass of a given gradient."""

    def __init__(self, grads):
        self._grads = grads

    def weight_gradients(self, dweights):
        for target, (source, _) in zip(dweights, self._grads, strict=True):
            target[...] = source


class Shards:
    """A reducer for given gradients."""

    def __init__(self, nodes, num_shards, layout=LAYOUT, dtype=np.float32):
        self.layout = layout
        plan = Plan(num_shards, num_shards, seed=0, num_shards=num_shards)
        self.reducer = ShardReducer(nodes, plan=plan, layout=layout, dtype=dtype, factors=[], backend=plain_backend())

    def add(self, shard, gradient, sums):
        grads = self.layout.views(gradient)
        for target, (_, source) in zip(self.reducer.dbiases, grads, strict=True):
            target[...] = source
        self.reducer.add(shard, Given(grads), sums)


@pytest.mark.parametrize("extra_shards", [0, 1, 2, 5, 8, 29])
def test_every_owner_gets_the_sum_of_the_tree(extra_shards, nodes):
    whole, node = nodes.group, nodes.node
    num_shards = whole.world_size + extra_shards
    shards = Shards(nodes, num_shards)
    assert LAYOUT.size == 5 * 1024
    for step in range(2):  # Buffers are used again.
        for shard in shards.reducer.shards:
            shards.add(shard, shard_gradient(LAYOUT, shard, step), Sums(1, 1, 0.1 * shard, shard))
        sums = shards.reducer.reduce(num_shards)
        expected = written_out([shard_gradient(LAYOUT, shard, step) for shard in range(num_shards)], (0, num_shards))
        owned = owned_slices(LAYOUT, node.world_size)[node.rank]
        assert finished(shards.reducer.grad, np.float32).tobytes() == expected[owned].tobytes()
        assert sums.loss == written_out([0.1 * np.float64(shard) for shard in range(num_shards)], (0, num_shards))
        assert (sums.samples, sums.hits) == (num_shards, sum(range(num_shards)))
        node.barrier()  # As a commit does: only then others may write to their sums again.


def test_a_vector_shorter_than_the_ranks_leaves_some_without_a_slice(nodes):
    whole, node = nodes.group, nodes.node
    shards = Shards(nodes, whole.world_size, SMALL, np.float64)
    shards.add(whole.rank, shard_gradient(SMALL, 7, dtype=np.float64), Sums(1, 1, 0.0, 0))
    sums = shards.reducer.reduce(1)
    mine = owned_slices(SMALL, node.world_size)[node.rank]
    grad = finished(shards.reducer.grad, np.float64)
    assert len(grad) == mine.stop - mine.start
    np.testing.assert_allclose(grad, whole.world_size * shard_gradient(SMALL, 7, dtype=np.float64)[mine], rtol=1e-14)
    assert sums == Sums(whole.world_size, whole.world_size, 0.0, 0)
