"""What is odd about data that can be trained on: labels, classes without samples, the same samples twice, other scales.

Such data train without an error, and the scores mean something else than one expects. So it is said at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from dpnet.compute.arrays import Targets
from dpnet.config.model import Task
from dpnet.data.classes import UNKNOWN, label_list
from dpnet.data.label_sets import label_sets_text, missing_labels
from dpnet.data.labels import NO_REGRESSION
from dpnet.data.scaling import Scaling, fit_targets
from dpnet.data.sources import DataSource, Split, require_labels
from dpnet.data.statistics import Moments
from dpnet.data.targets import looks_like_targets, targets_text
from dpnet.text import counted

FOLLOWS = {
    "train": ("training", "their scores say nothing of other samples"),
    "validation": ("validation", "they choose the best, whose test scores so flatter"),
}
"""What follows where other data repeat those of a split."""
FAR = 4.0
"""Inputs are told whose mean or deviation is so many times what it should be once they are scaled, or a part of it."""
UNIT, RAW = 1.0, 100.0
"""Inputs from 0 to 1 beside others that reach at least 100 have most likely been divided by 255, and the others not."""


def remarks(source: DataSource, moments: Mapping[str, Moments], arrays: Mapping[str, Any]) -> list[str]:
    """A sentence for each oddity.

    Args:
        source: the data.
        moments: of the inputs of its splits, as far as they were measured.
        arrays: of its identity, see `identity.identity`.
    """
    of_splits = dict.fromkeys(text for split in source.splits.values() for text in split.remarks)
    of_labels = OF_LABELS[source.train.task](source)
    return [*of_splits, *of_labels, *_of_repeats(source, arrays), *_of_scales(moments)]


def _of_numbers(source: DataSource) -> Iterator[str]:
    yield targets_text(require_labels(source.train), source.train.weights)


def _of_label_sets(source: DataSource) -> Iterator[str]:
    classes, trained = source.train.classes, _weighing(source.train)
    yield label_sets_text(trained, classes)
    if trained.any() and (missing := missing_labels(trained, classes)):
        yield f"no training sample has these labels, so there is nothing to learn of them: {missing}"
    if len(classes) > 1 and (trained.sum(axis=1) == 1).all():
        yield (
            "every training sample has a single label; if labels exclude one another, they are classes (one-hot): "
            "leave model.task out"
        )
    for name, split in source.splits.items():
        if split is not source.train and (missing := missing_labels(_weighing(split), classes)):
            yield f"no {name} sample has these labels, so their F1, which macro F1 averages, is 0: {missing}"


def _weighing(split: Split) -> Targets:
    """The labels of the samples that weigh something."""
    labels = require_labels(split)
    return labels if split.weights is None else labels[split.weights > 0]


def other_units(kind: str, scaling: Scaling, moments: Moments) -> str:
    """A sentence if inputs are far from what a scaling makes of those that it was measured on; empty: they are not.

    Args:
        kind: a choice of data.scale.
        scaling: that other data were scaled with.
        moments: of the inputs.
    """
    seen, there = "", ""
    with np.errstate(over="ignore", invalid="ignore"):
        if kind == "unit":
            low, high = ((end - scaling.offset[0]) * scaling.factor[0] for end in (moments.low, moments.high))
            if not max(-low, high, 1 / max(high - low, 1e-300)) <= FAR:
                seen, there = f"are {low:.3g} to {high:.3g}", "0 to 1"
        if kind == "standardize":
            mean = np.sqrt(np.mean(np.square((moments.mean - scaling.offset) * scaling.factor)))
            deviation = np.sqrt(np.mean(np.square(scaling.factor) * moments.m2 / moments.count))
            if not max(mean, deviation, 1 / max(deviation, 1e-300)) <= FAR:
                seen, there = f"have means of about {mean:.3g} and deviations of about {deviation:.3g}", "0 and 1"
    return f"scaled as there, the inputs {seen}; there it was {there}: are they in the same units?" if seen else ""


def other_targets(scaling: Scaling, source: DataSource) -> str:
    """A sentence if targets are far from what a scaling makes of those that it was measured on; empty: they are not."""
    if scaling.targets is None:
        return ""
    own = fit_targets(require_labels(source.train), source.train.weights, source.train.labels_file)
    with np.errstate(over="ignore"):
        mean = float(np.abs((own.offset - scaling.targets.offset) * scaling.targets.factor).max())
        ratios = scaling.targets.factor / own.factor
    if max(mean, ratios.max(), 1 / max(ratios.min(), 1e-300)) <= FAR:
        return ""
    seen = f"a mean of up to {mean:.3g} and deviations of {ratios.min():.3g} to {ratios.max():.3g}"
    return f"scaled as there, the targets have {seen}; there it was 0 and 1: are they in the same units?"


def _of_classes(source: DataSource) -> Iterator[str]:
    classes = source.train.classes
    if len(classes) == 1:
        yield f"all training samples are of class {classes.text()}: there is nothing to learn"
    else:
        labels = classes.values[require_labels(source.train)]
        hint = f". {NO_REGRESSION}" if labels.dtype.kind in "if" and looks_like_targets(labels) else ""
        if hint or not classes.plain:
            yield f"{len(classes):,} classes stand for the labels: {classes.text()}{hint}"
    for name, split in source.splits.items():
        if split is source.train:
            continue
        labels = require_labels(split)
        counts = np.bincount(labels[labels != UNKNOWN], minlength=len(classes))
        if (num_unknown := len(split) - int(counts.sum())) > 0:
            samples = counted(num_unknown, f"{name} sample")
            yield f"{samples} of classes without a training sample: left out of the scores"
        if (missing := classes.values[counts == 0]).size:
            yield f"the {name} scores say nothing of classes without a {name} sample: {label_list(missing)}"


OF_LABELS: dict[Task, Callable[[DataSource], Iterator[str]]] = {
    "classification": _of_classes,
    "regression": _of_numbers,
    "multilabel": _of_label_sets,
}
"""What is said of the labels, by task."""


def _of_repeats(source: DataSource, arrays: Mapping[str, Any]) -> Iterator[str]:
    """The same samples in two splits: their scores are not those of new samples."""
    for one, other in combinations(source.splits, 2):
        if f"x_{one}" in arrays and arrays[f"x_{one}"] == arrays[f"x_{other}"]:
            first, follows = FOLLOWS[one]
            yield f"the {other} inputs are those of the {first} data, to the last bit: {follows}"


def _of_scales(moments: Mapping[str, Moments]) -> Iterator[str]:
    for name in ("validation", "test"):
        if "train" in moments and name in moments:
            train, other = moments["train"], moments[name]
            small, large = sorted((train, other), key=lambda one: one.high)
            if small.low >= 0 and small.high <= UNIT and large.high >= RAW:
                yield (
                    f"training inputs are {train.low:g} to {train.high:g}, {name} inputs {other.low:g} to "
                    f"{other.high:g}: were they scaled alike?"
                )
