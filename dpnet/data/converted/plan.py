"""What a conversion will write, as far as it is known before the inputs are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.config.job import Job
from dpnet.data.converted.manifest import Manifest, StoredArray, StoredSplit
from dpnet.data.converted.reader import LABEL_TYPES, array_sum
from dpnet.data.converted.source import keys_of, seed_of
from dpnet.data.sources import Opened
from dpnet.data.split import Split, require_labels


def outline_of(job: Job, origin: Mapping[str, Any]) -> Manifest:
    """The manifest without splits and columns: what is converted, and how.

    Args:
        job: says how the data are read.
        origin: see `origin.origin_of`.
    """
    return Manifest(job.model.task, {}, None, keys_of(job.data), seed_of(job.data, job.train.seed), origin)


def plan_of(outline: Manifest, found: Opened) -> Manifest:
    """The manifest, but for what is known only when all was read: the sums of the inputs, and their statistics.

    Args:
        outline: see `outline_of`.
        found: the data.
    """
    splits = {}
    for name, split in found.splits.items():
        inputs = StoredArray(split.inputs.dtype.str, (len(split), split.features))
        small = {
            kind: StoredArray(array.dtype.str, array.shape, (array_sum(array),))
            for kind, array in small_arrays(split).items()
        }
        splits[name] = StoredSplit(
            {"inputs": inputs, **small}, split.classes, split.remarks, split.first_index, _counts(split)
        )
    return replace(outline, splits=splits, schema=found.schema, fills=found.train.fills)


def small_arrays(split: Split) -> dict[str, npt.NDArray[Any]]:
    """All arrays of a split but the inputs, as they are stored."""
    labels = require_labels(split)
    arrays: dict[str, npt.NDArray[Any]] = {"labels": np.ascontiguousarray(labels, LABEL_TYPES[split.task][0])}
    if split.weights is not None:
        arrays["weights"] = np.ascontiguousarray(split.weights, "<f8")
    if split.names is not None:
        arrays["ids"] = np.array(split.names, np.str_)
    return arrays


def _counts(split: Split) -> list[Any]:
    """How many samples each class or label has; or of each target its mean, deviation, minimum and maximum."""
    labels = require_labels(split)
    if not split.kind.in_rows:
        return list(np.bincount(labels, minlength=len(split.classes)).tolist())
    if labels.dtype.kind == "b":
        return list(labels.sum(axis=0).tolist())
    with np.errstate(all="ignore"):
        rows = np.stack([labels.mean(axis=0), labels.std(axis=0), labels.min(axis=0), labels.max(axis=0)])
    return [[value if np.isfinite(value) else None for value in row] for row in rows.T.tolist()]
