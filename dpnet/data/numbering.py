"""Numbers the labels of samples as those of other data: test samples as the training data, other data as a network."""

from __future__ import annotations

import dataclasses

from dpnet.compute.arrays import Labels, Targets
from dpnet.data.classes import UNKNOWN, Classes, label_list, label_text
from dpnet.data.label_sets import columns_as, listed_as
from dpnet.data.labels import NO_REGRESSION
from dpnet.data.split import Split, UnknownLabels, require_labels
from dpnet.data.targets import looks_like_targets
from dpnet.errors import DataError
from dpnet.text import counted


def numbered_as(
    split: Split, classes: Classes, *, of: str, unknown: UnknownLabels, way: str = 'data.unknown_labels = "ignore"'
) -> Split:
    """The same samples, with their labels numbered as those of other data.

    Args:
        split: the samples; without labels they stay as they are.
        classes: of the other data.
        of: the other data, for messages: "the training data".
        unknown: what follows from a label that is none of these classes. "error": an error. "ignore": the sample gets
            the number UNKNOWN, and enters no score; of several labels of a sample, that one is left out.
        way: how the user asks for that, for messages.

    Raises:
        DataError: a label is none of the classes, and that is an error; or all are none of them; or the samples that
            are left weigh nothing.
    """
    labels = split.labels
    if labels is None or split.classes == classes:
        return split
    if split.kind.in_rows:
        return _in_rows(split, classes, of, None if unknown == "ignore" else way)
    renumbered = classes.number_of(split.classes)
    labels = renumbered[labels]
    if (renumbered == UNKNOWN).any() and (unknown == "error" or not (labels != UNKNOWN).any()):
        raise _unknown(split, labels, renumbered, classes, of, way)
    if split.weights is not None and not split.weights[labels != UNKNOWN].any():
        raise DataError(
            f"{split.labels_file}: the samples whose label is one of the classes have the weight 0 together; one must "
            "be above 0."
        )
    return dataclasses.replace(split, labels=labels, classes=classes)


def have_columns(split: Split) -> bool:
    """Whether the labels of samples are as many as there are columns: svmlight text lists those that a sample has."""
    return split.kind.in_rows and (split.first_index is None or split.task != "multilabel")


def _in_rows(split: Split, classes: Classes, of: str, way: str | None) -> Split:
    labels: Targets = require_labels(split)
    if have_columns(split):
        columns = columns_as(classes, split.classes, split.labels_file, of)
        return dataclasses.replace(split, labels=labels[:, columns], classes=classes)
    labels, said = listed_as(classes, split.classes, labels, split.label_place, of, way)
    remarks = (*split.remarks, said) if said else split.remarks
    return dataclasses.replace(split, labels=labels, classes=classes, remarks=remarks)


def _unknown(split: Split, labels: Labels, renumbered: Labels, classes: Classes, of: str, way: str) -> DataError:
    given = require_labels(split)
    row, strange = int(labels.argmin()), split.classes.values[renumbered == UNKNOWN]
    number = int((labels == UNKNOWN).sum())
    seen = f"{split.label_place(row)}: the label is {label_text(split.classes.values[given[row]])}"
    what = f"{of} has the classes {classes.text()}"
    if split.classes.kind != classes.kind and (renumbered == UNKNOWN).all():
        what += f": they are {classes.kind}, these labels are {split.classes.kind}"
    if number == len(split):
        return DataError(f"{seen}, and no other is known either: {what}; give data of the same classes.")
    values = split.classes.values[given]
    hint = f" {NO_REGRESSION}" if values.dtype.kind in "if" and looks_like_targets(values) else ""
    return DataError(
        f"{seen}, and {what}. {number:,} of {counted(len(split), 'sample')} {'has' if number == 1 else 'have'} such a "
        f"label: {label_list(strange)}. {way} leaves such samples out of the scores.{hint}"
    )
