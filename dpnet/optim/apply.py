"""Applies an update rule to a slice of the parameters, together with the sum of the gradients before it.

Either in numpy, block by block, as `optimizers` has the rules; or by one compiled loop, on several threads where the
slice is long. The bits are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.compute.loops import reference
from dpnet.compute.loops.interface import Kernels
from dpnet.compute.loops.pending_sums import PendingSum
from dpnet.compute.pool import Pool
from dpnet.optim.sgd import Optimizer

Run = tuple[int, int, float]
"""(first element, one past the last, weight decay)"""

BLOCKS_PER_THREAD = 24
"""Fewest blocks of a compiled rule, of 4096 elements each, that are worth a thread: about 0.2 ms of work."""


class Apply(Protocol):
    """Applies the optimizer to a slice, with a gradient of n elements."""

    def __call__(
        self,
        params: Vector,
        slots: Sequence[Vector],
        out: Vector,
        out_slots: Sequence[Vector],
        scale: float,
        learning_rate: float,
        step: int,
    ) -> None:
        """Make one step.

        Args:
            params: (n,) parameters.
            slots: (n,) optimizer vectors.
            out: (n,) new parameters; the memory of the old, or none of it.
            out_slots: likewise.
            scale: factor on the gradient.
            learning_rate: of this step.
            step: number of this step, from 1.
        """


def make_apply(
    optimizer: Optimizer,
    runs: Sequence[Run],
    grad: PendingSum,
    dtype: npt.DTypeLike,
    kernels: Kernels,
    pool: Pool,
) -> Apply:
    """What applies `optimizer` with the gradient `grad`, whatever it is by then, to a slice made of `runs`."""
    rule = kernels.rules.get(optimizer.rule)
    if rule is None:
        return NumpyApply(optimizer, runs, grad, dtype)
    return LoopApply(optimizer, rule, runs, grad, dtype, pool)


class NumpyApply:
    """See make_apply."""

    def __init__(self, optimizer: Optimizer, runs: Sequence[Run], grad: PendingSum, dtype: npt.DTypeLike) -> None:
        self._optimizer, self._grad = optimizer, grad
        self._blocks = cut(runs, reference.NUMPY_TILE)
        self._work = aligned_zeros((grad.depth, reference.NUMPY_TILE), dtype)

    def __call__(
        self,
        params: Vector,
        slots: Sequence[Vector],
        out: Vector,
        out_slots: Sequence[Vector],
        scale: float,
        learning_rate: float,
        step: int,
    ) -> None:
        """See Apply."""
        grad = self._grad
        for start, stop, decay in self._blocks:
            block = slice(start, stop)
            reference.sum_tile(grad.vectors, grad.joins, grad.offset + start, grad.offset + stop, self._work)
            summed = self._work[0, : stop - start]
            if scale != 1:
                summed *= scale
            self._optimizer.update(
                params[block],
                summed,
                [slot[block] for slot in slots],
                learning_rate=learning_rate,
                weight_decay=decay,
                step=step,
                out=out[block],
                out_slots=[slot[block] for slot in out_slots],
            )


class LoopApply:
    """See make_apply."""

    def __init__(
        self,
        optimizer: Optimizer,
        rule: Callable[..., None],
        runs: Sequence[Run],
        grad: PendingSum,
        dtype: npt.DTypeLike,
        pool: Pool,
    ) -> None:
        from dpnet.compute.loops.compiled_rules import COMPILED_TILE  # Not above: this imports numba.

        self._optimizer, self._pool = optimizer, pool
        blocks = cut(runs, COMPILED_TILE)
        self._num_blocks = len(blocks)
        limits = np.array([block[:2] for block in blocks], np.int64).reshape(-1, 2)
        decays = np.array([block[2] for block in blocks], np.float64)
        self._rule = functools.partial(rule, grad.vectors, grad.joins, grad.offset, limits, decays)
        self._work = [aligned_zeros((grad.depth, COMPILED_TILE), dtype) for _ in range(pool.size)]

    def __call__(
        self,
        params: Vector,
        slots: Sequence[Vector],
        out: Vector,
        out_slots: Sequence[Vector],
        scale: float,
        learning_rate: float,
        step: int,
    ) -> None:
        """See Apply."""
        numbers = self._optimizer.numbers(learning_rate, step)
        arguments = (params, *slots, out, *out_slots, out is params, scale, *numbers)

        def work(member: int, first: int, stop: int) -> None:
            self._rule(first, stop, self._work[member], *arguments)

        self._pool.run(work, self._num_blocks, least=BLOCKS_PER_THREAD)


def cut(runs: Sequence[Run], length: int) -> list[Run]:
    """Cut runs into blocks of at most `length` elements."""
    return [
        (start, min(start + length, stop), decay) for first, stop, decay in runs for start in range(first, stop, length)
    ]
