"""The update rules of `optim` as compiled loops, fused with the sum of the gradients before them.

A loop takes one tile of elements at a time: it adds up the partial gradients of all shards, then applies the rule while
the sum lies in the first-level cache. So the sum is never written to memory, and everything else is read and written
once. A single gradient is used in place, and overwritten. Bits are those of the rules in numpy.

Arguments that all rules share:

    vectors, joins, offset   see `reference.sum_rows`; element i of a slice is column offset + i
    tiles                    (number, 2): first element and one past the last of each tile
    decays                   (number,) float64: weight decay of each tile
    first, last              which tiles: first..last - 1
    work                     (depth, length of the longest tile); scratch
    old_p, old_m, ...        (n,) the slice
    new_p, new_m, ...        (n,) where the new values go: the same memory, or none of it
    in_place                 new_p is the memory of old_p
    scale                    factor on the summed gradient; 1 for none
    rate                     learning rate
"""

from __future__ import annotations

from math import sqrt

from dpnet.compute.loops.compiled import Array, loop, sum_tile
from dpnet.compute.loops.prefetch import LINE_BYTES, prefetch_to_write

COMPILED_TILE = 4096
"""Elements in a tile; 16 KiB of float32."""
PART = 256
"""Elements of a tile between two calls of `_prefetch_part`: as many cache lines as a processor can load at once."""
AHEAD = 1024
"""Elements from what is updated to what is prefetched."""


@loop
def _prefetch_part(p: Array, start: int) -> None:
    """Prefetch a part of the parameters for writing, some parts ahead.

    The other ranks of the node have read the parameters, so each line must be invalidated in their caches before it can
    be written. Done while the optimizer computes earlier parts, that costs next to nothing.
    """
    part = p[start : start + PART]
    for i in range(0, len(part), LINE_BYTES // p.itemsize):
        prefetch_to_write(part, i)


@loop
def _copied(old: Array, new: Array, start: int, stop: int, in_place: bool) -> Array:
    """The elements start..stop of `new`, with the values of `old`; no copy if they are the same memory."""
    target = new[start:stop]
    if not in_place:
        source = old[start:stop]
        for i in range(len(target)):
            target[i] = source[i]
    return target


@loop
def _gradient(
    vectors: Array, joins: Array, offset: int, start: int, stop: int, work: Array, p: Array, scale: float, l2: float
) -> Array:
    """The summed gradient of a tile, scaled, plus the gradient of an L2 penalty; `p` is the tile of parameters."""
    if len(joins) == 1:
        g = vectors[0, offset + start : offset + stop]
    else:
        sum_tile(vectors, joins, offset + start, offset + stop, work)
        g = work[0]
    factor, pull = g.dtype.type(scale), g.dtype.type(l2)
    if scale != 1:
        for i in range(len(p)):
            g[i] *= factor
    if l2 != 0:
        for i in range(len(p)):
            g[i] += p[i] * pull
    return g


@loop
def sgd(
    vectors: Array, joins: Array, offset: int, tiles: Array, decays: Array, first: int, last: int, work: Array,
    old_p: Array, new_p: Array, in_place: bool, scale: float, rate: float,
) -> None:  # fmt: skip
    """See optim.sgd.SGD."""
    step = new_p.dtype.type(rate)
    for number in range(first, last):
        start, stop = tiles[number, 0], tiles[number, 1]
        all_p = _copied(old_p, new_p, start, stop, in_place)
        all_g = _gradient(vectors, joins, offset, start, stop, work, all_p, scale, decays[number])
        for part in range(0, stop - start, PART):
            _prefetch_part(new_p, start + part + AHEAD)
            p, g = all_p[part : part + PART], all_g[part : part + PART]
            for i in range(len(p)):
                p[i] -= g[i] * step


@loop
def momentum(
    vectors: Array, joins: Array, offset: int, tiles: Array, decays: Array, first: int, last: int, work: Array,
    old_p: Array, old_b: Array, new_p: Array, new_b: Array, in_place: bool, scale: float, rate: float, kept: float,
    nesterov: bool,
) -> None:  # fmt: skip
    """See optim.sgd.Momentum; `kept` is its momentum."""
    step, keep = new_p.dtype.type(rate), new_p.dtype.type(kept)
    for number in range(first, last):
        start, stop = tiles[number, 0], tiles[number, 1]
        all_p = _copied(old_p, new_p, start, stop, in_place)
        all_b = _copied(old_b, new_b, start, stop, in_place)
        all_g = _gradient(vectors, joins, offset, start, stop, work, all_p, scale, decays[number])
        for part in range(0, stop - start, PART):
            _prefetch_part(new_p, start + part + AHEAD)
            p, b, g = all_p[part : part + PART], all_b[part : part + PART], all_g[part : part + PART]
            for i in range(len(p)):
                b[i] = b[i] * keep + g[i]
                p[i] -= (b[i] * keep + g[i] if nesterov else b[i]) * step


@loop
def adaptive(
    vectors: Array, joins: Array, offset: int, tiles: Array, decays: Array, first: int, last: int, work: Array,
    old_p: Array, old_m: Array, old_v: Array, new_p: Array, new_m: Array, new_v: Array, in_place: bool, scale: float,
    rate: float, decoupled: bool, beta1: float, beta2: float, eps: float, step: float,
) -> None:  # fmt: skip
    """See optim.adam; the arguments from `rate` on are `Adam.numbers`."""
    real = new_p.dtype.type
    kept1, kept2, added1, added2 = real(beta1), real(beta2), real(1 - beta1), real(1 - beta2)
    least, length = real(eps), real(step)
    for number in range(first, last):
        start, stop, decay = tiles[number, 0], tiles[number, 1], decays[number]
        all_p = _copied(old_p, new_p, start, stop, in_place)
        all_m = _copied(old_m, new_m, start, stop, in_place)
        all_v = _copied(old_v, new_v, start, stop, in_place)
        all_g = _gradient(vectors, joins, offset, start, stop, work, all_p, scale, 0.0 if decoupled else decay)
        shrink = real(1 - rate * decay) if decoupled else real(1)
        for part in range(0, stop - start, PART):
            _prefetch_part(new_p, start + part + AHEAD)
            p, m = all_p[part : part + PART], all_m[part : part + PART]
            v, g = all_v[part : part + PART], all_g[part : part + PART]
            for i in range(len(p)):
                m[i] = m[i] * kept1 + g[i] * added1
                v[i] = v[i] * kept2 + g[i] * added2 * g[i]
                p[i] = p[i] * shrink - m[i] / (real(sqrt(v[i])) + least) * length
