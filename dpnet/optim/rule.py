"""What an update rule is: the parameters and the gradient of a step -> the parameters of the next.

A rule sees flat vectors, never a layer. It treats every element by itself, with additions, multiplications, divisions
and square roots only, which IEEE 754 rounds in one way. So the result has the same bits however a vector is cut into
calls: ranks may share a vector out, and runs with and without weight decay may alternate.

A rule is a dozen passes of numpy over the same few vectors. Over a long vector each pass would read them from memory
again. So `update` cuts the vectors into tiles that stay in the cache, and a rule is written for one tile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.compute.loops.reference import NUMPY_TILE


class TileVectors(NamedTuple):
    """One tile of every vector of a call, and scratch of the same length."""

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


class Optimizer(ABC):
    """An update rule.

    Args:
        dtype: of all vectors.

    Attributes:
        slots: names of its state vectors, as in PyTorch. Each vector is as long as the parameters, of their dtype, and
            zero before the first step.
        rule: name of the compiled loop that does the same (see `Kernels.rules`).
    """

    slots: ClassVar[tuple[str, ...]]
    rule: ClassVar[str]

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
        """Make one step on a run. Allocates nothing that grows with its length.

        Args:
            params: (n,) parameters; n may be 0. All vectors have the dtype of the rule.
            grad: (n,) gradient of the mean loss, after clipping. Overwritten: the rule uses it as scratch.
            slots: one (n,) vector for each name in the attribute `slots`.
            learning_rate: scale of the step.
            weight_decay: strength of the pull towards zero, 0 for none; how it pulls is up to the rule.
            step: number of this step, from 1.
            out: (n,) new parameters. Either the memory of `params` or none of it.
            out_slots: new `slots`; each is either the memory of its old one or none of it.
        """
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
            self._update_tile(TileVectors(params[part], g, old, out[part], new, self._scratch[: len(g)]), how)

    @abstractmethod
    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """The last arguments of the compiled loop, from the learning rate on."""

    @abstractmethod
    def _update_tile(self, tile: TileVectors, how: Step) -> None:
        """Write `new_p` and `new_slots`. Each may be the memory of the old: read what you need first."""


def add_l2(g: Vector, p: Vector, weight_decay: float, scratch: Vector) -> None:
    """Add the gradient of weight_decay / 2 * |p|^2 to `g`."""
    if weight_decay:
        g += np.multiply(p, weight_decay, out=scratch)
