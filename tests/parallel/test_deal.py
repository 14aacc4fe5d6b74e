"""Who takes which shards: every rank some, every shard once, and nodes that send no more than a ring where it pays."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpnet.config.train import TrainConfig
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.deal import deal, partial_sums
from dpnet.parallel.plan import Plan
from dpnet.parallel.traffic import of_plan, ring, told
from dpnet.training.build import build_plan

LAYOUT = Layout((784, 256, 128, 10))


def plan_of(num_shards, batch=256, **settings):
    return Plan(100_000, batch, seed=0, num_shards=num_shards, **settings)


def even_nodes(number, ranks=1):
    return [range(node * ranks, (node + 1) * ranks) for node in range(number)]


def worst(plan, nodes):
    """The most that a node sends or receives, in what one of a ring does; and the most shards of a rank."""
    traffic = of_plan(plan, nodes, LAYOUT, np.float32)
    return max(map(max, traffic)) / ring(len(nodes), LAYOUT, np.float32), max(map(len, deal(plan, nodes)))


@given(st.integers(1, 70), st.data())
def test_partial_sums_are_counted_as_the_tree_covers_them(num_shards, data):
    first = data.draw(st.integers(0, num_shards - 1))
    shards = range(first, data.draw(st.integers(first + 1, num_shards)))
    assert partial_sums(shards, (0, num_shards)) == len(tree.cover(shards, tree.spans(num_shards)))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=7), st.integers(0, 300), st.sampled_from([1, 64, 4096, 90_000]))
def test_every_rank_has_shards_and_every_shard_a_rank(sizes, more, batch):
    cuts = [0, *itertools.accumulate(sizes)]
    nodes = [range(*pair) for pair in itertools.pairwise(cuts)]
    num_shards = nodes[-1].stop + more
    shares = deal(plan_of(num_shards, batch), nodes)
    assert all(shares)
    assert list(itertools.chain(*shares)) == list(range(num_shards))
    assert len(shares) == nodes[-1].stop


@pytest.mark.parametrize("num_shards", [5, 8, 64, 256])
def test_three_nodes_send_what_a_ring_sends(num_shards):
    traffic, _ = worst(plan_of(num_shards), even_nodes(3))
    assert traffic == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("num_nodes", range(3, 10))
def test_no_number_of_shards_multiplies_the_bytes(num_nodes):
    for num_shards in range(num_nodes, 200):
        assert worst(plan_of(num_shards), even_nodes(num_nodes))[0] <= 1.01


@pytest.mark.parametrize("nodes", [even_nodes(1, 3), even_nodes(2), even_nodes(4, 2), even_nodes(8)], ids=str)
@pytest.mark.parametrize("batch", [64, 90_000])
def test_even_shares_stay_where_they_are_whole_spans(nodes, batch):
    plan = plan_of(64, batch)
    assert deal(plan, nodes) == plan.shares(nodes[-1].stop)


def test_a_large_batch_is_shared_out_more_evenly():
    # Then the products take longer than the wire: 64 shards on 3 nodes, 22 at least on one of them.
    most = [worst(plan_of(64, batch), even_nodes(3))[1] for batch in (256, 4096, 60_000)]
    assert most == [32, 24, 22]


def test_without_a_fixed_order_shares_are_even():
    plan = plan_of(9, reproducible=False)
    assert deal(plan, even_nodes(3, 3)) == plan.shares(9)


def test_what_is_told_is_the_busiest_node_and_that_it_sends_more_than_a_ring():
    size = LAYOUT.size * 4 / 1e6
    assert (
        told(plan_of(8), even_nodes(3), LAYOUT, np.float32) == f"{size * 4 / 3:.2f} MB a step; 2 to 4 shards on a rank"
    )
    assert told(plan_of(9), even_nodes(3, 3), LAYOUT, np.float32) == (
        f"{size * 2:.2f} MB a step, 1.5 times what a ring takes: see train.reproducible_shards"
    )
    assert told(plan_of(9, reproducible=False), even_nodes(3, 3), LAYOUT, np.uint16) == f"{size * 2 / 3:.2f} MB a step"


def test_of_local_sgd_the_plan_says_so():
    train = TrainConfig(workers=12, sync_every=16)
    assert build_plan(train, 1000, 6).exchange_every == 16
    assert build_plan(TrainConfig(), 1000, 6).exchange_every == 1


def test_what_is_exchanged_in_few_steps_alone_counts_less_than_even_shares():
    in_every_step, in_few = (plan_of(12, exchange_every=steps) for steps in (1, 16))
    assert [len(shares) for shares in deal(in_every_step, even_nodes(2, 3))] == [2, 3, 3, 1, 1, 2]
    assert {len(shares) for shares in deal(in_few, even_nodes(2, 3))} == {2}
