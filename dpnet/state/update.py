"""The update: the owner of a slice clips the summed gradient and lets the optimizer write the next parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpnet.comm.group import Group
from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.loops.interface import Kernels
from dpnet.compute.loops.pending_sums import Tile, complete, pending_sum, scratch_for
from dpnet.compute.pool import Pool
from dpnet.compute.shares import overlap
from dpnet.nn.layout import Layout
from dpnet.optim.apply import Run, make_apply
from dpnet.optim.clipping import block_square_sums, clip_factor
from dpnet.optim.rule import Optimizer
from dpnet.state.banks import State
from dpnet.state.ownership import OWNERSHIP_GRAIN


class SliceUpdate:
    """Applies an optimizer to the slice that this rank owns on its node.

    Args:
        node: the ranks of the node.
        layout: says which elements are biases.
        state: where parameters and optimizer vectors lie.
        grad: the owned slice of the gradient of the mean loss, in tiles; to be had at each call.
        optimizer: the update rule.
        kernels: loops, and rules in one pass.
        pool: threads for long slices.
        weight_decay: for weights.
        decay_biases: biases decay as well.
        clip_norm: largest norm of the whole gradient; 0 leaves it as it is.
    """

    def __init__(
        self,
        node: Group,
        layout: Layout,
        state: State,
        grad: Sequence[Tile],
        optimizer: Optimizer,
        kernels: Kernels,
        pool: Pool,
        *,
        weight_decay: float,
        decay_biases: bool,
        clip_norm: float,
    ) -> None:
        self._state = state
        self._norm = None
        owned = state.slices[node.rank]
        if clip_norm > 0:
            self._norm = _ClippedSum(node, state.slices, grad, state.params.dtype, kernels, clip_norm)
            grad = self._norm.grad
        runs = _runs(layout, owned, weight_decay, weight_decay if decay_biases else 0.0)
        self._tiles = [
            (
                tile.prepare,
                make_apply(optimizer, _within(runs, tile), tile.sum, state.params.dtype, kernels, pool),
            )
            for tile in grad
        ]

    def apply(self, *, step: int, learning_rate: float) -> None:
        """Write the next state of the owned slice.

        Args:
            step: number of this update, from 1.
            learning_rate: of this step.
        """
        scale = 1.0 if self._norm is None else self._norm()
        # float(): with a scalar of np.float64, numpy would compute in float64: slower, and with other bits.
        rate, state = float(learning_rate), self._state
        vectors = state.owned_params, state.owned_slots, state.next_params, state.next_slots
        for prepare, apply in self._tiles:
            prepare()
            apply(vectors, scale, rate, step)


class _ClippedSum:
    """Completes the owned slice, and finds by what factor the whole gradient is too long."""

    def __init__(
        self,
        node: Group,
        slices: list[slice],
        grad: Sequence[Tile],
        dtype: npt.DTypeLike,
        kernels: Kernels,
        clip_norm: float,
    ) -> None:
        self._node, self._tiles, self._loops, self._clip_norm = node, grad, kernels.loops, clip_norm
        owned = slices[node.rank]
        self._sum = aligned_zeros((1, owned.stop - owned.start), dtype)
        self._work = scratch_for([tile.sum for tile in grad], dtype)
        self._squares = np.zeros(slices[-1].stop // OWNERSHIP_GRAIN)
        self._owned_blocks = slice(owned.start // OWNERSHIP_GRAIN, owned.stop // OWNERSHIP_GRAIN)
        self._block_counts = [(part.stop - part.start) // OWNERSHIP_GRAIN for part in slices]
        self.grad = [Tile(0, owned.stop - owned.start, pending_sum(self._sum, [0]))]

    def __call__(self) -> float:
        complete(self._tiles, self._sum, self._work, self._loops)
        # One sum per block, then one sum over all blocks: the same bits whoever owns which blocks.
        self._squares[self._owned_blocks] = block_square_sums(self._sum[0], OWNERSHIP_GRAIN)
        self._node.allgather_into(self._squares, self._block_counts)
        return clip_factor(math.sqrt(float(np.sum(self._squares))), self._clip_norm)


def _runs(layout: Layout, owned: slice, weights: float, biases: float) -> list[Run]:
    """The runs of the owned elements, relative to the slice's start; padding is in none."""
    parts = [(overlap(tensor, owned), biases if tensor.is_bias else weights) for tensor in layout.tensors]
    return [Run(part.start - owned.start, part.stop - owned.start, decay) for part, decay in parts if part]


def _within(runs: list[Run], tile: Tile) -> list[Run]:
    """What of some runs lies in a tile."""
    parts = [(overlap(run, tile), run.decay) for run in runs]
    return [Run(part.start, part.stop, decay) for part, decay in parts if part]
