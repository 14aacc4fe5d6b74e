"""Sums that travel as bfloat16: rounded where the definition says, the same bits on all nodes, in half the bytes."""

import dataclasses

import numpy as np
import pytest
from helpers.nodes import finished
from helpers.together import World

from dpnet.compute.loops import reference
from dpnet.compute.loops.pending_sums import Tile, pending_sum
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.between_nodes import BetweenNodes
from dpnet.parallel.traffic import planned
from dpnet.parallel.wire import WIRES
from dpnet.state.ownership import owned_slices

LAYOUT = Layout((60, 70, 9))
NODES = [[range(1), range(1, 2)], [range(2), range(2, 4)], [range(3), range(3, 4), range(4, 6)]]


def rounded(numbers):
    halves, out = np.zeros(numbers.shape, np.uint16), np.zeros(numbers.shape, np.float32)
    reference.to_bfloat16(numbers, halves)
    reference.from_bfloat16(halves, out)
    return out


def sum_of_node(node):
    numbers = np.random.default_rng(node).standard_normal(LAYOUT.size).astype(np.float32)
    numbers[node] = np.inf
    return numbers


def summed(nodes, wire):
    """The world, and every rank's slice and what it has of the sum of all nodes' sums."""
    world, spans = World(nodes), tree.spans(len(nodes))

    def work(topology):
        topology = dataclasses.replace(topology, wire=wire)
        owned = owned_slices(LAYOUT, topology.node.world_size)[topology.node.rank]
        length = owned.stop - owned.start
        mine = sum_of_node(topology.number_of_node(topology.group.rank))[owned].reshape(1, -1)
        tiles = [Tile(0, length, pending_sum(np.ascontiguousarray(mine), [0]))]
        covers = [[leaf] for leaf in tree.leaves(len(nodes))]
        between = BetweenNodes(topology, tiles, covers, spans, LAYOUT, np.float32, reference)
        for _ in range(2):  # Buffers are used again.
            between()
        return owned, finished(between.grad, np.float32)

    return world, world.run(work)


@pytest.mark.parametrize("nodes", NODES, ids=str)
def test_the_sums_of_nodes_are_rounded_and_so_is_their_sum(nodes):
    sums = [sum_of_node(number) for number in range(len(nodes))]
    whole = rounded(sums[0])
    for other in sums[1:]:  # Of up to three nodes the tree adds from left to right.
        whole = whole + rounded(other)
    _, results = summed(nodes, "bfloat16")
    for owned, grad in results:
        assert grad.tobytes() == rounded(whole)[owned].tobytes()


@pytest.mark.parametrize("nodes", NODES, ids=str)
def test_what_is_rounded_has_half_the_bytes(nodes):
    for name, kind in WIRES.items():
        world, _ = summed(nodes, name)
        plans = planned(nodes, [1] * len(nodes), LAYOUT, kind.travels_as or np.float32)
        for number, traffic in enumerate(plans):
            assert (world.sent[number], world.received[number]) == (2 * traffic.sent, 2 * traffic.received)
    assert np.dtype(WIRES["bfloat16"].travels_as).itemsize == 2
