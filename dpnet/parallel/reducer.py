"""Reducers: from the gradients of single shards to the gradient of the whole batch, of which every rank gets its slice.

    allreduce   every rank computes the gradient of its own samples, and MPI sums the gradients
    joint       the ranks of a node compute the gradient of all their samples together
    shards      every shard has a gradient of its own, and they are summed in a fixed order

`allreduce` is the textbook way, and the one to read first. The other two bring a rank only the slice that it owns and
updates: what they publish are the new parameters (see `state.banks`), never the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy.typing as npt

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Vector
from dpnet.compute.backend import Backend
from dpnet.compute.loops.pending_sums import Tile
from dpnet.compute.shares import overlap
from dpnet.nn.layout import Layout
from dpnet.nn.passes import BackwardPass
from dpnet.parallel.allreduce import AllReduce
from dpnet.parallel.joint import JointReducer
from dpnet.parallel.plan import Plan
from dpnet.parallel.shards import ShardReducer
from dpnet.parallel.step_sums import Sums
from dpnet.parallel.tiles import Factors
from dpnet.state.ownership import owned_slices


class Reducer(Protocol):
    """Sums the gradients of all shards.

    Args:
        topology: which ranks share memory.
        plan: says how many shards a batch has.
        layout: of the flat vectors.
        dtype: of the gradients.
        factors: the whole buffers of the network, whose products are the gradients of the weights.
        backend: what this rank computes with.

    Attributes:
        shares_rows: the rows of all ranks of a node lie in one memory: the buffers of the network must be made there.
        shards: the shards of a batch that this rank computes, in order.
        grad: the slice of the sum that this rank owns on its node, in tiles; valid from `reduce` to the next commit.
    """

    shares_rows: ClassVar[bool]
    shards: Sequence[int]
    grad: Sequence[Tile]

    def __init__(
        self,
        topology: Topology,
        *,
        plan: Plan,
        layout: Layout,
        dtype: npt.DTypeLike,
        factors: Factors,
        backend: Backend,
    ) -> None: ...

    def first_row(self, num_samples: int, shard: int) -> int:
        """The row of the network's buffers in which the first sample of a shard belongs.

        Args:
            num_samples: of the batch.
            shard: of this rank.
        """

    @property
    def dbiases(self) -> list[Vector]:
        """Where the gradients of the biases of the next shard belong."""

    def add(self, shard: int, backward: BackwardPass, sums: Sums) -> None:
        """Take the gradient of a shard; shards come in order.

        Args:
            shard: of this rank.
            backward: has just run over its samples.
            sums: its numbers.
        """

    def reduce(self, num_samples: int) -> Sums:
        """Complete `grad`; collective, called once all shards of this rank have been added.

        Args:
            num_samples: of the batch.

        Returns:
            the sums over all shards, the same on every rank.
        """


REDUCERS: dict[str, type[Reducer]] = {"allreduce": AllReduce, "joint": JointReducer, "shards": ShardReducer}
"""By their names in `train.reducer`."""


def choose_reducer(setting: str, fixed_shards: int, layout: Layout, nodes: Sequence[range], rows: int) -> str:
    """The name of the reducer, the same on every rank.

    Args:
        setting: `train.reducer`.
        fixed_shards: 0, or the number of shards whose gradients must be summed in a fixed order.
        layout: of the network.
        nodes: the ranks of each.
        rows: of each rank, at most.
    """
    if fixed_shards:
        assert setting in ("auto", "shards"), setting
        return "shards"
    if setting == "auto":
        return "joint" if joint_reads_less(layout, nodes, rows) else "shards"
    return setting


def joint_reads_less(layout: Layout, nodes: Sequence[range], rows: int) -> bool:
    """Whether the ranks of a node read less of one another with a JointReducer than with a ShardReducer.

    Every two ranks read from each other either the owned slice of a gradient, or the columns of x and dz that the slice
    is made of, for all rows of the other. Measured at 2 ranks of nine networks, a step takes the same time where the
    two are equal, and up to an eighth less with the smaller one elsewhere (benchmarks/README.md).

    Args:
        layout: of the network.
        nodes: the ranks of each. The largest node decides, so that all choose the same.
        rows: of each rank.
    """
    columns = 0.0
    for owned in owned_slices(layout, max(map(len, nodes))):
        for tensor in layout.tensors:
            elements = len(overlap(tensor, owned))
            if elements and not (tensor.is_bias or tensor.is_frozen):
                num_outputs = tensor.shape[0]
                columns += elements / num_outputs + num_outputs
    return rows * columns <= layout.trained.stop - layout.trained.start
