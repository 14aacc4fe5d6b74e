"""The element-wise work of a step in numpy: the specification of the compiled loops, to the bit.

Each function is a few passes over existing arrays, in place; scratch is kept from call to call. exp and log are not
among these functions and always come from numpy, since no two libraries round them alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Bits, Indices, Labels, Matrix, Vector
from dpnet.compute.loops.bfloat16 import from_bfloat16 as from_bfloat16
from dpnet.compute.loops.bfloat16 import to_bfloat16 as to_bfloat16
from dpnet.compute.loops.scratch import scratch

# In AdamW on float32 the tiles of all vectors then take 5 * 128 KiB, which a second-level cache of 1 MiB holds. A tile
# of half the length makes AdamW about 20 % slower, from the overhead of numpy calls; one of twice the length, about 5 %
# faster.
NUMPY_TILE = 32768
"""Elements in a tile: what numpy takes through all passes before the next elements."""


def gather(
    raw: npt.NDArray[np.generic],
    all_labels: Labels,
    ids: Indices,
    offset: Vector,
    factor: Vector,
    x: Matrix,
    labels: Labels,
) -> None:
    """Gather rows, scaled: x = (raw[ids] - offset) * factor, computed in the dtype of `offset`; and their labels.

    Args:
        raw: (n, features) of any real dtype.
        all_labels: (n,) int64, or (0,) for a split without labels.
        ids: (rows,) int64, each in [0, n).
        offset: (features,) float32 or float64.
        factor: (features,) of the same dtype.
        x: (rows, features) float32 or float64; overwritten.
        labels: (rows,) int64; overwritten if `all_labels` is not empty.
    """
    # In place where dtypes agree.
    taken = x if raw.dtype == x.dtype else scratch("taken", x.shape, raw.dtype)
    centred = next((array for array in (x, taken) if array.dtype == offset.dtype), None)
    if centred is None:
        centred = scratch("centred", x.shape, offset.dtype)
    # mode="clip": numpy's default writes to a copy of `out` first, in case an id is out of range.
    np.take(raw, ids, axis=0, out=taken, mode="clip")
    np.subtract(taken, offset, out=centred, dtype=centred.dtype, casting="same_kind")
    np.multiply(centred, factor, out=x, dtype=centred.dtype, casting="same_kind")
    if len(all_labels) > 0:
        np.take(all_labels, ids, out=labels, mode="clip")


def add_bias(z: Matrix, bias: Vector) -> None:
    """Add `bias` (width,) to every row of `z` (rows, width), in place."""
    np.add(z, bias, out=z)


def add_bias_relu(z: Matrix, bias: Vector) -> None:
    """Compute max(z + bias, 0) in place of `z` (rows, width); NaN stays NaN."""
    np.add(z, bias, out=z)
    np.maximum(z, 0, out=z)


def column_sums(dy: Matrix, dbias: Vector) -> bool:
    """Sum the rows of `dy` (rows, width), from the first to the last, into `dbias` (width,).

    Returns:
        whether all sums are finite. If not, an element of `dy` is not, or a sum has overflowed.
    """
    if dy.shape[1] > 1:
        np.add.reduce(dy, axis=0, out=dbias, initial=0)
    else:  # numpy sums a single column pairwise.
        dbias[0] = 0 if len(dy) == 0 else np.add.accumulate(dy[:, 0])[-1] + 0
    return bool(np.isfinite(dbias).all())


def relu_backward(a: Matrix, da: Matrix, dbias: Vector) -> bool:
    """Multiply `da` by 1 where a > 0 and by 0 elsewhere, in place, without -0.0; then sum its rows into `dbias`.

    A product with 0 has the sign of `da`. Adding 0 makes 0.0 of -0.0, so all bits of what is 0 are 0: that is what
    `pack` looks for.

    Args:
        a: (rows, width) output of `add_bias_relu`.
        da: (rows, width) d loss / d a; overwritten with d loss / d z.
        dbias: (width,); overwritten.

    Returns:
        see `column_sums`.
    """
    # A product with 1.0 and 0.0 is several times faster than numpy's masked assignment.
    active = scratch("active", a.shape, a.dtype)
    np.greater(a, 0, out=active)
    np.multiply(da, active, out=da)
    np.add(da, 0, out=da)
    return column_sums(da, dbias)


def pack(values: Bits, present: npt.NDArray[np.uint8], packed: Bits) -> int:
    """Write the elements that are not 0 one after the other; see `unpack`.

    Args:
        values: (n,) unsigned integers: the bits of floating-point numbers, of which 0.0 alone is 0.
        present: (ceil(n / 8),); overwritten: a bit for each element, the lowest first, 1 where it is not 0.
        packed: (n,) of the dtype of `values`; its first elements are overwritten, what follows them may be.

    Returns:
        the number of elements that are not 0.
    """
    found = scratch("found", values.shape, np.dtype(np.bool_))
    np.not_equal(values, 0, out=found)
    present[:] = np.packbits(found, bitorder="little")
    count = int(np.count_nonzero(found))
    np.compress(found, values, out=packed[:count])
    return count


def unpack(present: npt.NDArray[np.uint8], packed: Bits, values: Bits) -> None:
    """Undo `pack`: write zeros to `values`, and the elements of `packed` where `present` has a bit."""
    values[:] = 0
    values[np.unpackbits(present, count=len(values), bitorder="little").view(np.bool_)] = packed


def softmax_shift(logits: Matrix, labels: Labels, at_label: Vector) -> int:
    """Subtract from each row of `logits` its maximum, in place; count the hits.

    Args:
        logits: (rows, classes), C order.
        labels: (rows,) int64.
        at_label: (rows,); overwritten with the shifted logit of each row's label.

    Returns:
        number of hits: rows whose largest logit, the first of equal ones, is the label's. -1 if a label is no class;
        nothing is written then.
    """
    # Read as unsigned, negative labels are huge: a single maximum finds both kinds of wrong label.
    if len(labels) and labels.view(np.uint64).max() >= logits.shape[1]:
        return -1
    guesses = scratch("index", labels.shape, np.dtype(np.int64))
    np.argmax(logits, axis=1, out=guesses)
    np.subtract(guesses, labels, out=guesses)
    hits = len(labels) - int(np.count_nonzero(guesses))
    np.max(logits, axis=1, out=at_label)
    np.subtract(logits, at_label[:, np.newaxis], out=logits)
    # Labels are checked above, and "clip", unlike "raise", writes to `out` without a copy.
    np.take(logits, _of_labels(logits, labels), out=at_label, mode="clip")
    return hits


def softmax_gradient(p: Matrix, labels: Labels, total: Vector, scale: float) -> None:
    """Compute (p / total - onehot(labels)) * scale in place of `p`; `total` is the sum of each row, from left to right.

    Args:
        p: (rows, classes), C order: exp of the shifted logits.
        labels: (rows,) int64, in [0, classes).
        total: (rows,) float64; overwritten. The sums are rounded to the dtype of `p`.
        scale: 1 / global number of samples.
    """
    running = scratch("running", p.shape, p.dtype)
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
    """The sum of log_total - at_label over the rows, in float64, from the first row to the last.

    Args:
        log_total: (rows,) float64; overwritten.
        at_label: (rows,) from `softmax_shift`.
    """
    np.subtract(log_total, at_label, out=log_total)
    np.add.accumulate(log_total, out=log_total)
    return float(log_total[-1]) + 0.0 if len(log_total) else 0.0  # Never -0.0.


def sum_tile(vectors: Matrix, joins: Indices, start: int, stop: int, work: Matrix) -> None:
    """Sum the rows of vectors[:, start:stop] in the order of `joins` (see `parallel.tree`).

    Args:
        vectors: (at least len(joins), size); more rows are ignored.
        joins: number of times that the top two of the stack are added after row k was pushed.
        start: first column.
        stop: one past the last column.
        work: (depth, at least stop - start): the stack. The result is what remains on it: the first rows.
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
    """Sum the rows of all columns that `out` has, tile by tile; what remains on the stack is copied to `out`.

    Args:
        vectors: see `sum_tile`.
        joins: see `sum_tile`.
        offset: column of `vectors` that is column 0 of `out`.
        work: (depth, columns in a tile); scratch.
        out: (rows that remain on the stack, n); overwritten.
    """
    rows, length = out.shape
    for start in range(0, length, work.shape[1]):
        stop = min(start + work.shape[1], length)
        sum_tile(vectors, joins, offset + start, offset + stop, work)
        out[:, start:stop] = work[:rows, : stop - start]


def _of_labels(logits: Matrix, labels: Labels) -> Indices:
    """The index of each row's label in the flattened logits."""
    index = scratch("index", labels.shape, np.dtype(np.int64))
    index.fill(logits.shape[1])
    index[:1] = 0
    np.add.accumulate(index, out=index)
    index += labels
    return index
