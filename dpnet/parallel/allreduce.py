"""Data parallelism as in the textbook: every rank computes a gradient, and one allreduce sums them.

All ranks hold the same parameters, and each takes its share of the batch forward and back. The gradient of a mean over
samples is a sum over samples, divided by their number:

    d loss / d w  =  sum over all samples of (d loss of the sample / d w) / N

A sum may be split as one likes. So each rank adds up the terms of its own samples in one vector, all vectors are
summed, and every rank has the gradient of the whole batch: the same as if one rank had taken all samples, but for
rounding. The division by N, the size of the whole batch, happened once, in the loss. There is no mean of means, so the
shares of the ranks may differ, and a rank without any sample adds zeros.

The other reducers make the same sum and save parts of the work:

    here                                                     elsewhere
    a whole vector is sent to and received from other ranks  ranks of a node read each other's memory: `shards`, `joint`
    every rank gets the whole sum, and needs only its slice  the owner of a slice adds it up while it updates it
    every rank writes a vector, and another reads it         `joint`: one product over the samples of all ranks
    the order of the sum is the MPI library's own            `shards`: one order for any number of ranks

`allreduce` is the reference for both in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.compute.backend import Backend
from dpnet.compute.loops.pending_sums import Tile
from dpnet.nn.layout import Layout
from dpnet.nn.passes import BackwardPass
from dpnet.parallel.plan import Plan
from dpnet.parallel.step_sums import StepSums, Sums
from dpnet.parallel.tiles import Factors, tiles_of_sum
from dpnet.state.ownership import owned_slices


class AllReduce:
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
        group, node = topology.group, topology.node
        shares = plan.shares(group.world_size)
        self.shards: Sequence[int] = shares[group.rank]
        self._group, self._sums = group, StepSums(topology, shares, backend.kernels.loops)
        # The first shard writes its gradient into the sum itself, each later one into a vector that is then added.
        vectors = aligned_zeros((2 if len(self.shards) > 1 else 1, layout.size), dtype)
        self._sum, self._term, self._place = vectors[0], vectors[-1], 0
        self._trained = self._sum[layout.trained]
        self._dweights = [[dweight for dweight, _ in layout.views(flat)] for flat in (self._sum, self._term)]
        self._dbiases = [layout.dbiases(flat) for flat in (self._sum, self._term)]
        owned = owned_slices(layout, node.world_size)[node.rank]
        self.grad: Sequence[Tile] = tiles_of_sum(layout, owned, vectors[:1], [0])

    def first_row(self, num_samples: int, shard: int) -> int:
        """See Reducer.first_row. All shards use the same rows, one after the other."""
        return 0

    @property
    def dbiases(self) -> list[Vector]:
        """See Reducer.dbiases."""
        return self._dbiases[self._place]

    def add(self, shard: int, backward: BackwardPass, sums: Sums) -> None:
        """See Reducer.add."""
        self._sums.put(shard, sums)
        backward.weight_gradients(self._dweights[self._place])
        if self._place == 1:
            np.add(self._sum, self._term, out=self._sum)
        self._place = 1

    def reduce(self, num_samples: int) -> Sums:
        """See Reducer.reduce."""
        # No rank gets out of this before all have come in, with the numbers of their shards put.
        self._group.allreduce(self._trained)
        self._place = 0
        return self._sums.totals()
