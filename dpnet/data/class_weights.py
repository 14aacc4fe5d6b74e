"""Weights of classes: how much the training samples of each count, so that rare classes are not drowned by others.

    balanced    w_c = W / (K W_c)     W_c: weight of the samples of class c, W: of all, K: number of classes

so that every class has the weight W / K, and the mean weight of a sample stays 1. As
https://scikit-learn.org/stable/modules/generated/sklearn.utils.class_weight.compute_class_weight.html
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.data.classes import label_text
from dpnet.data.split import Split, require_labels
from dpnet.errors import DataError
from dpnet.text import listed

Weights = npt.NDArray[np.float64]

SHOWN = 6
"""Classes whose weights a remark names."""


def weigh_classes(split: Split, setting: str | Mapping[str, float] | None) -> Split:
    """The same samples, each with the weight of its class as a factor on its own.

    Args:
        split: the training samples, with labels.
        setting: "balanced"; or weights of classes by their labels, 1 for those that are not named; None: all weigh 1.

    Raises:
        DataError: the training data have no class of such a label, or no sample would weigh anything.
    """
    if setting is None:
        return split
    labels = require_labels(split)
    own = np.ones(len(split)) if split.weights is None else split.weights
    if isinstance(setting, str):
        totals = np.bincount(labels, weights=own, minlength=len(split.classes))
        of_classes = _balanced(totals.astype(np.float64))
    else:
        of_classes = _named(setting, split)
    weights = own * of_classes[labels]
    if not weights.any():
        raise DataError(f"data.class_weights leave no training sample a weight above 0, of {len(split):,}.")
    order = np.argsort(-of_classes, kind="stable")
    named = [f"{of_classes[place]:.4g} for {label_text(split.classes.values[place])}" for place in order]
    shown = named if len(named) <= SHOWN else [*named[: SHOWN - 1], "...", named[-1]]
    remark = f"the classes weigh, in loss and accuracy of the training: {', '.join(shown)}"
    return dataclasses.replace(split, weights=weights, remarks=(*split.remarks, remark))


def _balanced(totals: Weights) -> Weights:
    """The weight of each class; 0 for one whose samples weigh nothing themselves."""
    whole = totals.sum() / len(totals)
    weights = np.zeros(len(totals))
    np.divide(whole, totals, out=weights, where=totals > 0)
    return weights


def _named(setting: Mapping[str, float], split: Split) -> Weights:
    classes = split.classes
    place_of = {name: place for place, value in enumerate(classes.values) for name in _names(value)}
    strange = [name for name in setting if name not in place_of]
    if strange:
        raise DataError(
            f"data.class_weights names {listed(strange)}; the classes of {split.labels_file} are {classes.text()}."
        )
    weights, named = np.ones(len(classes)), dict[int, str]()
    for name, weight in setting.items():
        place = place_of[name]
        if place in named:
            raise DataError(f"data.class_weights names {named[place]} and {name}, which are one class; leave one out.")
        weights[place], named[place] = weight, name
    return weights


def _names(value: Any) -> set[str]:
    """How a job file may write a label: a number as it is or without ".0", and booleans as TOML or Python does."""
    text = str(value)
    if isinstance(value, np.floating) and value.is_integer():
        return {text, str(int(value))}
    return {text, text.lower()} if isinstance(value, np.bool_) else {text}
