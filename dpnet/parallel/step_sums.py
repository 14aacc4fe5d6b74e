"""The sums of a step: loss, hits and what ranks ask for, added up over all shards. They travel with the gradient."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.compute.loops.interface import Loops
from dpnet.compute.loops.pending_sums import pending_sum, scratch_for
from dpnet.parallel import tree


class Requests(NamedTuple):
    """What one rank asks of all. It travels with the sums of a step, so all ranks know of it after the same step.

    Attributes:
        save: a checkpoint.
        stop: the end of the training, with a checkpoint.
        fail: the end of the training, with an error that this rank tells.
    """

    save: bool = False
    stop: bool = False
    fail: bool = False


NOTHING = Requests()


class Sums(NamedTuple):
    """What every shard adds to the sums of its step; and these sums, which are the same on every rank.

    Attributes:
        samples: number of samples.
        weight: the sum of their weights; without weights, their number.
        loss: of the samples, weighted and summed.
        hits: weight of the samples whose largest logit is that of their label; without weights, their number. Of other
            tasks, what the loss measures of the samples in its place: see `nn.losses.interface.Loss`.
        bad: number of shards whose loss or gradient is not finite. If there is one, the step is not taken.
        saves: number of ranks that ask for a checkpoint.
        stops: number of ranks that ask for the end of the training.
        failures: number of ranks that cannot go on.
    """

    samples: int
    weight: float
    loss: float
    hits: float
    bad: int = 0
    saves: int = 0
    stops: int = 0
    failures: int = 0


NUM_SUMS = len(Sums._fields)
SHARD_BYTES = 8 * NUM_SUMS
"""Of the numbers of one shard, all stored as float64."""


class StepSums:
    """Adds up the numbers of all shards, in the order of the tree over shards.

    Args:
        topology: which ranks share memory.
        shards: of every rank.
        loops: element-wise work.
        are_brought: somebody brings the numbers of other nodes, see `row`; otherwise `totals` gathers them.
    """

    def __init__(self, topology: Topology, shards: Sequence[range], loops: Loops, *, are_brought: bool = False) -> None:
        self._group = topology.group
        self._counts = [len(share) * NUM_SUMS for share in shards]
        self._gathers = len(topology.nodes) > 1 and not are_brought
        num_shards = shards[-1].stop
        zeros = aligned_zeros if self._gathers else topology.memory.zeros
        self._all = zeros(num_shards * NUM_SUMS, np.float64).reshape(num_shards, NUM_SUMS)
        # To store a few numbers through numpy takes several times as long.
        self._store, self._memory = struct.Struct(f"{NUM_SUMS}d").pack_into, self._all.data
        joins, _ = tree.joins(tree.leaves(num_shards), tree.spans(num_shards))
        pending, totals = pending_sum(self._all, joins), np.zeros((1, NUM_SUMS))
        work = scratch_for([pending], np.float64)
        self._add_up = functools.partial(loops.sum_rows, pending.vectors, pending.joins, 0, work, totals)
        self._read = totals[0].tolist

    def put(self, shard: int, sums: Sums) -> None:
        """Set the numbers of a shard of this rank."""
        self._store(self._memory, shard * SHARD_BYTES, *sums)

    def row(self, shard: int) -> Vector:
        """The numbers of a shard: (NUM_SUMS,) float64, in the memory of the node if they are not gathered."""
        row: Vector = self._all[shard]
        return row

    def totals(self) -> Sums:
        """The sums over all shards; collective if they are gathered.

        If not, the numbers of all shards must be there before any rank calls this.
        """
        if self._gathers:
            self._group.allgather_into(self._all.reshape(-1), self._counts)
        self._add_up()
        samples, weight, loss, hits, bad, saves, stops, failures = self._read()
        return Sums(int(samples), weight, loss, hits, int(bad), int(saves), int(stops), int(failures))
