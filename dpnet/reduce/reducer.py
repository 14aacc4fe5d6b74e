"""The reducer: from the gradients of single shards to the global sum, owned by slice.

The trainer hands over one shard after the other. Neighbouring partial sums are joined at once, so a rank keeps only
its cover of the tree (see `tree.py`) and never one vector per shard. `reduce` then sends every piece of every cover to
the rank that owns it, and each owner finishes the additions of its slice. Without `reproducible_shards` there is one
shard per rank, and this is a reduce-scatter.

One message carries each element to its owner, as in the best reduce-scatter; no message carries a sum back: the
parameters are what is published (see `state.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Vector, aligned_zeros
from dpnet.comm.group import Group
from dpnet.plan import bounds
from dpnet.reduce import tree

Words = npt.NDArray[np.float64]
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
    ) -> None:
        shares = [range(*bounds(num_shards, rank, group.world_size)) for rank in range(group.world_size)]
        assert all(shares), "every rank needs a shard"
        self.shards = shares[group.rank]
        self._group = group
        self._tree = tree.nodes(num_shards)
        covers = [tree.cover(share, self._tree) for share in shares]
        self._stack: list[tree.Node] = []
        self._sums = [aligned_zeros(slices[-1].stop, dtype) for _ in range(self._deepest_stack())]
        self._views = [views(flat) for flat in self._sums]
        self._exchange = CoverExchange(group, covers, slices, self._sums)
        self._additions = tree.additions([node for cover in covers for node in cover], self._tree)
        self._words = np.zeros((num_shards, num_words))
        self._word_counts = [len(share) * num_words for share in shares]
        self._word_additions = tree.additions([(leaf, leaf + 1) for leaf in range(num_shards)], self._tree)

    @property
    def gradient(self) -> V:
        """Where the backward pass of the next shard writes its gradient."""
        return self._views[len(self._stack)]

    def add(self, shard: int, words: Sequence[float]) -> None:
        """Take the gradient that was just written, and the words of its shard; shards come in order."""
        self._words[shard] = words
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
        parts = self._exchange()
        self._stack.clear()
        for start in range(0, len(parts[0]), CACHED_ELEMENTS):
            block = slice(start, start + CACHED_ELEMENTS)
            for into, other in self._additions:
                np.add(parts[into][block], parts[other][block], out=parts[into][block])
        self._group.allgather_into(self._words.reshape(-1), self._word_counts)
        for into, other in self._word_additions:
            self._words[into] += self._words[other]
        return parts[0], self._words[0]

    def _deepest_stack(self) -> int:
        stack: list[tree.Node] = []
        deepest = 0
        for shard in self.shards:
            deepest = max(deepest, len(stack) + 1)
            tree.append(stack, (shard, shard + 1), self._tree)
        return deepest


class CoverExchange:
    """Brings the partial sums of a slice to the rank that owns it.

    In round i every rank sends its i-th partial sum, in pieces, to all owners; a rank with fewer sums sends nothing. A
    rank's own piece is read where it lies.
    """

    def __init__(
        self, group: Group, covers: Sequence[Sequence[tree.Node]], slices: Sequence[slice], sums: Sequence[Vector]
    ) -> None:
        self._group = group
        self._sums = sums
        me, owned = group.rank, slices[group.rank]
        length = owned.stop - owned.start
        pieces = {(me, index): sums[index][owned] for index in range(len(covers[me]))}
        self._rounds = []
        for index in range(max(map(len, covers))):
            senders = [rank for rank, cover in enumerate(covers) if index < len(cover) and rank != me]
            receive = _consecutive([length * (rank in senders) for rank in range(group.world_size)])
            buffer = aligned_zeros(receive[-1].stop, sums[0].dtype)
            pieces.update({(rank, index): buffer[receive[rank]] for rank in senders})
            self._rounds.append((self._sent(slices, sends=index < len(covers[me])), buffer, receive))
        self._parts = [pieces[rank, index] for rank, cover in enumerate(covers) for index in range(len(cover))]

    def __call__(self) -> list[Vector]:
        """This rank's slice of every partial sum of every rank, in the order of the shards."""
        for index, (send, buffer, receive) in enumerate(self._rounds):
            self._group.exchange(self._sums[min(index, len(self._sums) - 1)], send, buffer, receive)
        return self._parts

    def _sent(self, slices: Sequence[slice], *, sends: bool) -> list[slice]:
        me = self._group.rank
        return [part if sends and rank != me else slice(part.start, part.start) for rank, part in enumerate(slices)]


def _consecutive(lengths: Sequence[int]) -> list[slice]:
    """Slices of the given lengths, one after the other."""
    stops = list(itertools.accumulate(lengths))
    return [slice(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]
