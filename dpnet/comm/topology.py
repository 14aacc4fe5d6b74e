"""Topology: which ranks share memory, and how numbers travel between those that do not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from dpnet.comm.group import Group
from dpnet.comm.local import LocalGroup
from dpnet.comm.node_memory import NodeMemory, PrivateMemory, node_memory


def on_one_host(group: Group) -> bool:
    """Whether all ranks are on one host; the same on every rank."""
    return group.node.world_size == group.world_size


@dataclass(frozen=True)
class Topology:
    """All ranks, and those that share memory with this one: its node.

    Attributes:
        group: all ranks.
        node: the ranks of this rank's node, in the same order.
        memory: of the node.
        nodes: the consecutive ranks of every node.
        wire: how numbers travel between nodes, see `train.wire`.
    """

    group: Group
    node: Group
    memory: NodeMemory
    nodes: Sequence[range]
    wire: str = "float32"

    @property
    def here(self) -> range:
        """The ranks of this rank's node."""
        return self.nodes[self.number_of_node(self.group.rank)]

    def number_of_node(self, rank: int) -> int:
        """Number of the node of a rank."""
        return next(number for number, ranks in enumerate(self.nodes) if rank in ranks)


def shared(group: Group, wire: str = "float32") -> Topology:
    """The topology in which the ranks of a host share memory; collective."""
    firsts = sorted(set(group.allgather(group.rank - group.node.rank)))
    nodes = [range(first, stop) for first, stop in itertools.pairwise([*firsts, group.world_size])]
    return Topology(group, group.node, node_memory(group.node), nodes, wire)


def apart(group: Group, wire: str = "float32") -> Topology:
    """The topology in which each rank is a node of its own."""
    nodes = [range(rank, rank + 1) for rank in range(group.world_size)]
    return Topology(group, LocalGroup(), PrivateMemory(), nodes, wire)
