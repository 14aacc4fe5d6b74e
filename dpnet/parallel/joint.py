"""The gradient of a node's samples, computed by all ranks of the node together: there is nothing to add up.

The gradient of a weight is a sum over samples, dweight = x^T dz, with one row of x and of dz for each. The buffers of
x and dz lie in memory that the ranks of a node share, the rows of one rank after those of the other. So once all have
gone back through the network, a single product adds up the samples of all of them; and each rank computes those rows
of dweight that it owns, and no others:

            x         dz
         ┌──────┐  ┌──────┐  rows of rank 0          dweight   = x^T dz
         │      │  │      │                          ┌──────┐
         ├──────┤  ├──────┤  rows of rank 1          │      │  by rank 0, from the left half of all rows of x
         │      │  │      │                          ├──────┤
         └──────┘  └──────┘                          │      │  by rank 1, from the right half
                                                     └──────┘
The usual way is that every rank computes the whole dweight of its own samples, and that these are then summed. The
number of multiplications is the same. But here no rank has a gradient vector, none is written to memory and none is
read by another rank; sums in the products are longer, which makes them faster; and the optimizer uses every tile of
the gradient while it still lies in the cache (see `tiles.py`).

Several nodes exchange the sums of nodes (see `between.py`).

It is not always the cheaper way: small networks on large batches have fewer gradients than factors. What ranks read of
one another crosses from core to core, and that is most of what a short step costs (see `joint_reads_less`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy.typing as npt

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Matrix, Vector
from dpnet.compute.loops.interface import Loops
from dpnet.compute.loops.pending_sums import Tile, complete, scratch_for
from dpnet.compute.products.interface import Products
from dpnet.compute.shares import overlap, round_up
from dpnet.nn.layout import ALIGNMENT, Layout
from dpnet.parallel import tree
from dpnet.parallel.between_nodes import BetweenNodes
from dpnet.parallel.plan import Plan
from dpnet.parallel.step_sums import Words
from dpnet.parallel.tiles import Factors, SliceGradient
from dpnet.state.ownership import owned_slices


class JointReducer:
    """See Reducer. Every rank has one shard.

    Args:
        topology: which ranks share memory; the factors lie in that of this rank's node.
        plan: with as many shards as ranks.
        layout: of the flat vectors.
        dtype: of the gradients.
        factors: whose product is the gradient.
        products: matrix products.
        num_words: float64 numbers that each shard adds to the step's sums (loss, hits, ...).
        loops: element-wise work.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        plan: Plan,
        layout: Layout,
        dtype: npt.DTypeLike,
        factors: Factors,
        products: Products,
        num_words: int,
        loops: Loops,
    ) -> None:
        group, node = topology.group, topology.node
        assert plan.num_shards == group.world_size
        self.shards: Sequence[int] = range(group.rank, group.rank + 1)
        self._node, self._loops = node, loops
        # Of two sizes of a batch: that of the last one differs.
        self._node_shards = here = topology.here
        start = plan.shard_start
        self._first_row = functools.cache(lambda size, shard: start(size, shard) - start(size, here.start))
        dbiases = [_rows_of_ranks(topology, width, dtype) for width in layout.sizes[1:]]
        self._dbiases = [rows[node.rank] for rows in dbiases]
        owned = owned_slices(layout, node.world_size)[node.rank]
        self._slice = SliceGradient(layout, owned, factors, dbiases, products, loops, dtype)
        self.grad: Sequence[Tile] = self._slice.tiles
        shards = [range(rank, rank + 1) for rank in range(group.world_size)]
        self._words = Words(topology, shards, num_words, loops)
        self._between: BetweenNodes | None = None
        num_nodes = len(topology.nodes)
        if num_nodes > 1:
            self._work = scratch_for([tile.sum for tile in self.grad], dtype)
            covers = [[leaf] for leaf in tree.leaves(num_nodes)]
            self._between = BetweenNodes(
                topology, covers, tree.spans(num_nodes), layout=layout, dtype=dtype, loops=loops
            )
            self.grad = self._between.grad

    def first_row(self, num_samples: int, shard: int) -> int:
        """See Reducer.first_row."""
        return self._first_row(num_samples, shard)

    @property
    def dbiases(self) -> list[Vector]:
        """See Reducer.dbiases."""
        return self._dbiases

    def add(self, shard: int, words: Sequence[float]) -> None:
        """See Reducer.add."""
        self._words.put(shard, words)

    def reduce(self, num_samples: int) -> list[float]:
        """See Reducer.reduce."""
        self._slice.rows = self.first_row(num_samples, self._node_shards.stop)
        self._node.barrier()
        if self._between is not None:
            complete(self._slice.tiles, self._between.node_sums, self._work, self._loops)
            self._between()
        return self._words.totals()


def joint_reads_less(layout: Layout, nodes: Sequence[range], rows: int) -> bool:
    """Whether the ranks of a node read less of one another with a JointReducer than with a ShardReducer.

    Every two ranks read from each other either the owned slice of a gradient, or the columns of x and dz that it is
    made of, for all rows of the other. Measured at 2 ranks of nine networks, the time of a step is equal where the two
    are, and up to an eighth apart where they are not (benchmarks/README.md).

    Args:
        layout: of the network.
        nodes: the ranks of each. The largest node decides, so that all choose the same.
        rows: of each rank.
    """
    columns = 0.0
    for owned in owned_slices(layout, max(map(len, nodes))):
        for tensor in layout.tensors:
            elements = len(overlap(tensor, owned))
            if elements and not tensor.is_bias:
                num_outputs = tensor.shape[0]
                columns += elements / num_outputs + num_outputs
    return rows * columns <= layout.size


def _rows_of_ranks(topology: Topology, width: int, dtype: npt.DTypeLike) -> Matrix:
    """A row for each rank of the node, on cache lines of its own."""
    room, ranks = round_up(width, ALIGNMENT), len(topology.here)
    return topology.memory.zeros(ranks * room, dtype).reshape(ranks, room)[:, :width]
