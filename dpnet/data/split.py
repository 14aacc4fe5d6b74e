"""One split of a data source: the inputs and labels of its training or of its test samples.

Every reader passes its arrays to `make_split`, the one place that checks their shapes and types, with `data.labels`. So
the checks and their messages are the same for every file format.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds, Targets, Vector
from dpnet.config.model import Task
from dpnet.data.classes import UNKNOWN, Classes, plain_classes
from dpnet.data.in_parts import InParts
from dpnet.data.inputs import Inputs as Inputs
from dpnet.data.inputs import check_inputs
from dpnet.data.labels import Place, in_rows_of
from dpnet.data.missing.fills import Fills
from dpnet.data.sample_weights import check_weights, weights_text
from dpnet.data.tasks import KINDS, Kind
from dpnet.errors import ConfigError, DataError
from dpnet.text import words

UnknownLabels = Literal["error", "ignore"]

SPLITS = ("train", "validation", "test")
NAMES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
"""What a split is called in the names of arrays and files; the first is taken where there are several."""


class Indices(NamedTuple):
    """How the features of samples are numbered in a file that has indices, as svmlight has.

    Attributes:
        features: how many there are.
        first: index of the first, 0 or 1; None: not known.
    """

    features: int
    first: int | None


@dataclass(frozen=True, eq=False)
class Split:
    """Samples of one split, checked.

    Attributes:
        inputs: (n, features), n and features at least 1, C order, bool, integer or float of any width and byte order.
            A np.memmap where the file can be mapped: it may be larger than memory. For a conversion also InParts.
        labels: (n,) int64, numbers of classes, or UNKNOWN; or (n, outputs), see `tasks`; None if the source has none.
        classes: what the numbers mean; those of the labels of this split, unless it was `numbered_as` another. None of
            a regression. Of several labels for each sample, what these are called, in order.
        inputs_file: origin of the inputs, for messages.
        labels_file: origin of the labels, for messages; without labels, the place where they were expected; empty: no
            file of labels belongs to a file with the name of the inputs.
        remarks: sentences on what is odd about the samples.
        names: (n,) str as objects, what the samples are called; None: they have no names.
        weights: (n,) float64, how much each sample counts in losses and means: finite, at least 0, and above 0 for one
            or more; None: each counts as 1.
        rows: (n,) int64, which rows of `inputs` are the samples, in order; None: all of them. What needs inputs takes
            them by `block`, or through a Dataset.
        place: says where the label of a row stands, for messages; None: in that row of `labels_file`.
        first_index: index of the first feature in the file, 0 or 1; None: the file has no indices.
        task: what the labels are.
        input_sums: sha256, in hex, of each of `statistics.chunks` of all of `inputs`, as converted; None: unknown.
        file_rows: (n,) int64, which rows of a table became `inputs`, in order; None: all of them.
        fills: of arrays, what stands for missing values in `inputs`, with which these are whole; None: nothing does.
    """

    inputs: Inputs
    labels: Targets | None
    classes: Classes
    inputs_file: str
    labels_file: str
    remarks: tuple[str, ...] = ()
    names: npt.NDArray[np.object_] | None = None
    weights: Vector | None = None
    rows: SampleIds | None = None
    place: Place | None = None
    first_index: int | None = None
    task: Task = "classification"
    input_sums: tuple[str, ...] | None = None
    file_rows: SampleIds | None = None
    fills: Fills | None = None

    def __len__(self) -> int:
        return len(self.inputs if self.rows is None else self.rows)

    @property
    def features(self) -> int:
        """Numbers in one sample, as the network takes them."""
        return int(self.inputs.shape[1])

    @property
    def features_in_file(self) -> int:
        """Numbers in one sample, as arrays have them in a file: without indicators of missing values."""
        return self.features if self.fills is None else self.fills.features

    def block(self, start: int, stop: int) -> Inputs:
        """The inputs of the samples from `start` to `stop` - 1, as they are stored; a copy where these are `rows`."""
        whole = self.inputs if isinstance(self.inputs, InParts) else np.asarray(self.inputs)
        return whole[start:stop] if self.rows is None else whole[self.rows[start:stop]]

    def numbers(self, start: int, stop: int) -> range | SampleIds:
        """The rows of `inputs` that the samples are."""
        return range(start, stop) if self.rows is None else self.rows[start:stop]

    def in_file(self, start: int, stop: int) -> range | SampleIds:
        """The numbers of the same samples in their file, from 0."""
        rows = self.numbers(start, stop)
        return rows if self.file_rows is None else self.file_rows[rows]

    def label_place(self, sample: int) -> str:
        """Where the label of a sample stands, for messages."""
        return (self.place or in_rows_of(self.labels_file))(int(self.numbers(sample, sample + 1)[0]))

    def part(self, rows: SampleIds) -> Split:
        """Some of the samples; of the inputs, which may be larger than memory, nothing is copied.

        Args:
            rows: their numbers, in order.
        """
        assert self.rows is None
        labels = None if self.labels is None else self.labels[rows]
        names = None if self.names is None else self.names[rows]
        weights = None if self.weights is None else self.weights[rows]
        return dataclasses.replace(self, labels=labels, names=names, weights=weights, rows=rows)

    @property
    def kind(self) -> Kind:
        """What the labels are."""
        return KINDS[self.task]

    @property
    def outputs(self) -> int:
        """Numbers that a network should give for a sample: one for each class, target or label."""
        return int(require_labels(self).shape[1]) if self.kind.in_rows else len(self.classes)

    @property
    def known(self) -> SampleIds | None:
        """The samples whose label is one of the classes; None: all of them, or there are no labels."""
        if self.labels is None or self.kind.in_rows or self.labels.min() != UNKNOWN:
            return None
        return np.flatnonzero(self.labels != UNKNOWN)


def make_split(
    inputs: Inputs,
    labels: npt.NDArray[Any] | None,
    inputs_file: str,
    labels_file: str,
    place: Place | None = None,
    *,
    task: Task | None = "classification",
    weights: npt.NDArray[Any] | None = None,
    weights_file: str = "",
) -> Split:
    """A Split of arrays as a reader found them.

    Args:
        inputs: (n, ...), C order; more than two dimensions are flattened to (n, features), without a copy.
        labels: (n,) or (n, 1) of integers, whole numbers, booleans or text; or (n, classes) of 0 with a single 1 in
            each row (one-hot); or None. With other tasks see `targets.check_targets` and `label_sets.check_label_sets`.
        inputs_file: see Split.
        labels_file: see Split.
        place: see Split.
        task: what the labels are; None: they are not looked at.
        weights: (n,) or (n, 1) of numbers, see Split; or None.
        weights_file: origin of the weights, for messages.

    Raises:
        DataError: a shape or a type is wrong, inputs and labels differ in number, a label is missing, or there is no
            sample.
    """
    check_inputs(inputs, inputs_file)
    flat = inputs.reshape(len(inputs), -1)
    if labels is None or task is None:
        return Split(flat, None, plain_classes(0), inputs_file, labels_file, place=place)  # Nothing will be weighed.
    checked = None if weights is None else check_weights(weights, len(flat), weights_file)
    remarks = () if checked is None else (f"{weights_file}: {weights_text(checked)}",)
    if labels.ndim > 0 and len(labels) != len(flat):
        raise DataError(
            f"{labels_file} holds {len(labels)} labels, but {inputs_file} holds {len(flat)} samples; "
            "give every sample one label, in the same order."
        )
    numbers, classes = KINDS[task].read(labels, labels_file, place)
    return Split(flat, numbers, classes, inputs_file, labels_file, remarks, weights=checked, place=place, task=task)


def splits_by_name(train: Split, validation: Split | None, test: Split | None) -> dict[str, Split]:
    """Those of SPLITS that there are, by name and in that order."""
    splits = zip(SPLITS, (train, validation, test), strict=True)
    return {name: split for name, split in splits if split is not None}


def check_split(split: str | None) -> None:
    """Raises ConfigError if something else than a split, or None, was asked for."""
    if split is not None and split not in SPLITS:
        raise ConfigError(f"the split is {split!r}; expected {words([repr(one) for one in SPLITS], 'or')}", agreed=True)


def require_labels(split: Split) -> Targets:
    """The labels of `split`; raises DataError if it has none."""
    if split.labels is None and not split.labels_file:
        raise DataError(
            f"{split.inputs_file} holds inputs alone, and by its name no file of labels belongs to it; give an .npz "
            "file with x and y, or name the two files x_test.npy and y_test.npy."
        )
    if split.labels is None:
        verb = "are" if ", columns " in split.labels_file else "is"
        raise DataError(
            f"{split.labels_file} {verb} missing; give the label of each sample of {split.inputs_file} there."
        )
    return split.labels
