"""What is odd about data that can be trained on: classes without samples, and test inputs of another scale.

Such data train without an error, and the scores mean something else than one expects. So it is said at the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from dpnet.data.sources import DataSource, require_labels
from dpnet.data.statistics import Moments
from dpnet.text import counted

SHOWN = 5
"""Classes that a remark lists at most."""
UNIT, RAW = 1.0, 100.0
"""Inputs from 0 to 1 beside others that reach at least 100 have most likely been divided by 255, and the others not."""


def remarks(source: DataSource, moments: Mapping[str, Moments]) -> list[str]:
    """A sentence for each oddity.

    Args:
        source: the data.
        moments: of the inputs of the splits "train" and "test", as far as they were measured.
    """
    return [*_of_classes(source), *_of_scales(moments)]


def _of_classes(source: DataSource) -> Iterator[str]:
    classes = source.classes
    train = np.bincount(require_labels(source.train), minlength=classes)
    test = None if source.test is None else np.bincount(require_labels(source.test), minlength=classes)
    unseen = train == 0
    empty = unseen if test is None else unseen & (test == 0)
    seen = np.flatnonzero(~unseen)
    if len(seen) == 1:
        yield f"all training samples are of class {seen[0]}: there is nothing to learn"
    elif empty[0] and empty.sum() == 1:
        yield "labels start at 1: class 0 of the network has no sample; subtract 1 from the labels to be rid of it"
    elif empty.any():
        yield (
            f"the largest label is {classes - 1}, so the network has {classes:,} classes; {int(empty.sum()):,} of them "
            f"have no sample: {_list(np.flatnonzero(empty))}"
        )
    if test is not None:
        new, missing = unseen & (test > 0), ~unseen & (test == 0)
        if new.any():
            number, which = counted(int(test[new].sum()), "test sample"), _list(np.flatnonzero(new))
            yield f"{number} of classes without a training sample, which no network can know: {which}"
        if missing.any():
            yield f"the test scores say nothing of classes without a test sample: {_list(np.flatnonzero(missing))}"


def _of_scales(moments: Mapping[str, Moments]) -> Iterator[str]:
    if "train" in moments and "test" in moments:
        train, test = moments["train"], moments["test"]
        small, large = sorted((train, test), key=lambda one: one.high)
        if small.low >= 0 and small.high <= UNIT and large.high >= RAW:
            yield (
                f"training inputs are {train.low:g} to {train.high:g}, test inputs {test.low:g} to {test.high:g}: "
                "were they scaled alike?"
            )


def _list(classes: npt.NDArray[np.intp]) -> str:
    return ", ".join(map(str, classes[:SHOWN])) + ", ..." * (len(classes) > SHOWN)
