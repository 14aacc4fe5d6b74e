"""Between nodes: the partial sums of all nodes meet by messages, and every node gets the whole sum.

Every rank finishes the sum of one part of the whole vector. It gets that part of all partial sums, and sends the
finished part to the ranks of every node that own elements of it there. With as many ranks on every node, a rank only
meets those that own the same slice.

    complete    every node has some partial sums; each of its ranks adds up the slice that it owns there
    scatter     every rank gets its part of the partial sums of all nodes, and adds them up in the order of the tree
    gather      every rank gets the finished parts of the slice that it owns
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy.typing as npt

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.loops.interface import Loops
from dpnet.compute.loops.pending_sums import Tile, complete, pending_sum, scratch_for
from dpnet.compute.shares import overlap
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.state.ownership import slices_and_parts


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
        self._node_sums = aligned_zeros((len(covers[topology.number_of_node(me)]), length), dtype)
        total = aligned_zeros((1, length), dtype)
        self.grad = [Tile(0, length, pending_sum(total, [0]))]
        received = aligned_zeros((sum(map(len, covers)), part_length), dtype)
        joins, _ = tree.joins(list(itertools.chain(*covers)), spans)
        self._across, self._part = pending_sum(received, joins), aligned_zeros((1, part_length), dtype)
        self._work = scratch_for([*(tile.sum for tile in tiles), self._across], dtype)
        to_parts, from_slices = (
            _overlaps(mine, theirs, layout.trained) for mine, theirs in ((slices[me], parts), (parts[me], slices))
        )
        first_rows = [0, *itertools.accumulate(map(len, covers))]
        rows_from = [received[slice(*first_rows[node : node + 2])] for node, ranks in enumerate(nodes) for _ in ranks]
        self._scatter = (
            [(rank, row[piece]) for rank, piece in to_parts for row in self._node_sums],
            [(rank, row[piece]) for rank, piece in from_slices for row in rows_from[rank]],
        )
        self._gather = (
            [(rank, self._part[0, piece]) for rank, piece in from_slices],
            [(rank, total[0, piece]) for rank, piece in to_parts],
        )

    def __call__(self) -> None:
        """Complete `grad`; collective."""
        complete(self._tiles, self._node_sums, self._work, self._loops)
        self._group.exchange(*self._scatter)
        self._loops.sum_rows(self._across.vectors, self._across.joins, 0, self._work, self._part)
        self._group.exchange(*self._gather)


def _overlaps(mine: slice, theirs: Sequence[slice], trained: slice) -> list[tuple[int, slice]]:
    """What `mine` shares with each of `theirs` and is trained, counted from the start of `mine`; only where any."""
    both = [(rank, overlap(overlap(mine, other), trained)) for rank, other in enumerate(theirs)]
    return [(rank, slice(found.start - mine.start, found.stop - mine.start)) for rank, found in both if found]
