"""Batches: gathers the rows with given ids, scaled, into buffers that are made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Labels, Matrix, SampleIds, Targets, Vector, Zeros, aligned_zeros
from dpnet.compute.loops import reference
from dpnet.compute.loops.interface import Loops, can_gather
from dpnet.data.scaling import Scaling
from dpnet.data.split import Inputs, Split
from dpnet.errors import DataError

NO_LABELS = np.zeros(0, np.int64)


class Dataset:
    """Scaled rows of a split.

    Precision: rows are scaled in `dtype` where that costs no more than its rounding, as for pixels. They are scaled in
    float64, and rounded to `dtype` once at the end, where the raw values do not fit in `dtype` (float64, wide integers)
    or the offset is so large against the spread that rounding it would move the values.

    Args:
        split: the samples; a mapped file stays mapped.
        scaling: offset and factor, each one number or one for each feature.
        max_rows: rows of its buffer.
        dtype: of the rows, float32 or float64.
        loops: element-wise work.
        zeros: makes the buffer `x`.

    Attributes:
        features: numbers of a sample.
        x: (max_rows, features) the buffer.
        known: the samples whose label is one of the classes; None: all of them.
        weights: (samples,) see Split.
    """

    def __init__(
        self,
        split: Split,
        scaling: Scaling,
        *,
        max_rows: int,
        dtype: npt.DTypeLike,
        loops: Loops = reference,
        zeros: Zeros = aligned_zeros,
    ) -> None:
        # A plain array: np.memmap adds overhead to every slice.
        self._raw = np.asarray(split.inputs)
        self._targets = _targets_of(split, scaling)
        self._all_labels = NO_LABELS if split.labels is None or self._targets is not None else split.labels
        self.features, self.known, self.weights = split.features, split.known, split.weights
        for name, vector in (("offset", scaling.offset), ("factor", scaling.factor)):
            if len(vector) not in (1, self.features):
                raise DataError(
                    f"{split.inputs_file} has {self.features} features, but the scaling has {len(vector)} values of "
                    f"{name}; give data with as many features as the training data."
                )
        work = _working_dtype(self._raw.dtype, scaling, np.dtype(dtype))
        self._offset, self._factor = (
            np.broadcast_to(vector.astype(work), self.features).copy() for vector in (scaling.offset, scaling.factor)
        )
        self.x: Matrix = zeros(max_rows * self.features, dtype).reshape(max_rows, self.features)
        self._labels = np.zeros(max_rows, np.int64) if self._targets is None else self._targets.rows(max_rows)
        self._views: dict[tuple[int, int], tuple[Matrix, Targets]] = {}
        gather = loops.gather if can_gather(self._raw.dtype) else reference.gather
        self._numbers = split.rows
        self._gather = gather if split.rows is None else _OfRows(gather, split.rows, max_rows)

    def __len__(self) -> int:
        return len(self._raw if self._numbers is None else self._numbers)

    @property
    def heaviest_targets(self) -> Vector:
        """(outputs,) the scaled targets of the first sample of those with the largest weight; of classes, none."""
        if self._targets is None:
            return np.zeros(0)
        found = self._targets.rows(1)
        self._targets.gather(np.array([0 if self.weights is None else self.weights.argmax()]), found)
        return np.asarray(found[0])

    def numbers(self, ids: SampleIds) -> SampleIds:
        """The numbers in their file of the samples `ids`."""
        return ids if self._numbers is None else self._numbers[ids]

    def gather(self, ids: SampleIds, *, first: int = 0) -> tuple[Matrix, Targets]:
        """The rows `ids`, scaled, and their labels; or their targets, scaled likewise.

        Args:
            ids: (rows,) int64, each in [0, len(self)); may be empty.
            first: row of the buffer for ids[0]; the others follow it, and all must be in the buffer.

        Returns:
            (rows, features) of `dtype` and (rows,) int64, zeros if the split has no labels; or (rows, outputs), float64
            numbers or bool. Both are views of buffers that the next call for the same rows overwrites.
        """
        x, labels = self._rows(first, len(ids))
        if self._targets is not None:
            self._targets.gather(ids, labels)
            self._gather(self._raw, NO_LABELS, ids, self._offset, self._factor, x, NO_LABELS)
            return x, labels
        self._gather(self._raw, self._all_labels, ids, self._offset, self._factor, x, labels)
        return x, labels

    def put(self, gathered: Matrix, their_labels: Targets, *, first: int) -> tuple[Matrix, Targets]:
        """The result of `gather`, copied from rows that another data set over the same samples has gathered."""
        x, labels = self._rows(first, len(gathered))
        np.copyto(x, gathered)
        np.copyto(labels, their_labels)
        return x, labels

    def _rows(self, first: int, count: int) -> tuple[Matrix, Targets]:
        """Some rows of both buffers. Each view is made once, since every step uses the same few."""
        if (first, count) not in self._views:
            assert first + count <= len(self.x), (first, count, len(self.x))
            rows = slice(first, first + count)
            self._views[first, count] = self.x[rows], self._labels[rows]
        return self._views[first, count]


class _Targets:
    """Targets that are a row for each sample, as they are; or, in float64, (raw - offset) * factor.

    Args:
        raw: (samples, outputs).
        scaling: of the outputs; None: they are not scaled.
    """

    def __init__(self, raw: Targets, scaling: Scaling | None) -> None:
        self._raw, self._scaling = raw, scaling

    def rows(self, count: int) -> Targets:
        """A buffer of so many rows."""
        return np.zeros((count, self._raw.shape[1]), self._raw.dtype)

    def gather(self, ids: SampleIds, out: Targets) -> None:
        """Write the targets of the samples `ids`, scaled, one in each row of `out`."""
        np.take(self._raw, ids, axis=0, out=out, mode="clip")  # As in `reference.gather`.
        if self._scaling is not None:
            np.subtract(out, self._scaling.offset, out=out)
            np.multiply(out, self._scaling.factor, out=out)


def _targets_of(split: Split, scaling: Scaling) -> _Targets | None:
    """The targets of a split; None: it has labels of classes, or none at all.

    A number of weight 0 may be anything: the mean stands for it, as the square of what it is may be beyond float64.
    """
    targets = split.labels
    if targets is None or not split.kind.in_rows:
        return None
    if scaling.targets is not None and split.weights is not None and not split.weights.all():
        targets = np.where(split.weights[:, np.newaxis] > 0, targets, scaling.targets.offset)
    return _Targets(targets, scaling.targets)


class _OfRows:
    """A gathering of samples that are some of the rows of the inputs.

    Args:
        gather: of rows, see `loops.reference.gather`.
        rows: see Split.rows.
        max_rows: most samples at a time.
    """

    def __init__(self, gather: Callable[..., None], rows: SampleIds, max_rows: int) -> None:
        self._gather, self._rows = gather, rows
        self._numbers = np.zeros(max_rows, np.int64)

    def __call__(
        self, raw: Inputs, all_labels: Labels, ids: SampleIds, offset: Vector, factor: Vector, x: Matrix, labels: Labels
    ) -> None:
        """As `gather`; but `ids` and `all_labels` are of the samples, of which there are as many as `rows`."""
        numbers = self._numbers[: len(ids)]
        np.take(self._rows, ids, out=numbers, mode="clip")  # As in `reference.gather`.
        self._gather(raw, NO_LABELS, numbers, offset, factor, x, labels)
        if len(all_labels):
            np.take(all_labels, ids, out=labels, mode="clip")


def _working_dtype(raw: np.dtype[Any], scaling: Scaling, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """`dtype` if it is precise enough for (raw - offset) * factor, otherwise float64."""
    with np.errstate(over="ignore"):
        rounding = np.abs(scaling.offset - scaling.offset.astype(dtype)) * scaling.factor
    # Within these limits of the factor no difference overflows or underflows float32.
    in_range = bool(np.all((scaling.factor > 1e-30) & (scaling.factor < 1e30)))
    precise = np.can_cast(raw, dtype) and in_range and bool(np.all(rounding <= 2.0**-20))
    return dtype if precise else np.dtype(np.float64)
