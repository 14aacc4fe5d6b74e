"""The bytes between nodes: those planned are those sent, and on no number of nodes more than a ring's."""

import itertools

import numpy as np
import pytest
from helpers.together import World
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.compute.loops import reference
from dpnet.compute.loops.pending_sums import Tile, pending_sum
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.between_nodes import BetweenNodes
from dpnet.parallel.traffic import planned, ring
from dpnet.state.ownership import owned_slices

LAYOUTS = [Layout((64, 64, 10)), Layout((30, 60, 70, 9)), Layout((784, 256, 128, 10), ["0"])]
NODES = [
    *([range(rank, rank + 1) for rank in range(number)] for number in range(2, 10)),
    [range(3), range(3, 6), range(6, 9)],
    [range(4), range(4, 5), range(5, 6)],
    [range(3), range(3, 5), range(5, 7)],
    [range(1), range(1, 7), range(7, 9), range(9, 12), range(12, 16)],
]


def split_evenly(ends):
    cuts = [0, *np.cumsum(ends)]
    return [range(*pair) for pair in itertools.pairwise(cuts)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.sizes))
@pytest.mark.parametrize("nodes", NODES, ids=str)
def test_no_node_sends_or_receives_more_than_one_of_a_ring(nodes, layout):
    bound = 1.05 * ring(len(nodes), layout, np.float32)
    for traffic in planned(nodes, [1] * len(nodes), layout, np.float32):
        assert 0 < traffic.sent <= bound
        assert 0 < traffic.received <= bound


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.sampled_from(LAYOUTS), st.data())
def test_what_is_planned_is_what_is_sent(sizes, layout, data):
    nodes = split_evenly(sizes)
    leaves = data.draw(st.lists(st.integers(1, 5), min_size=len(nodes), max_size=len(nodes)))
    spans = tree.spans(sum(leaves))
    covers = [tree.cover(share, spans) for share in split_evenly(leaves)]
    world = World(nodes)

    def work(topology):
        number = topology.number_of_node(topology.group.rank)
        owned = owned_slices(layout, topology.node.world_size)[topology.node.rank]
        length = owned.stop - owned.start
        sums = np.full((len(covers[number]), length), 1 + number, np.float32)
        tiles = [Tile(0, length, pending_sum(sums, [0] * len(sums)))]
        BetweenNodes(topology, tiles, covers, spans, layout, np.float32, reference)()

    world.run(work)
    for number, traffic in enumerate(planned(nodes, [len(cover) for cover in covers], layout, np.float32)):
        assert (world.sent[number], world.received[number]) == traffic
