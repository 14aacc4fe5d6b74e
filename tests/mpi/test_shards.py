"""The sum over shards on every number of ranks and of nodes: the same bits as the tree written out on one."""

import numpy as np
import pytest
from helpers.nodes import KINDS, finished, on_nodes

from dpnet.compute.loops import reference
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.shards import ShardReducer
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


class Shards:
    """A reducer for given gradients."""

    def __init__(self, nodes, num_shards, layout=LAYOUT, dtype=np.float32):
        self.layout, self.grads = layout, None
        self.reducer = ShardReducer(
            nodes,
            num_shards=num_shards,
            layout=layout,
            dtype=dtype,
            weight_gradients=self._write,
            num_words=2,
            loops=reference,
        )

    def _write(self, dweights):
        for target, (source, _) in zip(dweights, self.grads, strict=True):
            target[...] = source

    def add(self, shard, gradient, words):
        self.grads = self.layout.views(gradient)
        for target, (_, source) in zip(self.reducer.dbiases, self.grads, strict=True):
            target[...] = source
        self.reducer.add(shard, words)


@pytest.mark.parametrize("extra_shards", [0, 1, 2, 5, 8, 29])
def test_every_owner_gets_the_sum_of_the_tree(extra_shards, nodes):
    whole, node = nodes.group, nodes.node
    num_shards = whole.world_size + extra_shards
    shards = Shards(nodes, num_shards)
    assert LAYOUT.size == 5 * 1024
    for step in range(3):  # Buffers are used again.
        for shard in shards.reducer.shards:
            shards.add(shard, shard_gradient(LAYOUT, shard, step), (0.1 * shard, 1))
        words = shards.reducer.reduce(num_shards)
        expected = written_out([shard_gradient(LAYOUT, shard, step) for shard in range(num_shards)], (0, num_shards))
        owned = owned_slices(LAYOUT, node.world_size)[node.rank]
        assert finished(shards.reducer.grad, np.float32).tobytes() == expected[owned].tobytes()
        assert words[0] == written_out([0.1 * np.float64(shard) for shard in range(num_shards)], (0, num_shards))
        assert words[1] == num_shards
        node.barrier()  # As a commit does: only then others may write to their sums again.


def test_a_vector_shorter_than_the_ranks_leaves_some_without_a_slice(nodes):
    whole, node = nodes.group, nodes.node
    shards = Shards(nodes, whole.world_size, SMALL, np.float64)
    shards.add(whole.rank, shard_gradient(SMALL, 7, dtype=np.float64), (1.0, 0.0))
    words = shards.reducer.reduce(1)
    mine = owned_slices(SMALL, node.world_size)[node.rank]
    grad = finished(shards.reducer.grad, np.float64)
    assert len(grad) == mine.stop - mine.start
    np.testing.assert_allclose(grad, whole.world_size * shard_gradient(SMALL, 7, dtype=np.float64)[mine], rtol=1e-14)
    assert words == [whole.world_size, 0]
