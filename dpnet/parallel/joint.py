"""The gradient of a node's samples, computed by all ranks of the node together: there is nothing to add up.

The gradient of a weight is a sum over samples, dweight = x^T dz, with one row of x and of dz for each. The buffers of
x and dz lie in memory that the ranks of a node share, the rows of one rank after those of another. So once all ranks
have gone back through the network, a single product adds up the samples of all of them; and each rank computes those
rows of dweight that it owns, and no others:

            x         dz
         ┌──────┐  ┌──────┐  rows of rank 0          dweight   = x^T dz
         │      │  │      │                          ┌──────┐
         ├──────┤  ├──────┤  rows of rank 1          │      │  by rank 0, from the left half of all rows of x
         │      │  │      │                          ├──────┤
         └──────┘  └──────┘                          │      │  by rank 1, from the right half
                                                     └──────┘
In the usual way every rank computes the whole dweight of its own samples, and these are then summed (see `allreduce`).
The number of multiplications is the same. But here no rank has a gradient vector, none is written to memory and none is
read by another rank; the sums in the products are longer, which makes the products faster; and the optimizer uses every
tile of the gradient while it still lies in the cache (see `tiles`).

Several nodes exchange the sums of nodes (see `between_nodes`). Or they exchange x and dz, and the buffers of every node
have the rows of all nodes (see `factors`). Even so there is one product for each node's rows, and the order of their
sum is that of the tree over nodes: the bits are the same.

The joint gradient does not always cost less: a small network on a large batch has fewer gradients than factors. What
ranks read of one another crosses from core to core, and that is most of what a short step costs (see
`reducer.joint_reads_less`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar

import numpy.typing as npt

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Matrix, Vector
from dpnet.compute.backend import Backend
from dpnet.compute.loops.pending_sums import Tile
from dpnet.compute.shares import round_up
from dpnet.nn.layout import ALIGNMENT, Layout
from dpnet.nn.passes import BackwardPass
from dpnet.parallel import tree
from dpnet.parallel.between_nodes import BetweenNodes
from dpnet.parallel.plan import Plan
from dpnet.parallel.step_sums import StepSums, Sums
from dpnet.parallel.tiles import Factors, SliceGradient
from dpnet.state.ownership import owned_slices


class JointReducer:
    """See Reducer. Every rank has one shard, and `factors` lie in the memory of its node.

    Args:
        whole_batch: the buffers have rows for the samples of all nodes. Somebody brings these before `reduce`, and the
            numbers of their shards.

    Attributes:
        all_dbiases: (ranks, outputs) of every layer, the gradients of the biases of the ranks whose rows are here.
        sums: the numbers of all shards.
    """

    shares_rows: ClassVar[bool] = True

    def __init__(
        self,
        topology: Topology,
        *,
        plan: Plan,
        layout: Layout,
        dtype: npt.DTypeLike,
        factors: Factors,
        backend: Backend,
        whole_batch: bool = False,
    ) -> None:
        group, node, here, loops = topology.group, topology.node, topology.here, backend.kernels.loops
        assert plan.num_shards == group.world_size
        shares = plan.shares(group.world_size)
        self.shards: Sequence[int] = shares[group.rank]
        self._node, self._nodes = node, topology.nodes if whole_batch else [here]
        ranks = range(self._nodes[0].start, self._nodes[-1].stop)
        start = plan.shard_start
        # Batches have two sizes: the last one of an epoch may be short.
        self._first_row = functools.cache(lambda size, shard: start(size, shard) - start(size, ranks.start))
        self.all_dbiases = [_row_for_each_rank(topology, len(ranks), width, dtype) for width in layout.sizes[1:]]
        self._dbiases = [rows[group.rank - ranks.start] for rows in self.all_dbiases]
        owned = owned_slices(layout, node.world_size)[node.rank]
        terms = [slice(of_node.start - ranks.start, of_node.stop - ranks.start) for of_node in self._nodes]
        self._slice = SliceGradient(
            layout, owned, factors, self.all_dbiases, backend.products, loops, dtype, terms=terms
        )
        self.grad: Sequence[Tile] = self._slice.tiles
        self.sums = StepSums(topology, shares, loops, are_brought=whole_batch)
        self._between: BetweenNodes | None = None
        if (num_nodes := len(topology.nodes)) > 1 and not whole_batch:
            covers = [[leaf] for leaf in tree.leaves(num_nodes)]
            self._between = BetweenNodes(topology, self.grad, covers, tree.spans(num_nodes), layout, dtype, loops)
            self.grad = self._between.grad

    def first_row(self, num_samples: int, shard: int) -> int:
        """See Reducer.first_row. The rows of a rank follow those of the rank before it."""
        return self._first_row(num_samples, shard)

    @property
    def dbiases(self) -> list[Vector]:
        """See Reducer.dbiases."""
        return self._dbiases

    def add(self, shard: int, backward: BackwardPass, sums: Sums) -> None:
        """See Reducer.add. Takes nothing from the pass: x and dz lie in the node's memory already."""
        self.sums.put(shard, sums)

    def reduce(self, num_samples: int) -> Sums:
        """See Reducer.reduce. On one node this is a barrier; a tile is computed when the update comes to it."""
        self._slice.rows = [
            (self.first_row(num_samples, ranks.start), self.first_row(num_samples, ranks.stop)) for ranks in self._nodes
        ]
        self._node.barrier()
        if self._between is not None:
            self._between()
        return self.sums.totals()


def _row_for_each_rank(topology: Topology, ranks: int, width: int, dtype: npt.DTypeLike) -> Matrix:
    """A row for each of some ranks, on cache lines of its own, in the memory of the node."""
    room = round_up(width, ALIGNMENT)
    return topology.memory.zeros(ranks * room, dtype).reshape(ranks, room)[:, :width]
