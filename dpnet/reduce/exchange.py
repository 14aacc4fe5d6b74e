"""How the partial sums of all ranks meet: by messages, or in memory that all ranks of a node see.

An exchange owns the vectors that a rank computes its partial sums in. When it is called, the owner of a slice gets its
pieces of the partial sums of all ranks, in the order of the shards, wherever they were computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Vector, aligned_zeros
from dpnet.comm.group import Group
from dpnet.comm.shared import NodeMemory
from dpnet.reduce import tree

Words = npt.NDArray[np.float64]
"""(num_shards, num_words)"""


@dataclass(frozen=True)
class Shares:
    """Who computes and who owns what.

    Attributes:
        slices: for every rank, the elements of the flat vector that it owns: adjacent, covering the whole vector.
        shards: for every rank, the shards that it computes.
        covers: for every rank, the partial sums that it ends up with.
        depths: for every rank, the vectors that it needs on the way to them.
        num_shards: of all ranks.
        num_words: float64 numbers of each shard.
    """

    slices: Sequence[slice]
    shards: Sequence[range]
    covers: Sequence[Sequence[tree.Node]]
    depths: Sequence[int]
    num_shards: int
    num_words: int

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return int(self.slices[-1].stop)


class Exchange(Protocol):
    """Brings partial sums together.

    Attributes:
        sums: as many flat vectors as this rank's depth: it computes in them, and leaves its cover in the first ones.
        words: where it writes the words of its own shards.
    """

    sums: list[Vector]
    words: Words

    def __call__(self) -> tuple[list[Vector], Words]:
        """This rank's slice of every partial sum, and the words of all shards; collective.

        Both may be overwritten, and hold until this rank writes to `sums` or `words` again: after the next commit.
        """
        ...


class MakeExchange(Protocol):
    """Makes an exchange; collective."""

    def __call__(self, group: Group, shares: Shares, *, dtype: npt.DTypeLike) -> Exchange:
        """See Exchange."""
        ...


class MessageExchange:
    """Sends every piece to its owner by MPI.

    In round i every rank sends its i-th partial sum, in pieces, to all owners; a rank with fewer sums sends nothing. A
    rank's own piece is read where it lies. So one message carries each element, as in the best reduce-scatter.

    Args:
        group: all ranks.
        shares: who computes and who owns what.
        dtype: of the flat vectors.
    """

    def __init__(self, group: Group, shares: Shares, *, dtype: npt.DTypeLike) -> None:
        self._group = group
        me, covers = group.rank, shares.covers
        self.sums = [aligned_zeros(shares.size, dtype) for _ in range(shares.depths[me])]
        self.words = np.zeros((shares.num_shards, shares.num_words))
        self._word_counts = [len(share) * shares.num_words for share in shares.shards]
        owned = shares.slices[me]
        length = owned.stop - owned.start
        pieces = {(me, index): self.sums[index][owned] for index in range(len(covers[me]))}
        self._rounds = []
        for index in range(max(map(len, covers))):
            senders = [rank for rank, cover in enumerate(covers) if index < len(cover) and rank != me]
            receive = _consecutive([length * (rank in senders) for rank in range(group.world_size)])
            buffer = aligned_zeros(receive[-1].stop, dtype)
            pieces.update({(rank, index): buffer[receive[rank]] for rank in senders})
            self._rounds.append((self._sent(shares.slices, sends=index < len(covers[me])), buffer, receive))
        self._parts = [pieces[rank, index] for rank, cover in enumerate(covers) for index in range(len(cover))]

    def __call__(self) -> tuple[list[Vector], Words]:
        """See Exchange."""
        for index, (send, buffer, receive) in enumerate(self._rounds):
            self._group.exchange(self.sums[min(index, len(self.sums) - 1)], send, buffer, receive)
        self._group.allgather_into(self.words.reshape(-1), self._word_counts)
        return self._parts, self.words

    def _sent(self, slices: Sequence[slice], *, sends: bool) -> list[slice]:
        me = self._group.rank
        return [part if sends and rank != me else slice(part.start, part.start) for rank, part in enumerate(slices)]


class SharedExchange:
    """Lets the ranks of a node read each other's partial sums where they lie: nothing is sent.

    An owner finishes its slice in its neighbours' vectors: nobody else touches those elements until the next commit.

    Args:
        memory: of the node.
        group: all ranks, on that node.
        shares: who computes and who owns what.
        dtype: of the flat vectors.
    """

    def __init__(self, memory: NodeMemory, group: Group, shares: Shares, *, dtype: npt.DTypeLike) -> None:
        self._group = group
        size, firsts = shares.size, [0, *itertools.accumulate(shares.depths)]
        vectors = memory.zeros(firsts[-1] * size, dtype).reshape(-1, size)
        by_rank = [list(vectors[first:stop]) for first, stop in itertools.pairwise(firsts)]
        self.sums = by_rank[group.rank]
        words = memory.zeros(shares.num_shards * shares.num_words, np.float64)
        self.words: Words = words.view(np.float64).reshape(-1, shares.num_words)
        self._all_words: Words = np.zeros_like(self.words)
        owned = shares.slices[group.rank]
        self._parts = [
            by_rank[rank][index][owned] for rank, cover in enumerate(shares.covers) for index in range(len(cover))
        ]

    def __call__(self) -> tuple[list[Vector], Words]:
        """See Exchange."""
        self._group.barrier()
        np.copyto(self._all_words, self.words)  # Every rank adds them up, so each needs a copy.
        return self._parts, self._all_words


def _consecutive(lengths: Sequence[int]) -> list[slice]:
    """Slices of the given lengths, one after the other."""
    stops = list(itertools.accumulate(lengths))
    return [slice(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]
