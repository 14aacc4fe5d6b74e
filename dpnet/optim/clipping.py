"""Gradient clipping by the global norm.

A gradient longer than `clip_norm` is scaled down to it, its direction kept: one bad batch then cannot throw the
parameters far away (Pascanu et al., "On the difficulty of training recurrent neural networks", 2013).

The norm is that of the whole gradient, of which each rank owns a slice. It has the same bits however the slices are
cut: squares are summed block by block here, and the caller adds up the sums of all blocks in one fixed order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector

_TILE = 16384
"""Elements that are squared at a time: few enough for their float64 squares to stay in the second-level cache."""


def block_square_sums(grad: Vector, block: int) -> npt.NDArray[np.float64]:
    """The sum of squares of each block of `block` elements of `grad`.

    A sum depends on the elements of its block alone: it has the same bits wherever a longer vector is cut at multiples
    of `block`. Squares of float32 are exact in float64 and neither overflow nor underflow; squares of float64 overflow
    to infinity from 1e154 on.

    Args:
        grad: (n,) float32 or float64, contiguous; n is a multiple of `block`, and may be 0.
        block: elements in a block, at least 1.

    Returns:
        (n / block,) float64.
    """
    assert len(grad) % block == 0
    rows = grad.reshape(len(grad) // block, block)
    sums = np.empty(len(rows))
    tile_rows = max(1, _TILE // block)
    squares = np.empty((min(tile_rows, len(rows)), block))
    for start in range(0, len(rows), tile_rows):
        tile = rows[start : start + tile_rows]
        square = squares[: len(tile)]
        np.copyto(square, tile)
        square *= square
        # No dot product: the order of additions in a BLAS depends on its kernel and threads; numpy's does not.
        np.sum(square, axis=1, out=sums[start : start + tile_rows])
    return sums


def clip_factor(norm: float, clip_norm: float) -> float:
    """The factor that shortens a gradient of length `norm` to at most `clip_norm`.

    min(1, clip_norm / (norm + 1e-6)), as in torch.nn.utils.clip_grad_norm_: the 1e-6 prevents a division by zero for a
    zero gradient. As in torch, NaN gives NaN, and infinity gives 0.

    Args:
        norm: length of the whole gradient, at least 0.
        clip_norm: the largest length, above 0.
    """
    # In this order: min() returns its first argument if a comparison with NaN fails, and NaN must not become 1.
    return min(clip_norm / (norm + 1e-6), 1.0)
