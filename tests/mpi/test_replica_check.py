"""Nodes that do not hold the same parameters are found, and named."""

import numpy as np
import pytest
from helpers.nodes import connect

from dpnet.comm.world import by_node
from dpnet.errors import CommunicationError
from dpnet.resilience import replica_check

group = connect()
RANK, SIZE = group.rank, group.world_size
pytestmark = pytest.mark.mpi


@pytest.mark.skipif(SIZE < 3, reason="needs three nodes")
def test_the_node_that_deviates_is_named_by_all_ranks():
    nodes = by_node(group._comm, 1)
    params = np.ones(1000, np.float32)
    replica_check.check(params, nodes, 7)
    params[-1] += RANK == 1
    with pytest.raises(CommunicationError, match=r"after step 7 .* deviating: \S+ \(ranks from 1 on\)\.") as caught:
        replica_check.check(params, nodes, 7)
    assert caught.value.agreed


@pytest.mark.skipif(SIZE == 1, reason="needs two ranks")
def test_of_two_nodes_nobody_knows_which_is_right():
    nodes = by_node(group._comm, (SIZE + 1) // 2)
    params = np.full(1000, float(nodes.node.rank < nodes.rank))
    with pytest.raises(CommunicationError, match=r"ranks from 0 on\), .*ranks from \d on\)"):
        replica_check.check(params, nodes, 3)
