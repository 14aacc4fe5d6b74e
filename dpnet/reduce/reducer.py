"""The reducer: from the gradients of single shards to the global sum, owned by slice.

The trainer hands over one shard after the other. Neighbouring partial sums are joined at once, so a rank keeps only
its cover of the tree (see `tree.py`) and never one vector per shard. `reduce` then brings every piece of every cover to
the ranks that own it (see `exchange.py`). What is left of the sum is done while the owner updates its parameters.

Nothing carries a sum back: the parameters are what is published (see `state.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Vector
from dpnet.comm.group import Group
from dpnet.comm.shared import NodeMemory
from dpnet.kernels.choose import Loops
from dpnet.kernels.sums import PendingSum, pending_sum
from dpnet.plan import bounds
from dpnet.reduce import tree
from dpnet.reduce.exchange import Exchange, MessageExchange, NodeExchange, Shares

V = TypeVar("V")
"""What the backward pass writes to."""


class TreeReducer(Generic[V]):
    """Sums the gradients of all shards in the order of one fixed binary tree.

    Args:
        group: all ranks.
        node: those of them that share `memory`; their numbers follow one another.
        memory: of the node.
        num_shards: number of shards in the global batch, at least one per rank.
        size: length of the flat vectors.
        dtype: of the gradients.
        views: turns a flat gradient vector into what the backward pass writes to.
        num_words: float64 numbers that each shard adds to the step's sums (loss, hits, ...).
        loops: element-wise work.

    Attributes:
        shards: the shards that this rank computes, in order.
        grad: the sum of the slice that this rank owns on its node; holds from `reduce` to the next commit.
    """

    def __init__(
        self,
        group: Group,
        node: Group,
        memory: NodeMemory,
        *,
        num_shards: int,
        size: int,
        dtype: npt.DTypeLike,
        views: Callable[[Vector], V],
        num_words: int,
        loops: Loops,
    ) -> None:
        shares = [range(*bounds(num_shards, rank, group.world_size)) for rank in range(group.world_size)]
        assert all(shares), "every rank needs a shard"
        self.shards = shares[group.rank]
        self._tree = tree.nodes(num_shards)
        self._loops = loops
        exchange = make_exchange(group, node, memory, self._shares(shares, size, num_words, group, node), dtype, loops)
        self._exchange: Exchange = exchange
        self.grad: PendingSum = exchange.grad
        self._stack: list[tree.Node] = []
        self._sums = exchange.sums
        self._views = [views(flat) for flat in self._sums]
        joins, _ = tree.joins(tree.leaves(num_shards), self._tree)
        self._words = pending_sum(exchange.words, joins, slice(0, num_words))
        self._word_stack = np.zeros((self._words.depth, num_words))
        self._totals = np.zeros((1, num_words))

    def _shares(self, shards: list[range], size: int, num_words: int, group: Group, node: Group) -> Shares:
        covers = [tree.cover(share, self._tree) for share in shards]
        depths = [tree.deepest_stack(share, self._tree) for share in shards]
        firsts = sorted(set(group.allgather(group.rank - node.rank)))
        nodes = [range(first, stop) for first, stop in zip(firsts, [*firsts[1:], group.world_size], strict=True)]
        return Shares(size, shards, covers, depths, num_words, nodes, self._tree)

    @property
    def gradient(self) -> V:
        """Where the backward pass of the next shard writes its gradient."""
        return self._views[len(self._stack)]

    def add(self, shard: int, words: Sequence[float]) -> None:
        """Take the gradient that was just written, and the words of its shard; shards come in order."""
        self._exchange.words[shard] = words
        place = len(self._stack)
        for _ in range(tree.append(self._stack, (shard, shard + 1), self._tree)):
            place -= 1
            np.add(self._sums[place], self._sums[place + 1], out=self._sums[place])

    def reduce(self) -> list[float]:
        """Complete `grad`; called once all shards of this rank were added.

        Returns:
            the sums of the words of all shards, the same on every rank.
        """
        self._exchange()
        self._stack.clear()
        self._loops.sum_rows(self._words.vectors, self._words.joins, 0, self._word_stack, self._totals)
        totals: list[float] = self._totals[0].tolist()
        return totals


def make_exchange(
    group: Group, node: Group, memory: NodeMemory, shares: Shares, dtype: npt.DTypeLike, loops: Loops
) -> Exchange:
    """What brings partial sums together on one node or on several; every rank makes the same kind."""
    if len(shares.nodes) == 1:
        return NodeExchange(group, memory, shares, dtype)
    return MessageExchange(group, node, memory, shares, dtype, loops)
