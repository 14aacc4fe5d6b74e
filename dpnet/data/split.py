"""One split of a data source: the inputs and labels of its training or of its test samples.

Every reader passes its arrays to `make_split`, the one place that checks their shapes and types. So the checks and
their messages are the same for every file format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Labels
from dpnet.errors import DataError

Inputs = npt.NDArray[Any]
"""(n, features) of any real numeric dtype, C order; may be a np.memmap."""

SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Samples of one split, checked.

    Attributes:
        inputs: (n, features), n and features at least 1, C order, bool, integer or float of any width and byte order.
            A np.memmap where the file can be mapped: it may be larger than memory.
        labels: (n,) int64, all at least 0; None if the source has none.
        inputs_file: origin of the inputs, for messages.
        labels_file: origin of the labels, for messages; without labels, the place where they were expected; empty: no
            file of labels belongs to a file with the name of the inputs.
    """

    inputs: Inputs
    labels: Labels | None
    inputs_file: str
    labels_file: str

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def features(self) -> int:
        """Numbers in one sample."""
        return int(self.inputs.shape[1])


class Reader(Protocol):
    """One kind of data source."""

    @property
    def description(self) -> str:
        """The kind of source in a few words, for messages."""

    def fits(self, source: str) -> bool:
        """Whether `source` is of this kind."""

    def has(self, source: str, split: str) -> bool:
        """Whether `source`, which fits, holds anything of the split."""

    def read(self, source: str, split: str) -> Split:
        """The split "train" or "test" of `source`, which fits; raises DataError if it is missing or unusable."""


def make_split(inputs: Inputs, labels: npt.NDArray[Any] | None, inputs_file: str, labels_file: str) -> Split:
    """A Split of arrays as a reader found them.

    Args:
        inputs: (n, ...), C order; more than two dimensions are flattened to (n, features), without a copy.
        labels: (n,) of any integer type or bool, or None.
        inputs_file: see Split.
        labels_file: see Split.

    Raises:
        DataError: a shape or a type is wrong, inputs and labels differ in number, or there is no sample.
    """
    _check_inputs(inputs, inputs_file)
    flat = inputs.reshape(len(inputs), -1)
    if labels is None:
        return Split(flat, None, inputs_file, labels_file)
    _check_label_type(labels, labels_file)
    if len(labels) != len(flat):
        raise DataError(
            f"{labels_file} holds {len(labels)} labels, but {inputs_file} holds {len(flat)} samples; "
            "give every sample one label, in the same order."
        )
    _check_label_values(labels, labels_file)
    return Split(flat, labels.astype(np.int64), inputs_file, labels_file)


def require_labels(split: Split) -> Labels:
    """The labels of `split`; raises DataError if it has none."""
    if split.labels is None and not split.labels_file:
        raise DataError(
            f"{split.inputs_file} holds inputs alone, and by its name no file of labels belongs to it; give an .npz "
            "file with x and y, or name the two files x_test.npy and y_test.npy."
        )
    if split.labels is None:
        raise DataError(f"{split.labels_file} is missing; give the label of each sample of {split.inputs_file} there.")
    return split.labels


def _check_inputs(inputs: Inputs, file: str) -> None:
    if inputs.dtype.kind not in "biuf":
        raise DataError(f"{file} holds inputs of type {inputs.dtype}; expected integers or real numbers; convert them.")
    if inputs.ndim < 2:
        raise DataError(
            f"{file} holds inputs of shape {inputs.shape}; expected one row for each sample: (samples, features). "
            "Samples of one number each: x.reshape(-1, 1)."
        )
    if inputs.size == 0:
        raise DataError(f"{file} holds no sample: its shape is {inputs.shape}; expected at least one row and column.")
    assert inputs.flags.c_contiguous


def _check_label_type(labels: npt.NDArray[Any], file: str) -> None:
    if labels.ndim != 1:
        raise DataError(
            f"{file} holds labels of shape {labels.shape}; expected one number for each sample: (samples,). "
            "One-hot rows: y.argmax(axis=1). One column: y.ravel()."
        )
    if labels.dtype.kind == "f":
        raise DataError(
            f"{file} holds labels of type {labels.dtype}; expected integers 0, 1, 2, ...; "
            "if all are whole numbers, save y.astype(int)."
        )
    if labels.dtype.kind not in "biu":
        raise DataError(
            f"{file} holds labels of type {labels.dtype}; expected integers 0, 1, 2, ...; "
            "number the classes: np.unique(y, return_inverse=True)[1]."
        )


def _check_label_values(labels: npt.NDArray[Any], file: str) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        row = int(np.argmin(labels))
        raise DataError(f"{file}, row {row} (from 0): the label is {low}; expected integers from 0; number them so.")
    if high > np.iinfo(np.int64).max:
        row = int(np.argmax(labels))
        raise DataError(f"{file}, row {row} (from 0): the label is {high}; expected at most 2**63 - 1.")
