"""Applies an update rule to a slice of the parameters, fused with the sum of the gradients before it.

Either numpy does so, tile by tile, with the rules of `sgd` and `adam`; or one compiled loop, on several threads if the
slice is long. The bits are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.compute.loops import reference
from dpnet.compute.loops.interface import Kernels, Rule
from dpnet.compute.loops.pending_sums import PendingSum
from dpnet.compute.pool import Pool
from dpnet.optim.rule import Optimizer

TILES_PER_THREAD = 24
"""Fewest tiles of a compiled rule, of 4096 elements each, that are worth a thread: about 0.2 ms of work."""


class Run(NamedTuple):
    """Elements of equal weight decay, from `start` to before `stop`."""

    start: int
    stop: int
    decay: float


SliceVectors = tuple[Vector, Sequence[Vector], Vector, Sequence[Vector]]
"""(params, slots, out, out_slots) of a slice of n elements, each vector (n,): parameters, optimizer vectors, and where
their new values go. A new vector is either the memory of its old one or none of it. A plain tuple, as one is made in
every step: a NamedTuple takes 0.2 microseconds longer."""


class Apply(Protocol):
    """Applies the optimizer to a slice, with a gradient that was bound before."""

    def __call__(self, vectors: SliceVectors, scale: float, learning_rate: float, step: int) -> None:
        """Make one step.

        Args:
            vectors: of the slice.
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
    """What applies `optimizer` to the `runs` of a slice.

    Args:
        optimizer: the update rule.
        runs: of the slice; elements outside of them stay as they are.
        grad: the gradient of the slice; each call uses what the vectors then hold.
        dtype: of all vectors.
        kernels: has a compiled rule, or none.
        pool: threads for a compiled rule.
    """
    rule = kernels.rules.get(optimizer.rule)
    if rule is None:
        return NumpyApply(optimizer, runs, grad, dtype)
    return LoopApply(optimizer, rule, runs, grad, dtype, pool)


class NumpyApply:
    """See make_apply."""

    def __init__(self, optimizer: Optimizer, runs: Sequence[Run], grad: PendingSum, dtype: npt.DTypeLike) -> None:
        self._optimizer, self._grad = optimizer, grad
        self._tiles = cut(runs, reference.NUMPY_TILE)
        self._work = aligned_zeros((grad.depth, reference.NUMPY_TILE), dtype)

    def __call__(self, vectors: SliceVectors, scale: float, learning_rate: float, step: int) -> None:
        """See Apply."""
        grad = self._grad
        params, slots, out, out_slots = vectors
        for start, stop, decay in self._tiles:
            tile = slice(start, stop)
            reference.sum_tile(grad.vectors, grad.joins, grad.offset + start, grad.offset + stop, self._work)
            summed = self._work[0, : stop - start]
            if scale != 1:
                summed *= scale
            self._optimizer.update(
                params[tile],
                summed,
                [slot[tile] for slot in slots],
                learning_rate=learning_rate,
                weight_decay=decay,
                step=step,
                out=out[tile],
                out_slots=[slot[tile] for slot in out_slots],
            )


class LoopApply:
    """See make_apply."""

    def __init__(
        self,
        optimizer: Optimizer,
        rule: Rule,
        runs: Sequence[Run],
        grad: PendingSum,
        dtype: npt.DTypeLike,
        pool: Pool,
    ) -> None:
        from dpnet.compute.loops.compiled_rules import COMPILED_TILE  # Imported here because this imports numba.

        self._optimizer, self._pool = optimizer, pool
        tiles = cut(runs, COMPILED_TILE)
        self._num_tiles = len(tiles)
        limits = np.array([(tile.start, tile.stop) for tile in tiles], np.int64).reshape(-1, 2)
        decays = np.array([tile.decay for tile in tiles], np.float64)
        self._rule = functools.partial(rule, grad.vectors, grad.joins, grad.offset, limits, decays)
        self._work = [aligned_zeros((grad.depth, COMPILED_TILE), dtype) for _ in range(pool.size)]

    def __call__(self, vectors: SliceVectors, scale: float, learning_rate: float, step: int) -> None:
        """See Apply."""
        params, slots, out, out_slots = vectors
        numbers = self._optimizer.numbers(learning_rate, step)
        arguments = (params, *slots, out, *out_slots, out is params, scale, *numbers)

        def work(member: int, first: int, stop: int) -> None:
            self._rule(first, stop, self._work[member], *arguments)

        self._pool.run(work, self._num_tiles, least=TILES_PER_THREAD)


def cut(runs: Sequence[Run], length: int) -> list[Run]:
    """Cut runs into tiles of at most `length` elements."""
    return [
        Run(start, min(start + length, run.stop), run.decay)
        for run in runs
        for start in range(run.start, run.stop, length)
    ]
