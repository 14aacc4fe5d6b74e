"""Long vectors, updated in blocks that stay in the cache.

An update rule is a dozen passes of numpy over the same few vectors. In one go over long vectors each pass would read
them from memory again. So a call is cut into blocks, and a rule is written for one block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.compute.loops.reference import NUMPY_TILE


class Block(NamedTuple):
    """The same block of every vector of a call, and scratch of its length."""

    p: Vector
    g: Vector
    slots: list[Vector]
    new_p: Vector
    new_slots: list[Vector]
    scratch: Vector


class Step(NamedTuple):
    """What is the same for all elements of a call; `number` counts from 1."""

    learning_rate: float
    weight_decay: float
    number: int


class Blockwise:
    """`Optimizer.update`, for a rule that is written for one block.

    Args:
        dtype: of all vectors.
    """

    slots: tuple[str, ...]

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._scratch = aligned_zeros(NUMPY_TILE, dtype)

    def update(
        self,
        params: Vector,
        grad: Vector,
        slots: Sequence[Vector],
        *,
        learning_rate: float,
        weight_decay: float,
        step: int,
        out: Vector,
        out_slots: Sequence[Vector],
    ) -> None:
        """See `Optimizer.update`."""
        assert step >= 1
        assert len(slots) == len(out_slots) == len(self.slots)
        assert all(v.shape == params.shape for v in (grad, out, *slots, *out_slots))
        assert all(v.dtype == self._scratch.dtype for v in (params, grad, out, *slots, *out_slots))
        # float(): with a scalar of np.float64, numpy would compute in float64: slower, and with other bits.
        how = Step(float(learning_rate), float(weight_decay), step)
        for start in range(0, len(params), NUMPY_TILE):
            part = slice(start, start + NUMPY_TILE)
            g = grad[part]
            old, new = [s[part] for s in slots], [s[part] for s in out_slots]
            self._update_block(Block(params[part], g, old, out[part], new, self._scratch[: len(g)]), how)

    def _update_block(self, block: Block, how: Step) -> None:
        """Write `new_p` and `new_slots`. Each may be the same memory as the old, so read what you need before."""
        raise NotImplementedError


def add_l2(g: Vector, p: Vector, weight_decay: float, scratch: Vector) -> None:
    """Add the gradient of weight_decay / 2 * |p|^2 to `g`."""
    if weight_decay:
        g += np.multiply(p, weight_decay, out=scratch)
