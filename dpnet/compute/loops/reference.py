"""The element-wise work of a step in numpy: what the compiled loops do as well, to the bit.

Each function is a few passes over arrays that exist already; what it needs on the way is kept from call to call.
Transcendental functions are no kernels: exp and log stay numpy's everywhere, as no two libraries round them alike.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Indices, Labels, Matrix, Vector, aligned_zeros

# In AdamW on float32 a block of every vector is then 5 * 128 KiB, which a second-level cache of 1 MiB holds. Half of it
# makes AdamW about 20 % slower, by the cost of calling numpy; twice as much gains about 5 %.
NUMPY_TILE = 32768
"""Elements of long vectors that are taken through all passes before the next ones are touched."""


def gather(
    raw: npt.NDArray[np.generic],
    all_labels: Labels,
    ids: Indices,
    offset: Vector,
    factor: Vector,
    x: Matrix,
    labels: Labels,
) -> None:
    """The rows `ids` of `raw`, scaled: x = (raw[ids] - offset) * factor, computed in the dtype of `offset`; and labels.

    Args:
        raw: (n, features) of any real type.
        all_labels: (n,) int64, or none.
        ids: (rows,) int64, each in [0, n).
        offset: (features,) float32 or float64.
        factor: (features,) of the same dtype.
        x: (rows, features) float32 or float64; overwritten.
        labels: (rows,) int64; overwritten if there are any.
    """
    # Where types are the same, in place.
    taken = x if raw.dtype == x.dtype else _scratch("taken", x.shape, raw.dtype)
    centred = next((array for array in (x, taken) if array.dtype == offset.dtype), None)
    if centred is None:
        centred = _scratch("centred", x.shape, offset.dtype)
    # mode="clip" because numpy's default writes into a copy of `out` first, in case an id is out of range.
    np.take(raw, ids, axis=0, out=taken, mode="clip")
    np.subtract(taken, offset, out=centred, dtype=centred.dtype, casting="same_kind")
    np.multiply(centred, factor, out=x, dtype=centred.dtype, casting="same_kind")
    if len(all_labels) > 0:
        np.take(all_labels, ids, out=labels, mode="clip")


def add_bias(z: Matrix, bias: Vector) -> None:
    """Add `bias` (width,) to every row of `z` (rows, width), in place."""
    np.add(z, bias, out=z)


def add_bias_relu(z: Matrix, bias: Vector) -> None:
    """Z = max(z + bias, 0), in place; a NaN stays one."""
    np.add(z, bias, out=z)
    np.maximum(z, 0, out=z)


def column_sums(dy: Matrix, dbias: Vector) -> bool:
    """The sum of the rows of `dy` (rows, width), one row after the other, into `dbias` (width,).

    Returns:
        whether all sums are finite. If not, some element of `dy` is not, or a sum has overflowed.
    """
    if dy.shape[1] > 1:
        np.add.reduce(dy, axis=0, out=dbias, initial=0)
    else:  # numpy adds up a single column in pairs.
        dbias[0] = 0 if len(dy) == 0 else np.add.accumulate(dy[:, 0])[-1] + 0
    return bool(np.isfinite(dbias).all())


def relu_backward(a: Matrix, da: Matrix, dbias: Vector) -> bool:
    """Da = da where a > 0, else da times 0, in place; then the sums of its columns into `dbias`.

    Args:
        a: (rows, width), the output of `add_bias_relu`.
        da: (rows, width) d loss / d a, becomes d loss / d z.
        dbias: (width,); overwritten.

    Returns:
        see `column_sums`.
    """
    # 1.0 and 0.0, then a product: several times faster than numpy's masked assignments.
    active = _scratch("active", a.shape, a.dtype)
    np.greater(a, 0, out=active)
    np.multiply(da, active, out=da)
    return column_sums(da, dbias)


def softmax_shift(logits: Matrix, labels: Labels, at_label: Vector) -> int:
    """Subtract its maximum from every row of `logits`, in place.

    Args:
        logits: (rows, classes), C order.
        labels: (rows,) int64.
        at_label: (rows,); overwritten with the shifted logit of each row's label.

    Returns:
        in how many rows the largest logit, the first of equal ones, is the label's; -1, and nothing is done, where a
        label is no class.
    """
    # As unsigned numbers negative labels are huge ones: a single maximum finds both kinds of wrong label.
    if len(labels) and labels.view(np.uint64).max() >= logits.shape[1]:
        return -1
    guesses = _scratch("index", labels.shape, np.dtype(np.int64))
    np.argmax(logits, axis=1, out=guesses)
    np.subtract(guesses, labels, out=guesses)
    hits = len(labels) - int(np.count_nonzero(guesses))
    np.max(logits, axis=1, out=at_label)
    np.subtract(logits, at_label[:, np.newaxis], out=logits)
    # The index is checked, and "clip", unlike "raise", writes into `out` without a copy.
    np.take(logits, _of_labels(logits, labels), out=at_label, mode="clip")
    return hits


def softmax_gradient(p: Matrix, labels: Labels, total: Vector, scale: float) -> None:
    """P = (p / total - onehot(labels)) * scale, in place; total are the sums of the rows of p, from left to right.

    Args:
        p: (rows, classes), C order: exp of the shifted logits.
        labels: (rows,) int64, in [0, classes).
        total: (rows,) float64; overwritten. Sums are those of the dtype of `p`.
        scale: 1 / global number of samples.
    """
    running = _scratch("running", p.shape, p.dtype)
    np.add.accumulate(p, axis=1, out=running)
    last = running[:, -1:]
    total[:] = last[:, 0]
    np.divide(p, last, out=p)
    index, at_label = _of_labels(p, labels), running[:, 0]
    np.take(p, index, out=at_label, mode="clip")
    at_label -= 1
    np.put(p, index, at_label)
    p *= scale


def softmax_loss(log_total: Vector, at_label: Vector) -> float:
    """The sum of log_total - at_label, both (rows,), in float64 and from the first row to the last.

    Args:
        log_total: (rows,) float64; overwritten.
        at_label: (rows,) as `softmax_shift` left it.
    """
    np.subtract(log_total, at_label, out=log_total)
    np.add.accumulate(log_total, out=log_total)
    return float(log_total[-1]) + 0.0 if len(log_total) else 0.0  # Never -0.0.


def sum_block(vectors: Matrix, joins: Indices, start: int, stop: int, work: Matrix) -> None:
    """Add up the rows of vectors[:, start:stop] in the order that `joins` tells (see `reduce.tree`).

    Args:
        vectors: (at least len(joins), size); more rows are ignored.
        joins: after the k-th row is put on the stack, its top two are added so many times.
        start: first column.
        stop: one past the last column.
        work: (depth, at least stop - start): the stack. What remains on it is the result: the first rows.
    """
    stack = work[:, : stop - start]
    depth = 0
    for vector, count in zip(vectors[:, start:stop], joins, strict=False):
        if count == 0:
            stack[depth] = vector
            depth += 1
        else:
            np.add(stack[depth - 1], vector, out=stack[depth - 1])
            for _ in range(count - 1):
                depth -= 1
                np.add(stack[depth - 1], stack[depth], out=stack[depth - 1])


def sum_rows(vectors: Matrix, joins: Indices, offset: int, work: Matrix, out: Matrix) -> None:
    """`sum_block` for all columns from `offset` on that `out` has; what remains on the stack goes to `out`.

    Args:
        vectors: see `sum_block`.
        joins: see `sum_block`.
        offset: column of `vectors` that is column 0 of `out`.
        work: (depth, columns at a time); scratch.
        out: (rows that remain on the stack, n); overwritten.
    """
    rows, length = out.shape
    for start in range(0, length, work.shape[1]):
        stop = min(start + work.shape[1], length)
        sum_block(vectors, joins, offset + start, offset + stop, work)
        out[:, start:stop] = work[:rows, : stop - start]


def _of_labels(logits: Matrix, labels: Labels) -> Indices:
    """Where the label of each row lies among the logits, taken as one long vector."""
    index = _scratch("index", labels.shape, np.dtype(np.int64))
    index.fill(logits.shape[1])
    index[:1] = 0
    np.add.accumulate(index, out=index)
    index += labels
    return index


class _Kept(threading.local):
    """What functions work in, one array for each use and dtype; every thread has its own."""

    def __init__(self) -> None:
        self.arrays: dict[tuple[str, str], npt.NDArray[Any]] = {}


_KEPT = _Kept()


def _scratch(use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """To work in. The next call for the same use gives the same memory; what it holds means nothing by then.

    The largest array of each use is kept for as long as the thread lives.
    """
    size, key = math.prod(shape), (use, dtype.str)
    array = _KEPT.arrays.get(key)
    if array is None or len(array) < size:
        array = _KEPT.arrays[key] = aligned_zeros(size, dtype)
    return array[:size].reshape(shape)
