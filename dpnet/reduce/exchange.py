"""How the partial sums of all ranks meet: in memory that the ranks of a node see, and by messages between nodes.

An exchange owns the vectors that a rank computes its partial sums in. When it is called, this rank gets what the
gradient of its slice is the sum of. Slices are those of the ranks of a node: every node ends up with the whole sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Matrix, Vector, aligned_zeros
from dpnet.comm.group import Group
from dpnet.comm.shared import NodeMemory
from dpnet.kernels.choose import Loops
from dpnet.kernels.sums import PendingSum, pending_sum
from dpnet.nn.layout import owned_slices
from dpnet.reduce import tree

STACK_COLUMNS = 4096
"""Elements of a vector that are summed before the next ones are touched: they stay in the cache."""
Words = npt.NDArray[np.float64]
"""(num_shards, num_words)"""


@dataclass(frozen=True)
class Shares:
    """Who computes what.

    Attributes:
        size: length of the flat vector.
        shards: for every rank, the shards that it computes.
        covers: for every rank, the partial sums that it ends up with.
        depths: for every rank, the vectors that it needs on the way to them.
        num_words: float64 numbers of each shard.
        nodes: for every node, its ranks, which follow one another.
        tree_nodes: the whole tree.
    """

    size: int
    shards: Sequence[range]
    covers: Sequence[Sequence[tree.Node]]
    depths: Sequence[int]
    num_words: int
    nodes: Sequence[range]
    tree_nodes: frozenset[tree.Node]

    def joined(self, ranks: range) -> tuple[list[int], list[tree.Node]]:
        """See `tree.joins`, for the partial sums of some ranks."""
        return tree.joins([node for rank in ranks for node in self.covers[rank]], self.tree_nodes)


class Exchange(Protocol):
    """Brings partial sums together.

    Attributes:
        sums: as many flat vectors as this rank's depth: it computes in them, and leaves its cover in the first ones.
        words: of all shards; it writes those of its own.
        grad: the sum of this rank's slice, once the exchange has been called, and until the next commit.
    """

    sums: list[Vector]
    words: Words
    grad: PendingSum

    def __call__(self) -> None:
        """Complete `grad` and `words`; collective."""


class NodeExchange:
    """One node: its ranks read each other's partial sums where they lie. Nothing is sent.

    Args:
        group: all ranks, on one node.
        memory: of the node.
        shares: who computes what.
        dtype: of the flat vectors.
    """

    def __init__(self, group: Group, memory: NodeMemory, shares: Shares, dtype: npt.DTypeLike) -> None:
        self._group = group
        self.vectors, self.sums = _node_vectors(memory, shares, shares.nodes[0], group.rank, dtype)
        num_shards = shares.shards[-1].stop
        words = memory.zeros(num_shards * shares.num_words, np.float64)
        self.words: Words = words.view(np.float64).reshape(num_shards, shares.num_words)
        joins, _ = shares.joined(shares.nodes[0])
        self.grad = pending_sum(self.vectors, joins, owned_slices(shares.size, group.world_size)[group.rank])

    def __call__(self) -> None:
        """See Exchange."""
        self._group.barrier()


class MessageExchange:
    """Several nodes: each sums what its ranks have, then ranks of different nodes exchange pieces of those sums.

    Every rank finishes the sum of a part of its own of the whole vector, and sends it to the ranks of every node that
    own elements of it there. With as many ranks on every node, a rank only meets those that own the same slice.

        node sums          each node: (0 + 1) of ranks 0 and 1, (2 + 3) of ranks 2 and 3
        scatter            every rank: a part of (0 + 1) and of (2 + 3), added up
        gather             every node: all parts of the whole sum

    Args:
        group: all ranks.
        node: the ranks of this node.
        memory: of the node.
        shares: who computes what.
        dtype: of the flat vectors.
        loops: element-wise work.
    """

    def __init__(
        self, group: Group, node: Group, memory: NodeMemory, shares: Shares, dtype: npt.DTypeLike, loops: Loops
    ) -> None:
        self._group, self._node, self._loops = group, node, loops
        me, here = group.rank, shares.nodes[_node_of(shares, group.rank)]
        vectors, self.sums = _node_vectors(memory, shares, here, me, dtype)
        self.words = np.zeros((shares.shards[-1].stop, shares.num_words))
        self._word_counts = [len(share) * shares.num_words for share in shares.shards]
        slices, parts = _slices_and_parts(shares)
        joins, covers = shares.joined(here)
        self._within = pending_sum(vectors, joins, slices[me])
        self._node_sums = aligned_zeros((len(covers), self._within.length), dtype)
        self._work = _stack(self._within, dtype)
        self._make_scatter(shares, slices, parts, dtype)
        self._total = aligned_zeros((1, self._within.length), dtype)
        self.grad = pending_sum(self._total, [0], slice(0, self._within.length))
        self._gather = (
            [(rank, self._part[0, piece]) for rank, piece in _overlaps(parts[me], slices, parts[me])],
            [(rank, self._total[0, piece]) for rank, piece in _overlaps(slices[me], parts, slices[me])],
        )

    def _make_scatter(self, shares: Shares, slices: list[slice], parts: list[slice], dtype: npt.DTypeLike) -> None:
        me = self._group.rank
        covers = [shares.joined(ranks)[1] for ranks in shares.nodes]
        length = parts[me].stop - parts[me].start
        received = aligned_zeros((sum(map(len, covers)), length), dtype)
        joins, _ = tree.joins(list(itertools.chain(*covers)), shares.tree_nodes)
        self._across = pending_sum(received, joins, slice(0, length))
        self._part = aligned_zeros((1, length), dtype)
        self._part_work = _stack(self._across, dtype)
        sends = [
            (rank, row[piece]) for rank, piece in _overlaps(slices[me], parts, slices[me]) for row in self._node_sums
        ]
        receives = []
        for rank, piece in _overlaps(parts[me], slices, parts[me]):
            node = _node_of(shares, rank)
            first = sum(map(len, covers[:node]))
            receives += [(rank, row[piece]) for row in received[first : first + len(covers[node])]]
        self._scatter = sends, receives

    def __call__(self) -> None:
        """See Exchange."""
        self._node.barrier()
        within, across = self._within, self._across
        self._loops.sum_rows(within.vectors, within.joins, within.offset, self._work, self._node_sums)
        self._group.exchange(*self._scatter)
        self._loops.sum_rows(across.vectors, across.joins, 0, self._part_work, self._part)
        self._group.exchange(*self._gather)
        self._group.allgather_into(self.words.reshape(-1), self._word_counts)


def _node_vectors(
    memory: NodeMemory, shares: Shares, ranks: range, me: int, dtype: npt.DTypeLike
) -> tuple[Matrix, list[Vector]]:
    """The vectors of a node, the covers of its ranks in the first rows; and those that rank `me` computes in."""
    vectors = memory.zeros(sum(shares.depths[rank] for rank in ranks) * shares.size, dtype).reshape(-1, shares.size)
    before = range(ranks.start, me)
    first = sum(len(shares.covers[rank]) for rank in before)
    first_extra = sum(len(shares.covers[rank]) for rank in ranks)
    first_extra += sum(shares.depths[rank] - len(shares.covers[rank]) for rank in before)
    cover = len(shares.covers[me])
    extra = shares.depths[me] - cover
    return vectors, [*vectors[first : first + cover], *vectors[first_extra : first_extra + extra]]


def _slices_and_parts(shares: Shares) -> tuple[list[slice], list[slice]]:
    """For every rank: what it owns on its node, and which part of the whole sum it finishes.

    Parts are given out to the first rank of every node, then to the second, and so on: so that, with as many ranks on
    every node, each rank's part lies in its own slice.
    """
    slices = [owned for ranks in shares.nodes for owned in owned_slices(shares.size, len(ranks))]
    places = sorted((rank - ranks.start, rank) for ranks in shares.nodes for rank in ranks)
    parts = [slice(0, 0)] * len(places)
    for (_, rank), part in zip(places, owned_slices(shares.size, len(places)), strict=True):
        parts[rank] = part
    return slices, parts


def _overlaps(mine: slice, theirs: Sequence[slice], origin: slice) -> list[tuple[int, slice]]:
    """The elements that `mine` shares with each of `theirs`, counted from the start of `origin`; only where any."""
    found = []
    for rank, other in enumerate(theirs):
        start, stop = max(mine.start, other.start), min(mine.stop, other.stop)
        if start < stop:
            found.append((rank, slice(start - origin.start, stop - origin.start)))
    return found


def _node_of(shares: Shares, rank: int) -> int:
    return next(number for number, ranks in enumerate(shares.nodes) if rank in ranks)


def _stack(pending: PendingSum, dtype: npt.DTypeLike) -> Matrix:
    return aligned_zeros((pending.depth, STACK_COLUMNS), dtype)
