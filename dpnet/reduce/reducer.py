"""The reducer: from the gradients of single shards to the global sum, owned by slice.

The trainer hands over one shard after the other. Neighbouring partial sums are joined at once, so a rank keeps only
its cover of the tree (see `tree.py`) and never one vector per shard. `reduce` then shows every piece of every cover to
the rank that owns it (see `exchange.py`), and each owner finishes the additions of its slice. Without
`reproducible_shards` there is one shard per rank, and this is a reduce-scatter.

Nothing carries a sum back: the parameters are what is published (see `state.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Vector
from dpnet.comm.group import Group
from dpnet.plan import bounds
from dpnet.reduce import tree
from dpnet.reduce.exchange import Exchange, MakeExchange, Shares, Words

V = TypeVar("V")
"""What the backward pass writes to."""

CACHED_ELEMENTS = 16384
"""Elements of a vector that are summed over all parts before the next ones are touched: they stay in the cache."""


class TreeReducer(Generic[V]):
    """Sums the gradients of all shards in the order of one fixed binary tree.

    Args:
        group: all ranks.
        num_shards: number of shards in the global batch, at least one per rank.
        slices: for every rank, the elements of the flat vector that it owns: adjacent, covering the whole vector.
        dtype: of the gradients.
        views: turns a flat gradient vector into what the backward pass writes to.
        num_words: float64 numbers that each shard adds to the step's sums (loss, hits, ...).
        exchange: makes what brings the sums of all ranks together.

    Attributes:
        shards: the shards that this rank computes, in order.
    """

    def __init__(
        self,
        group: Group,
        *,
        num_shards: int,
        slices: Sequence[slice],
        dtype: npt.DTypeLike,
        views: Callable[[Vector], V],
        num_words: int,
        exchange: MakeExchange,
    ) -> None:
        shares = [range(*bounds(num_shards, rank, group.world_size)) for rank in range(group.world_size)]
        assert all(shares), "every rank needs a shard"
        self.shards = shares[group.rank]
        self._tree = tree.nodes(num_shards)
        covers = [tree.cover(share, self._tree) for share in shares]
        depths = [tree.deepest_stack(share, self._tree) for share in shares]
        self._exchange: Exchange = exchange(
            group, Shares(slices, shares, covers, depths, num_shards, num_words), dtype=dtype
        )
        self._stack: list[tree.Node] = []
        self._sums = self._exchange.sums
        self._views = [views(flat) for flat in self._sums]
        self._additions = tree.additions([node for cover in covers for node in cover], self._tree)
        self._word_additions = tree.additions([(leaf, leaf + 1) for leaf in range(num_shards)], self._tree)

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

    def reduce(self) -> tuple[Vector, Words]:
        """The sums over all shards of the step; called once all shards of this rank were added.

        Returns:
            the slice of the gradient that this rank owns, a view that holds until the next shard is added and may be
            overwritten; and the summed words, the same on every rank.
        """
        parts, words = self._exchange()
        self._stack.clear()
        for start in range(0, len(parts[0]), CACHED_ELEMENTS):
            block = slice(start, start + CACHED_ELEMENTS)
            for into, other in self._additions:
                np.add(parts[into][block], parts[other][block], out=parts[into][block])
        for into, other in self._word_additions:
            words[into] += words[other]
        return parts[0], words[0]
