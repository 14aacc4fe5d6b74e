"""Identifiers in place of labels: refused before a network is made of them."""

from __future__ import annotations

from dpnet.data.sources import DataSource
from dpnet.errors import DataError

FEW_CLASSES = 10_000
"""So many classes are taken for classes, however few samples there are of each."""


def check_classes(source: DataSource) -> DataSource:
    """The source itself, if its labels can be those of classes.

    The output layer has one unit for every class. Identifiers in place of labels would make a network that fills the
    memory.

    Raises:
        DataError: most training samples have a class of their own, and there are many.
    """
    classes, samples = source.train.classes, len(source.train)
    if not source.kind.in_rows and len(classes) > FEW_CLASSES and 2 * len(classes) > samples:
        raise DataError(
            f"{source.train.labels_file} holds {len(classes):,} different labels, {classes.text()}, for {samples:,} "
            "samples; expected those of classes, which several samples share. Targets that are numbers: "
            'model.task = "regression". Identifiers cannot be trained on.'
        )
    return source
