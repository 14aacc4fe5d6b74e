"""Between nodes: the partial sums of all nodes meet by messages, and every node gets the whole sum.

Every rank finishes the sum of one part of the whole vector. It gets that part of all partial sums, and sends the
finished part to the ranks of every node that own elements of it there. With as many ranks on every node, a rank only
meets those that own the same slice.

    complete    every node has some partial sums; each of its ranks adds up the slice that it owns there
    scatter     every rank gets its part of the partial sums of all nodes, and adds them up in the order of the tree
    gather      every rank gets the finished parts of the slice that it owns

How the numbers travel is up to `wire`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy.typing as npt

from dpnet.comm.group import Message
from dpnet.comm.topology import Topology
from dpnet.compute.loops.interface import Loops
from dpnet.compute.loops.pending_sums import Tile, complete, pending_sum, scratch_for
from dpnet.compute.shares import overlap
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.wire import WIRES
from dpnet.state.ownership import slices_and_parts

_Exchange = tuple[Sequence[Message], Sequence[Message]]
"""Sends and receives."""


class BetweenNodes:
    """Adds up the partial sums of all nodes.

    Args:
        topology: with several nodes.
        tiles: of this rank's slice of the partial sums of its node.
        covers: the partial sums of every node, adjacent spans of the tree from left to right.
        spans: of the tree.
        layout: of the flat vector.
        dtype: of the sums.
        loops: element-wise work.

    Attributes:
        grad: the slice of the whole sum, complete after a call.
    """

    def __init__(
        self,
        topology: Topology,
        tiles: Sequence[Tile],
        covers: Sequence[Sequence[tree.Span]],
        spans: frozenset[tree.Span],
        layout: Layout,
        dtype: npt.DTypeLike,
        loops: Loops,
    ) -> None:
        self._group, self._tiles, self._loops = topology.group, tiles, loops
        nodes, me = topology.nodes, topology.group.rank
        slices, parts = slices_and_parts(nodes, layout)
        length, part_length = (owned.stop - owned.start for owned in (slices[me], parts[me]))
        make = WIRES[topology.wire]
        self._node_sums = make((len(covers[topology.number_of_node(me)]), length), dtype, loops)
        self._received = make((sum(map(len, covers)), part_length), dtype, loops)
        self._part, self._total = make((1, part_length), dtype, loops), make((1, length), dtype, loops)
        self.grad = [Tile(0, length, pending_sum(self._total.numbers, [0]))]
        joins, _ = tree.joins(list(itertools.chain(*covers)), spans)
        self._across = pending_sum(self._received.numbers, joins)
        self._work = scratch_for([*(tile.sum for tile in tiles), self._across], dtype)
        self._scatter, self._gather = self._messages(topology, (slices, parts), list(map(len, covers)), layout.trained)

    def _messages(
        self, topology: Topology, owned: tuple[Sequence[slice], Sequence[slice]], rows: Sequence[int], trained: slice
    ) -> tuple[_Exchange, _Exchange]:
        """What this rank sends and receives, for partial sums and for finished parts."""
        me, (slices, parts) = topology.group.rank, owned
        to_parts, from_slices = (
            _overlaps(mine, theirs, trained) for mine, theirs in ((slices[me], parts), (parts[me], slices))
        )
        first_rows = [0, *itertools.accumulate(rows)]
        received = [self._received.wire[slice(*pair)] for pair in itertools.pairwise(first_rows)]
        rows_from = [received[node] for node, ranks in enumerate(topology.nodes) for _ in ranks]
        scatter = (
            [(rank, row[piece]) for rank, piece in to_parts for row in self._node_sums.wire],
            [(rank, row[piece]) for rank, piece in from_slices for row in rows_from[rank]],
        )
        gather = (
            [(rank, self._part.wire[0, piece]) for rank, piece in from_slices],
            [(rank, self._total.wire[0, piece]) for rank, piece in to_parts],
        )
        return scatter, gather

    def __call__(self) -> None:
        """Complete `grad`; collective."""
        complete(self._tiles, self._node_sums.numbers, self._work, self._loops)
        self._node_sums.pack()
        self._group.exchange(*self._scatter)
        self._received.unpack()
        self._loops.sum_rows(self._across.vectors, self._across.joins, 0, self._work, self._part.numbers)
        self._part.pack()
        self._group.exchange(*self._gather)
        self._total.unpack()


def _overlaps(mine: slice, theirs: Sequence[slice], trained: slice) -> list[tuple[int, slice]]:
    """What `mine` shares with each of `theirs` and is trained, counted from the start of `mine`; only where any."""
    both = [(rank, overlap(overlap(mine, other), trained)) for rank, other in enumerate(theirs)]
    return [(rank, slice(found.start - mine.start, found.stop - mine.start)) for rank, found in both if found]
