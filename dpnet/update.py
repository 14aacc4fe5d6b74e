"""The update: the owner of a slice clips the summed gradient and lets the optimizer write the next parameters."""

from __future__ import annotations

import math

import numpy as np

from dpnet.arrays import Vector
from dpnet.comm.group import Group
from dpnet.nn.layout import BLOCK, Layout
from dpnet.optim.clipping import block_square_sums, clip_factor
from dpnet.optim.optimizers import Optimizer
from dpnet.state import State


class SliceUpdate:
    """Applies an optimizer to the slice that this rank owns.

    Args:
        group: all ranks.
        layout: says which elements are biases.
        state: where parameters and optimizer vectors lie.
        optimizer: the update rule.
        weight_decay: for weights.
        decay_biases: biases decay as well.
        clip_norm: largest norm of the whole gradient; 0 leaves it as it is.
    """

    def __init__(
        self,
        group: Group,
        layout: Layout,
        state: State,
        optimizer: Optimizer,
        *,
        weight_decay: float,
        decay_biases: bool,
        clip_norm: float,
    ) -> None:
        self._group = group
        self._state = state
        self._optimizer = optimizer
        self._clip_norm = clip_norm
        owned = state.slices[group.rank]
        self._segments = _segments(layout, owned, weight_decay, weight_decay if decay_biases else 0.0)
        self._squares = np.zeros(layout.size // BLOCK)
        self._owned_blocks = slice(owned.start // BLOCK, owned.stop // BLOCK)
        self._block_counts = [(part.stop - part.start) // BLOCK for part in state.slices]

    def apply(self, grad: Vector, *, step: int, learning_rate: float) -> None:
        """Write the next state of the owned slice.

        Args:
            grad: the owned slice of the gradient, averaged over the global batch; overwritten.
            step: number of this update, from 1.
            learning_rate: of this step.
        """
        if self._clip_norm > 0:
            grad *= grad.dtype.type(clip_factor(self._global_norm(grad), self._clip_norm))
        state = self._state
        for segment, weight_decay in self._segments:
            self._optimizer.update(
                state.owned_params[segment],
                grad[segment],
                [slot[segment] for slot in state.owned_slots],
                learning_rate=learning_rate,
                weight_decay=weight_decay,
                step=step,
                out=state.next_params[segment],
                out_slots=[slot[segment] for slot in state.next_slots],
            )

    def _global_norm(self, grad: Vector) -> float:
        # One sum per block, then one sum over all blocks: the same bits whoever owns which blocks.
        self._squares[self._owned_blocks] = block_square_sums(grad, BLOCK)
        self._group.allgather_into(self._squares, self._block_counts)
        return math.sqrt(float(np.sum(self._squares)))


def _segments(layout: Layout, owned: slice, weights: float, biases: float) -> list[tuple[slice, float]]:
    """The owned elements as ranges of equal weight decay, relative to the slice's start; padding is in none."""
    segments = []
    for tensor in layout.tensors:
        start, stop = max(tensor.start, owned.start), min(tensor.stop, owned.stop)
        if start < stop:
            decay = biases if tensor.is_bias else weights
            segments.append((slice(start - owned.start, stop - owned.start), decay))
    return segments
