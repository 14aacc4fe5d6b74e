"""The update: the owner of a slice clips the summed gradient and lets the optimizer write the next parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.backend import Backend
from dpnet.compute.loops.interface import Loops
from dpnet.compute.loops.pending_sums import Tile, complete, pending_sum, scratch_for
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
        state: where parameters and optimizer vectors lie.
        layout: tells weights from biases.
        grad: the owned slice of the gradient of the mean loss, in tiles; complete whenever `apply` is called.
        optimizer: the update rule.
        backend: what this rank computes with.
        weight_decay: for weights.
        decay_biases: biases decay as well.
        clip_norm: greatest norm of the whole gradient; 0 leaves it as it is.
    """

    def __init__(
        self,
        state: State,
        layout: Layout,
        grad: Sequence[Tile],
        optimizer: Optimizer,
        backend: Backend,
        *,
        weight_decay: float,
        decay_biases: bool,
        clip_norm: float,
    ) -> None:
        self._state, self._norm = state, None
        if clip_norm > 0:
            self._norm = _ClippedSum(state, grad, backend.kernels.loops, clip_norm)
            grad = self._norm.grad
        runs = _runs(layout, state.slices[state.node.rank], weight_decay, weight_decay if decay_biases else 0.0)
        dtype, kernels, pool = state.params.dtype, backend.kernels, backend.pool
        self._tiles = [
            (tile.prepare, make_apply(optimizer, _within(runs, tile), tile.sum, dtype, kernels, pool)) for tile in grad
        ]

    def apply(self, *, step: int, learning_rate: float) -> None:
        """Write the next state of the owned slice; collective on the node.

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
    """Completes the owned slice, and finds the factor that makes the whole gradient short enough."""

    def __init__(self, state: State, grad: Sequence[Tile], loops: Loops, clip_norm: float) -> None:
        self._node, self._tiles, self._loops, self._clip_norm = state.node, grad, loops, clip_norm
        owned, dtype = state.slices[state.node.rank], state.params.dtype
        self._sum = aligned_zeros((1, owned.stop - owned.start), dtype)
        self._work = scratch_for([tile.sum for tile in grad], dtype)
        self._squares = state.squares
        self._owned_squares = self._squares[owned.start // OWNERSHIP_GRAIN : owned.stop // OWNERSHIP_GRAIN]
        self.grad = [Tile(0, owned.stop - owned.start, pending_sum(self._sum, [0]))]

    def __call__(self) -> float:
        complete(self._tiles, self._sum, self._work, self._loops)
        # One sum for each grain, then one sum over all grains: the same bits whichever rank owns which grains.
        self._owned_squares[:] = block_square_sums(self._sum[0], OWNERSHIP_GRAIN)
        # No rank writes the next ones before all have read these: the commit lies in between.
        self._node.barrier()
        return clip_factor(math.sqrt(float(np.sum(self._squares))), self._clip_norm)


def _runs(layout: Layout, owned: slice, weights: float, biases: float) -> list[Run]:
    """The owned elements as runs of equal weight decay, counted from the start of the slice.

    Padding and frozen tensors are in none: they stay as they are.
    """
    trained = [tensor for tensor in layout.tensors if not tensor.is_frozen]
    parts = [(overlap(tensor, owned), biases if tensor.is_bias else weights) for tensor in trained]
    return [Run(part.start - owned.start, part.stop - owned.start, decay) for part, decay in parts if part]


def _within(runs: list[Run], tile: Tile) -> list[Run]:
    """The parts of some runs that lie in a tile."""
    parts = [(overlap(run, tile), run.decay) for run in runs]
    return [Run(part.start, part.stop, decay) for part, decay in parts if part]
