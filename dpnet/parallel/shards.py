"""The gradient as a sum over fixed shards in a fixed order: the same bits on any number of ranks.

Every shard has a gradient of its own. Neighbouring partial sums are joined at once, so a rank keeps only its cover of
the tree (see `tree.py`) and never one vector per shard. The vectors lie in memory that the ranks of a node share: the
owner of a slice reads it in all of them, and adds up what is left while it updates its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dpnet.comm.node_memory import NodeMemory
from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Matrix, Vector
from dpnet.compute.loops.interface import Loops
from dpnet.compute.loops.pending_sums import Tile, complete, pending_sum, scratch_for
from dpnet.compute.shares import share
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.between_nodes import BetweenNodes
from dpnet.parallel.step_sums import Words
from dpnet.state.ownership import owned_slices


class ShardReducer:
    """See Reducer.

    Args:
        topology: which ranks share memory.
        num_shards: number of shards in the global batch, at least one per rank.
        layout: of the flat vectors.
        dtype: of the gradients.
        weight_gradients: writes the gradient of every weight, for the shard that was just propagated back.
        num_words: float64 numbers that each shard adds to the step's sums (loss, hits, ...).
        loops: element-wise work.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        num_shards: int,
        layout: Layout,
        dtype: npt.DTypeLike,
        weight_gradients: Callable[[Sequence[Matrix]], None],
        num_words: int,
        loops: Loops,
    ) -> None:
        group, node, nodes = topology.group, topology.node, topology.nodes
        shards = [range(*share(num_shards, rank, group.world_size)) for rank in range(group.world_size)]
        assert all(shards), "every rank needs a shard"
        self.shards: Sequence[int] = shards[group.rank]
        self._node, self._weight_gradients, self._loops = node, weight_gradients, loops
        self._tree = tree.spans(num_shards)
        self._stack: list[tree.Span] = []
        here = [shards[rank] for rank in topology.here]
        vectors, self._sums = _vectors(topology.memory, here, self._tree, node.rank, layout, dtype)
        views = [layout.views(flat) for flat in self._sums]
        self._dweights = [[dweight for dweight, _ in pairs] for pairs in views]
        self._dbiases = [[dbias for _, dbias in pairs] for pairs in views]
        self._words = Words(topology, shards, num_words, loops)
        covers = [
            tree.joins([part for rank in ranks for part in tree.cover(shards[rank], self._tree)], self._tree)
            for ranks in nodes
        ]
        joins, _ = covers[topology.number_of_node(group.rank)]
        owned = owned_slices(layout, node.world_size)[node.rank]
        self.grad: Sequence[Tile] = [Tile(0, owned.stop - owned.start, pending_sum(vectors, joins, owned.start))]
        self._between: BetweenNodes | None = None
        if len(nodes) > 1:
            self._within, self._work = self.grad, scratch_for([self.grad[0].sum], dtype)
            self._between = BetweenNodes(
                topology, [cover for _, cover in covers], self._tree, layout=layout, dtype=dtype, loops=loops
            )
            self.grad = self._between.grad

    def first_row(self, num_samples: int, shard: int) -> int:
        """See Reducer.first_row. One shard after the other uses the same rows."""
        return 0

    @property
    def dbiases(self) -> list[Vector]:
        """See Reducer.dbiases."""
        return self._dbiases[len(self._stack)]

    def add(self, shard: int, words: Sequence[float]) -> None:
        """See Reducer.add."""
        self._words.put(shard, words)
        place = len(self._stack)
        self._weight_gradients(self._dweights[place])
        for _ in range(tree.append(self._stack, (shard, shard + 1), self._tree)):
            place -= 1
            np.add(self._sums[place], self._sums[place + 1], out=self._sums[place])

    def reduce(self, num_samples: int) -> list[float]:
        """See Reducer.reduce."""
        self._node.barrier()
        self._stack.clear()
        if self._between is not None:
            complete(self._within, self._between.node_sums, self._work, self._loops)
            self._between()
        return self._words.totals()


def _vectors(
    memory: NodeMemory,
    shards: Sequence[range],
    spans: frozenset[tree.Span],
    me: int,
    layout: Layout,
    dtype: npt.DTypeLike,
) -> tuple[Matrix, list[Vector]]:
    """The vectors of a node, the covers of its ranks in the first rows; and those that rank `me` of it computes in."""
    covers = [len(tree.cover(share, spans)) for share in shards]
    extras = [tree.deepest_stack(share, spans) - cover for share, cover in zip(shards, covers, strict=True)]
    vectors = memory.zeros((sum(covers) + sum(extras)) * layout.size, dtype).reshape(-1, layout.size)
    first, first_extra = sum(covers[:me]), sum(covers) + sum(extras[:me])
    return vectors, [*vectors[first : first + covers[me]], *vectors[first_extra : first_extra + extras[me]]]
