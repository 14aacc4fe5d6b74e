"""The sum over shards on several nodes: its bits, and how many partial sums each node sends."""

import itertools

import numpy as np
import pytest
from helpers.nodes import finished
from helpers.together import World
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.compute.backend import plain_backend
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.plan import Plan
from dpnet.parallel.shards import ShardReducer
from dpnet.parallel.step_sums import Sums
from dpnet.parallel.traffic import of_plan, planned
from dpnet.state.ownership import owned_slices

LAYOUT = Layout((60, 70, 9))


class Given:
    """A backward pass of a given gradient."""

    def __init__(self, grads):
        self._grads = grads

    def weight_gradients(self, dweights):
        for target, (source, _) in zip(dweights, self._grads, strict=True):
            target[...] = source


def gradient(shard):
    """A flat vector whose padding is 0."""
    draw, flat = np.random.default_rng(shard), np.zeros(LAYOUT.size, np.float32)
    for target in LAYOUT.named(flat).values():
        target[...] = draw.standard_normal(target.shape)
    return flat


def reduce_on(world, plan):
    """The slice of every rank, with its place in the whole, and the sums of the step."""

    def work(topology):
        where = {"layout": LAYOUT, "dtype": np.float32, "factors": [], "backend": plain_backend()}
        reducer = ShardReducer(topology, plan=plan, **where)
        for shard in reducer.shards:
            grads = LAYOUT.views(gradient(shard))
            for target, (_, source) in zip(reducer.dbiases, grads, strict=True):
                target[...] = source
            reducer.add(shard, Given(grads), Sums(1, 1, 0.1 * shard, shard))
        sums = reducer.reduce(plan.num_shards)
        node = topology.node
        return owned_slices(LAYOUT, node.world_size)[node.rank], finished(reducer.grad, np.float32), sums

    return world.run(work)


@pytest.mark.parametrize(
    "nodes", [[range(3), range(3, 6), range(6, 9)], [range(3), range(3, 4), range(4, 6)], [range(5)]], ids=str
)
def test_without_reproducible_shards_a_node_adds_up_its_ranks_and_sends_one_sum(nodes):
    world, num_ranks = World(nodes), nodes[-1].stop
    plan = Plan(num_ranks, num_ranks, seed=0, num_shards=num_ranks, reproducible=False)
    results = reduce_on(world, plan)
    whole = np.sum([gradient(shard).astype(np.float64) for shard in range(num_ranks)], axis=0)
    for owned, grad, sums in results:
        np.testing.assert_allclose(grad, whole[owned], rtol=1e-5, atol=1e-5)
        assert sums == results[0][2]
    for number, traffic in enumerate(planned(nodes, [1] * len(nodes), LAYOUT, np.float32)):
        assert (world.sent[number], world.received[number]) == traffic


def written_out(terms, span):
    if span[1] - span[0] == 1:
        return terms[span[0]]
    middle = tree.split(span)
    return written_out(terms, (span[0], middle)) + written_out(terms, (middle, span[1]))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(0, 30), st.sampled_from([1, 40_000]))
def test_the_sum_of_the_tree_has_its_bits_on_any_nodes_whichever_rank_takes_which_shards(sizes, more, batch):
    cuts = [0, *itertools.accumulate(sizes)]
    world = World([range(*pair) for pair in itertools.pairwise(cuts)])
    num_shards = cuts[-1] + more
    plan = Plan(50_000, batch, seed=0, num_shards=num_shards)
    expected = written_out([gradient(shard) for shard in range(num_shards)], (0, num_shards))
    loss = written_out([0.1 * np.float64(shard) for shard in range(num_shards)], (0, num_shards))
    for owned, grad, sums in reduce_on(world, plan):
        assert grad.tobytes() == expected[owned].tobytes()
        assert sums == Sums(num_shards, num_shards, loss, sum(range(num_shards)))
    for number, traffic in enumerate(of_plan(plan, world.nodes, LAYOUT, np.float32)):
        assert (world.sent[number], world.received[number]) == traffic
