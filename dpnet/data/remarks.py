"""What is odd about data that can be trained on: labels, classes without samples, the same samples twice, other scales.

Such data train without an error, and the scores mean something else than one expects. So it is said at the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dpnet.data.classes import UNKNOWN, label_list
from dpnet.data.sources import DataSource, require_labels
from dpnet.data.statistics import Moments
from dpnet.text import counted

UNIT, RAW = 1.0, 100.0
"""Inputs from 0 to 1 beside others that reach at least 100 have most likely been divided by 255, and the others not."""


def remarks(source: DataSource, moments: Mapping[str, Moments], arrays: Mapping[str, Any]) -> list[str]:
    """A sentence for each oddity.

    Args:
        source: the data.
        moments: of the inputs of the splits "train" and "test", as far as they were measured.
        arrays: of its identity, see `identity.identity`.
    """
    of_splits = [*source.train.remarks, *(source.test.remarks if source.test else ())]
    return [*of_splits, *_of_classes(source), *_of_repeats(arrays), *_of_scales(moments)]


def _of_classes(source: DataSource) -> Iterator[str]:
    classes = source.train.classes
    if len(classes) == 1:
        yield f"all training samples are of class {classes.text()}: there is nothing to learn"
    elif not classes.plain:
        yield f"{len(classes):,} classes stand for the labels: {classes.text()}"
    test = source.test
    if test is None:
        return
    labels = require_labels(test)
    counts = np.bincount(labels[labels != UNKNOWN], minlength=len(classes))
    if (num_unknown := len(test) - int(counts.sum())) > 0:
        yield f"{counted(num_unknown, 'test sample')} of classes without a training sample: left out of the scores"
    if (missing := classes.values[counts == 0]).size:
        yield f"the test scores say nothing of classes without a test sample: {label_list(missing)}"


def _of_repeats(arrays: Mapping[str, Any]) -> Iterator[str]:
    """The same samples to train and to test: the scores are not those of new samples."""
    if "x_train" in arrays and arrays["x_train"] == arrays.get("x_test"):
        yield "the test inputs are those of the training data, to the last bit: the scores say nothing of other data"


def _of_scales(moments: Mapping[str, Moments]) -> Iterator[str]:
    if "train" in moments and "test" in moments:
        train, test = moments["train"], moments["test"]
        small, large = sorted((train, test), key=lambda one: one.high)
        if small.low >= 0 and small.high <= UNIT and large.high >= RAW:
            yield (
                f"training inputs are {train.low:g} to {train.high:g}, test inputs {test.low:g} to {test.high:g}: "
                "were they scaled alike?"
            )
