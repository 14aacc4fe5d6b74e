"""The element-wise work of a step as plain loops, compiled by numba: one pass where numpy needs several.

`reference` specifies each function, to the bit. So no sum may change its order, and no product and sum may be fused
into one rounding: numba does neither by default. Inner loops count from 0 over views: numba tests the sign of an index
that may be negative, which prevents vectorisation.

numba caches the compiled code in a folder beside this file, or in the user's cache if that folder is read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from dpnet.compute.loops.cache import keep_compiled
from dpnet.compute.loops.prefetch import LINE_BYTES, prefetch_to_read

Array = Any
"""numba compiles each function for the dtypes of its arguments."""
F = TypeVar("F", bound=Callable[..., Any])
PREFETCH_BYTES = 512
"""Bytes at the start of a row that are prefetched."""


def loop(function: F) -> F:
    """Compile `function`. The result releases Python's lock, and 1 / 0 is infinity, as in numpy."""
    compiled = njit(nogil=True, error_model="numpy")(function)
    keep_compiled(compiled)
    return cast(F, compiled)


@loop
def gather(
    raw: Array, all_labels: Array, ids: Array, offset: Array, factor: Array, x: Array, labels: Array
) -> None:  # fmt: skip
    """See reference.gather."""
    for row in range(len(ids)):
        # Rows lie anywhere, and the hardware prefetcher needs some lines of each before it follows.
        upcoming = raw[ids[min(row + 2, len(ids) - 1)]]
        for column in range(0, min(len(upcoming), PREFETCH_BYTES // raw.itemsize), LINE_BYTES // raw.itemsize):
            prefetch_to_read(upcoming, column)
        source = ids[row]
        for column in range(x.shape[1]):
            value = offset.dtype.type(raw[source, column])
            x[row, column] = (value - offset[column]) * factor[column]
        if len(all_labels) > 0:
            labels[row] = all_labels[source]


@loop
def add_bias(z: Array, bias: Array) -> None:
    """See reference.add_bias."""
    for row in range(z.shape[0]):
        for column in range(z.shape[1]):
            z[row, column] += bias[column]


@loop
def add_bias_relu(z: Array, bias: Array) -> None:
    """See reference.add_bias_relu."""
    zero = z.dtype.type(0)
    for row in range(z.shape[0]):
        for column in range(z.shape[1]):
            value = z[row, column] + bias[column]
            z[row, column] = zero if value <= zero else value


@loop
def _all_finite(values: Array) -> bool:
    bad = 0
    for i in range(len(values)):
        bad += values[i] - values[i] != 0  # Infinity minus itself is NaN.
    return bad == 0


@loop
def column_sums(dy: Array, dbias: Array) -> bool:
    """See reference.column_sums."""
    dbias[:] = dy.dtype.type(0)
    for row in range(len(dy)):
        for column in range(dy.shape[1]):
            dbias[column] += dy[row, column]
    return _all_finite(dbias)


@loop
def relu_backward(a: Array, da: Array, dbias: Array) -> bool:
    """See reference.relu_backward."""
    zero, one = da.dtype.type(0), da.dtype.type(1)
    dbias[:] = zero
    for row in range(a.shape[0]):
        for column in range(a.shape[1]):
            value = da[row, column] * (one if a[row, column] > zero else zero) + zero
            da[row, column] = value
            dbias[column] += value
    return _all_finite(dbias)


@loop
def pack(values: Array, present: Array, packed: Array) -> int:
    """See reference.pack."""
    count, number = 0, len(values)
    for byte in range(len(present)):
        eight, bits = values[8 * byte : min(8 * byte + 8, number)], 0
        for i in range(len(eight)):
            # No branches: which elements are 0 cannot be predicted.
            packed[count] = eight[i]
            found = int(eight[i] != 0)
            count += found
            bits |= found << i
        present[byte] = bits
    return count


@loop
def unpack(present: Array, packed: Array, values: Array) -> None:
    """See reference.unpack."""
    count, last, number = 0, len(packed) - 1, len(values)
    for byte in range(len(present)):
        eight, bits = values[8 * byte : min(8 * byte + 8, number)], int(present[byte])
        for i in range(len(eight)):
            found = (bits >> i) & 1
            # The last element is read once more where all have been taken: read, and multiplied by 0.
            eight[i] = packed[min(count, last)] * values.dtype.type(found) if last >= 0 else values.dtype.type(0)
            count += found


@loop
def softmax_shift(logits: Array, labels: Array, at_label: Array) -> int:
    """See reference.softmax_shift."""
    rows, classes = logits.shape
    for label in labels:
        if label < 0 or label >= classes:
            return -1
    hits = 0
    for number in range(rows):
        # No branches: a branch predictor cannot guess the largest logit. NaN is larger than all numbers, as in numpy.
        z, label = logits[number], labels[number]
        largest = z[0]
        for column in range(1, classes):
            largest = z[column] if (z[column] > largest) | (z[column] != z[column]) else largest
        guess = 0
        for column in range(classes - 1, -1, -1):
            guess = column if (z[column] == largest) | (z[column] != z[column]) else guess
        hits += guess == label
        for column in range(classes):
            z[column] -= largest
        at_label[number] = z[label]
    return hits


@loop
def softmax_gradient(p: Array, labels: Array, total: Array, scale: float) -> None:
    """See reference.softmax_gradient."""
    one, factor = p.dtype.type(1), p.dtype.type(scale)
    for number in range(p.shape[0]):
        summed = p[number, 0]
        for column in range(1, p.shape[1]):
            summed += p[number, column]
        total[number] = summed
        for column in range(p.shape[1]):
            p[number, column] /= summed
        p[number, labels[number]] -= one
        for column in range(p.shape[1]):
            p[number, column] *= factor


@loop
def softmax_loss(log_total: Array, at_label: Array) -> float:
    """See reference.softmax_loss; does not overwrite `log_total`."""
    loss = 0.0
    for number in range(len(log_total)):
        loss += log_total[number] - at_label[number]
    return loss


@loop
def sum_tile(vectors: Array, joins: Array, start: int, stop: int, work: Array) -> None:
    """See reference.sum_tile."""
    depth = 0
    for number in range(len(joins)):
        vector = vectors[number, start:stop]
        if joins[number] == 0:
            top = work[depth]
            for i in range(len(vector)):
                top[i] = vector[i]
            depth += 1
        else:
            top = work[depth - 1]
            for i in range(len(vector)):
                top[i] += vector[i]
            for _ in range(joins[number] - 1):
                depth -= 1
                top, other = work[depth - 1], work[depth]
                for i in range(len(vector)):
                    top[i] += other[i]


@loop
def sum_rows(vectors: Array, joins: Array, offset: int, work: Array, out: Array) -> None:
    """See reference.sum_rows."""
    rows, length = out.shape
    width = work.shape[1]
    for start in range(0, length, width):
        stop = min(start + width, length)
        sum_tile(vectors, joins, offset + start, offset + stop, work)
        for row in range(rows):
            target, source = out[row, start:stop], work[row]
            for i in range(len(target)):
                target[i] = source[i]


@loop
def to_bfloat16(numbers: Array, out: Array) -> None:
    """See reference.to_bfloat16."""
    bits = numbers.view(np.uint32)
    for i in range(len(out)):
        word = np.uint32(bits[i])
        odd = np.uint32(word >> np.uint32(16)) & np.uint32(1)
        rounded = np.uint32(word + np.uint32(0x7FFF) + odd) >> np.uint32(16)
        is_nan = np.uint32(word & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        out[i] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)


@loop
def from_bfloat16(halves: Array, out: Array) -> None:
    """See reference.from_bfloat16."""
    bits = out.view(np.uint32)
    for i in range(len(halves)):
        bits[i] = np.uint32(halves[i]) << np.uint32(16)
