"""Words: a few numbers of every shard whose sums all ranks want. They travel with the gradient."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

import numpy as np

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.loops.interface import Loops
from dpnet.compute.loops.pending_sums import pending_sum, scratch_for
from dpnet.parallel import tree


class Words:
    """The words of all shards, added up in the order of the tree over shards.

    Args:
        topology: which ranks share memory.
        shards: of every rank.
        num_words: float64 numbers of a shard.
        loops: element-wise work.
    """

    def __init__(self, topology: Topology, shards: Sequence[range], num_words: int, loops: Loops) -> None:
        self._group = topology.group
        self._counts = [len(share) * num_words for share in shards]
        self._several_nodes = len(topology.nodes) > 1
        num_shards = shards[-1].stop
        zeros = aligned_zeros if self._several_nodes else topology.memory.zeros
        flat = zeros(sum(self._counts), np.float64)
        self._all = flat.reshape(num_shards, num_words)
        # Storing a few numbers through numpy takes several times as long.
        self._store, self._memory = struct.Struct(f"{num_words}d").pack_into, self._all.data
        self._shard_bytes = 8 * num_words
        joins, _ = tree.joins(tree.leaves(num_shards), tree.spans(num_shards))
        pending, self._totals = pending_sum(self._all, joins), np.zeros((1, num_words))
        work = scratch_for([pending], np.float64)
        self._add_up = functools.partial(loops.sum_rows, pending.vectors, pending.joins, 0, work, self._totals)

    def put(self, shard: int, words: Sequence[float]) -> None:
        """Set the words of a shard of this rank."""
        self._store(self._memory, shard * self._shard_bytes, *words)

    def totals(self) -> list[float]:
        """The sums over all shards; collective. On one node, all its ranks have passed a barrier after `put`."""
        if self._several_nodes:
            self._group.allgather_into(self._all.reshape(-1), self._counts)
        self._add_up()
        totals: list[float] = self._totals[0].tolist()
        return totals
