"""For tests on several ranks: the ranks of this machine as one node, as several, and what an owner makes of a sum."""

import functools

import numpy as np

from dpnet.comm import topology
from dpnet.comm.connect import connect
from dpnet.comm.world import by_node
from dpnet.compute.loops import reference
from dpnet.compute.loops.pending_sums import complete, scratch_for

KINDS = ["one node", "two ranks on a node", "a node for each rank"]


@functools.cache
def on_nodes(kind):
    """Which ranks share memory: made once, as ranks beside busy programs take long to agree on it."""
    group = connect()
    if kind == "one node" or group.world_size == 1:
        return topology.shared(group)
    if kind == "a node for each rank":
        return topology.apart(group)
    return topology.shared(by_node(group._comm, 2))  # 3 ranks: 2 and 1. 4 ranks: 2 and 2.


def finished(tiles, dtype):
    """The whole slice."""
    total = np.full((1, max((tile.stop for tile in tiles), default=0)), np.nan, dtype)
    complete(tiles, total, scratch_for([tile.sum for tile in tiles], dtype), reference)
    return total[0]
