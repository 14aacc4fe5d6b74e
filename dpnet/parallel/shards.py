"""The gradient as a sum over fixed shards in a fixed order: the same bits on any number of ranks.

Every shard has a gradient of its own. Neighbouring partial sums are joined at once, so a rank keeps only its cover of
the tree (see `tree`) and never one vector for each of its shards. The vectors lie in memory that the ranks of a node
share: the owner of a slice reads that slice in all of them, and adds up what is left while it updates its parameters.

With one shard for each rank this is also the faster way to train a network that is small beside its batch (see
`reducer.joint_reads_less`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Matrix, Vector
from dpnet.compute.backend import Backend
from dpnet.compute.loops.pending_sums import Tile
from dpnet.nn.layout import Layout
from dpnet.nn.passes import WeightGradients
from dpnet.parallel import tree
from dpnet.parallel.between_nodes import BetweenNodes
from dpnet.parallel.deal import deal
from dpnet.parallel.plan import Plan
from dpnet.parallel.step_sums import StepSums, Sums
from dpnet.parallel.tiles import Factors, tiles_of_sum
from dpnet.state.ownership import owned_slices


class ShardReducer:
    """See Reducer. Needs no `factors`: the backward pass writes the gradients of the weights."""

    shares_rows: ClassVar[bool] = False

    def __init__(
        self,
        topology: Topology,
        *,
        plan: Plan,
        layout: Layout,
        dtype: npt.DTypeLike,
        factors: Factors,
        backend: Backend,
    ) -> None:
        group, node, loops = topology.group, topology.node, backend.kernels.loops
        shares = deal(plan, topology.nodes)
        assert all(shares), "every rank needs a shard"
        self.shards: Sequence[int] = shares[group.rank]
        self._node = node
        # Where no order is asked for, one that leaves every node a single partial sum.
        self._tree = tree.spans(plan.num_shards) if plan.reproducible else tree.spans_in_groups(topology.nodes)
        self._stack: list[tree.Span] = []
        vectors, self._vectors = _vectors(topology, shares, self._tree, layout, dtype)
        self._trained = [flat[layout.trained] for flat in self._vectors]
        self._dweights = [[dweight for dweight, _ in layout.views(flat)] for flat in self._vectors]
        self._dbiases = [layout.dbiases(flat) for flat in self._vectors]
        self._sums = StepSums(topology, shares, loops)
        covers = [_cover_of_node([shares[rank] for rank in ranks], self._tree) for ranks in topology.nodes]
        joins, _ = covers[topology.number_of_node(group.rank)]
        owned = owned_slices(layout, node.world_size)[node.rank]
        self.grad: Sequence[Tile] = tiles_of_sum(layout, owned, vectors, joins)
        self._between: BetweenNodes | None = None
        if len(covers) > 1:
            left = [spans for _, spans in covers]
            self._between = BetweenNodes(topology, self.grad, left, self._tree, layout, dtype, loops)
            self.grad = self._between.grad

    def first_row(self, num_samples: int, shard: int) -> int:
        """See Reducer.first_row. All shards use the same rows, one after the other."""
        return 0

    @property
    def dbiases(self) -> list[Vector]:
        """See Reducer.dbiases."""
        return self._dbiases[len(self._stack)]

    def add(self, shard: int, backward: WeightGradients, sums: Sums) -> None:
        """See Reducer.add."""
        self._sums.put(shard, sums)
        place = len(self._stack)
        backward.weight_gradients(self._dweights[place])
        for _ in range(tree.append(self._stack, (shard, shard + 1), self._tree)):
            place -= 1
            np.add(self._trained[place], self._trained[place + 1], out=self._trained[place])

    def reduce(self, num_samples: int) -> Sums:
        """See Reducer.reduce. On one node this is a barrier; the update adds up the vectors of all ranks as it goes."""
        self._node.barrier()
        self._stack.clear()
        if self._between is not None:
            self._between()
        return self._sums.totals()


def _cover_of_node(shares: Sequence[range], spans: frozenset[tree.Span]) -> tuple[list[int], list[tree.Span]]:
    """How the covers of a node's ranks are joined, and the spans that are left: see `tree.joins`."""
    return tree.joins([span for share in shares for span in tree.cover(share, spans)], spans)


def _vectors(
    topology: Topology,
    shares: Sequence[range],
    spans: frozenset[tree.Span],
    layout: Layout,
    dtype: npt.DTypeLike,
) -> tuple[Matrix, list[Vector]]:
    """All vectors of a node, with the covers of its ranks in the first rows; and those that this rank computes in."""
    here, me = [shares[rank] for rank in topology.here], topology.node.rank
    covers = [len(tree.cover(share, spans)) for share in here]
    extras = [tree.deepest_stack(share, spans) - cover for share, cover in zip(here, covers, strict=True)]
    vectors = topology.memory.zeros((sum(covers) + sum(extras)) * layout.size, dtype).reshape(-1, layout.size)
    first, first_extra = sum(covers[:me]), sum(covers) + sum(extras[:me])
    return vectors, [*vectors[first : first + covers[me]], *vectors[first_extra : first_extra + extras[me]]]
