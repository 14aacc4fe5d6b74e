"""The update: the owner of a slice clips the summed gradient and lets the optimizer write the next parameters."""

from __future__ import annotations

import math

import numpy as np

from dpnet.arrays import aligned_zeros
from dpnet.comm.group import Group
from dpnet.kernels.choose import Kernels
from dpnet.kernels.crew import Crew
from dpnet.kernels.sums import PendingSum, pending_sum
from dpnet.nn.layout import BLOCK, Layout
from dpnet.optim.apply import Segment, make_apply
from dpnet.optim.clipping import block_square_sums, clip_factor
from dpnet.optim.optimizers import Optimizer
from dpnet.state import State

SUMMED_AT_A_TIME = 4096
"""Elements that are summed before the next ones are touched: they stay in the cache."""


class SliceUpdate:
    """Applies an optimizer to the slice that this rank owns on its node.

    Args:
        node: the ranks of the node.
        layout: says which elements are biases.
        state: where parameters and optimizer vectors lie.
        grad: the sum of the owned slice of the gradients, averaged over the global batch; complete at each call.
        optimizer: the update rule.
        kernels: loops, and rules in one pass.
        crew: threads for long slices.
        weight_decay: for weights.
        decay_biases: biases decay as well.
        clip_norm: largest norm of the whole gradient; 0 leaves it as it is.
    """

    def __init__(
        self,
        node: Group,
        layout: Layout,
        state: State,
        grad: PendingSum,
        optimizer: Optimizer,
        kernels: Kernels,
        crew: Crew,
        *,
        weight_decay: float,
        decay_biases: bool,
        clip_norm: float,
    ) -> None:
        self._state = state
        self._grad = grad
        self._norm = None
        if clip_norm > 0:
            self._norm = _ClippedSum(node, state.slices, grad, kernels, clip_norm)
            self._grad = self._norm.grad
        segments = _segments(layout, state.slices[node.rank], weight_decay, weight_decay if decay_biases else 0.0)
        self._apply = make_apply(optimizer, segments, self._grad, state.params.dtype, kernels, crew)

    def apply(self, *, step: int, learning_rate: float) -> None:
        """Write the next state of the owned slice.

        Args:
            step: number of this update, from 1.
            learning_rate: of this step.
        """
        scale = 1.0 if self._norm is None else self._norm()
        state = self._state
        self._apply(
            self._grad,
            state.owned_params,
            state.owned_slots,
            state.next_params,
            state.next_slots,
            scale=scale,
            # float(): with a scalar of np.float64, numpy would compute in float64: slower, and with other bits.
            learning_rate=float(learning_rate),
            step=step,
        )


class _ClippedSum:
    """Sums the owned slice, and finds by what factor the whole gradient is too long."""

    def __init__(self, node: Group, slices: list[slice], grad: PendingSum, kernels: Kernels, clip_norm: float) -> None:
        self._node, self._pending, self._loops, self._clip_norm = node, grad, kernels.loops, clip_norm
        self._sum = aligned_zeros((1, grad.length), grad.vectors.dtype)
        self._work = aligned_zeros((grad.depth, SUMMED_AT_A_TIME), grad.vectors.dtype)
        self._squares = np.zeros(slices[-1].stop // BLOCK)
        owned = slices[node.rank]
        self._owned_blocks = slice(owned.start // BLOCK, owned.stop // BLOCK)
        self._block_counts = [(part.stop - part.start) // BLOCK for part in slices]
        self.grad = pending_sum(self._sum, [0], slice(0, grad.length))

    def __call__(self) -> float:
        pending = self._pending
        self._loops.sum_rows(pending.vectors, pending.joins, pending.offset, self._work, self._sum)
        # One sum per block, then one sum over all blocks: the same bits whoever owns which blocks.
        self._squares[self._owned_blocks] = block_square_sums(self._sum[0], BLOCK)
        self._node.allgather_into(self._squares, self._block_counts)
        return clip_factor(math.sqrt(float(np.sum(self._squares))), self._clip_norm)


def _segments(layout: Layout, owned: slice, weights: float, biases: float) -> list[Segment]:
    """The owned elements as ranges of equal weight decay, relative to the slice's start; padding is in none."""
    segments = []
    for tensor in layout.tensors:
        start, stop = max(tensor.start, owned.start), min(tensor.stop, owned.stop)
        if start < stop:
            segments.append((start - owned.start, stop - owned.start, biases if tensor.is_bias else weights))
    return segments
