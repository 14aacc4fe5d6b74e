"""The reducer on every number of ranks: the same bits as the tree written out on one."""

import functools

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.shared import SharedMemory
from dpnet.reduce import tree
from dpnet.reduce.exchange import MessageExchange, SharedExchange
from dpnet.reduce.reducer import TreeReducer
from dpnet.state import owned_slices

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


EXCHANGES = {
    "messages": MessageExchange,
    "shared": functools.partial(SharedExchange, SharedMemory(group)),
}


@pytest.fixture(params=EXCHANGES)
def exchange(request):
    return EXCHANGES[request.param]


def make_reducer(num_shards, exchange):
    return TreeReducer(
        group,
        num_shards=num_shards,
        slices=owned_slices(SIZE, group.world_size),
        dtype=np.float32,
        views=lambda flat: flat,
        num_words=2,
        exchange=exchange,
    )


@pytest.mark.parametrize("extra_shards", [0, 1, 2, 5, 8, 29])
def test_every_owner_gets_the_sum_of_the_tree(extra_shards, exchange):
    num_shards = group.world_size + extra_shards
    reducer = make_reducer(num_shards, exchange)
    for step in range(3):  # Buffers are used again.
        for shard in reducer.shards:
            reducer.gradient[:] = shard_gradient(shard, step)
            reducer.add(shard, (0.1 * shard, 1))
        grad, words = reducer.reduce()
        expected = written_out([shard_gradient(shard, step) for shard in range(num_shards)], (0, num_shards))
        owned = owned_slices(SIZE, group.world_size)[group.rank]
        assert grad.tobytes() == expected[owned].tobytes()
        assert words[0] == written_out([0.1 * np.float64(shard) for shard in range(num_shards)], (0, num_shards))
        assert words[1] == num_shards
        group.barrier()  # As a commit does: only then others may write to their sums again.


def test_a_vector_shorter_than_the_ranks_leaves_some_without_a_slice(exchange):
    slices = owned_slices(1024, group.world_size)
    reducer = TreeReducer(
        group,
        num_shards=group.world_size,
        slices=slices,
        dtype=np.float64,
        views=lambda flat: flat,
        num_words=1,
        exchange=exchange,
    )
    reducer.gradient[:] = 1.0
    reducer.add(group.rank, (1.0,))
    grad, words = reducer.reduce()
    mine = slices[group.rank]
    assert len(grad) == mine.stop - mine.start
    assert (grad == group.world_size).all()
    assert words.tolist() == [group.world_size]
