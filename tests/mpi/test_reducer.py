"""The reducer on every number of ranks and of nodes: the same bits as the tree written out on one."""

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.local import LocalGroup
from dpnet.comm.mpi import _by_node
from dpnet.comm.shared import PrivateMemory, node_memory
from dpnet.kernels import spec
from dpnet.nn.layout import owned_slices
from dpnet.reduce import tree
from dpnet.reduce.reducer import TreeReducer

pytestmark = pytest.mark.mpi

group = connect()
SIZE = 5 * 1024


def shard_gradient(shard, step=0):
    return np.random.default_rng([step, shard]).standard_normal(SIZE).astype(np.float32)


def written_out(terms, node):
    if node[1] - node[0] == 1:
        return terms[node[0]]
    middle = tree.split(node)
    return written_out(terms, (node[0], middle)) + written_out(terms, (middle, node[1]))


def on_nodes(kind):
    """The whole group, the ranks of this node, and their memory."""
    if kind == "one node" or group.world_size == 1:
        return group, group.node, node_memory(group.node)
    if kind == "a node for each rank":
        return group, LocalGroup(), PrivateMemory()
    forced = _by_node(group._comm, 2)  # 3 ranks: 2 and 1. 4 ranks: 2 and 2.
    return forced, forced.node, node_memory(forced.node)


@pytest.fixture(params=["one node", "two ranks on a node", "a node for each rank"])
def nodes(request):
    return on_nodes(request.param)


def make_reducer(nodes, num_shards, *, size=SIZE, dtype=np.float32):
    return TreeReducer(
        *nodes, num_shards=num_shards, size=size, dtype=dtype, views=lambda flat: flat, num_words=2, loops=spec
    )


def finished(pending):
    """What the owner of a slice makes of it."""
    total = np.empty((1, pending.length), pending.vectors.dtype)
    work = np.empty((pending.depth, 1000), total.dtype)
    spec.sum_rows(pending.vectors, pending.joins, pending.offset, work, total)
    return total[0]


@pytest.mark.parametrize("extra_shards", [0, 1, 2, 5, 8, 29])
def test_every_owner_gets_the_sum_of_the_tree(extra_shards, nodes):
    whole, node, _ = nodes
    num_shards = whole.world_size + extra_shards
    reducer = make_reducer(nodes, num_shards)
    for step in range(3):  # Buffers are used again.
        for shard in reducer.shards:
            reducer.gradient[:] = shard_gradient(shard, step)
            reducer.add(shard, (0.1 * shard, 1))
        words = reducer.reduce()
        expected = written_out([shard_gradient(shard, step) for shard in range(num_shards)], (0, num_shards))
        owned = owned_slices(SIZE, node.world_size)[node.rank]
        assert finished(reducer.grad).tobytes() == expected[owned].tobytes()
        assert words[0] == written_out([0.1 * np.float64(shard) for shard in range(num_shards)], (0, num_shards))
        assert words[1] == num_shards
        node.barrier()  # As a commit does: only then others may write to their sums again.


def test_a_vector_shorter_than_the_ranks_leaves_some_without_a_slice(nodes):
    whole, node, _ = nodes
    reducer = make_reducer(nodes, whole.world_size, size=1024, dtype=np.float64)
    reducer.gradient[:] = 1.0
    reducer.add(whole.rank, (1.0, 0.0))
    words = reducer.reduce()
    mine = owned_slices(1024, node.world_size)[node.rank]
    grad = finished(reducer.grad)
    assert len(grad) == mine.stop - mine.start
    assert (grad == whole.world_size).all()
    assert words == [whole.world_size, 0]
