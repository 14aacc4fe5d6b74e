"""Topology: which ranks share memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from dpnet.comm.group import Group
from dpnet.comm.local import LocalGroup
from dpnet.comm.node_memory import NodeMemory, PrivateMemory, node_memory


@dataclass(frozen=True)
class Topology:
    """All ranks, and those that share memory with this one: its node.

    Attributes:
        group: all ranks.
        node: the ranks of this rank's node, in the same order.
        memory: of the node.
        nodes: the consecutive ranks of every node.
    """

    group: Group
    node: Group
    memory: NodeMemory
    nodes: Sequence[range]

    @property
    def here(self) -> range:
        """The ranks of this rank's node."""
        return self.nodes[self.number_of_node(self.group.rank)]

    def number_of_node(self, rank: int) -> int:
        """Number of the node of a rank."""
        return next(number for number, ranks in enumerate(self.nodes) if rank in ranks)


def shared(group: Group) -> Topology:
    """The topology in which the ranks of a host share memory; collective."""
    firsts = sorted(set(group.allgather(group.rank - group.node.rank)))
    nodes = [range(first, stop) for first, stop in itertools.pairwise([*firsts, group.world_size])]
    return Topology(group, group.node, node_memory(group.node), nodes)


def apart(group: Group) -> Topology:
    """The topology in which each rank is a node of its own."""
    return Topology(group, LocalGroup(), PrivateMemory(), [range(rank, rank + 1) for rank in range(group.world_size)])
