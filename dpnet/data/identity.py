"""The identity of a training set, computed without reading all of its inputs."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from dpnet.data.sources import DataSource, require_labels

NUM_ROWS = 256
"""Rows, evenly spread, whose content enters the fingerprint."""


def identity(source: DataSource) -> dict[str, Any]:
    """What a checkpoint records of the training data, so that a resumed training notices other data.

    Returns:
        `samples`, `features`, `classes`, and `fingerprint`: sha256 of the inputs' type, all labels and some rows.
    """
    inputs, labels = source.train.inputs, require_labels(source.train)
    total = hashlib.sha256(inputs.dtype.str.encode())
    total.update(np.ascontiguousarray(labels).tobytes())
    for row in np.linspace(0, len(inputs) - 1, min(NUM_ROWS, len(inputs))).astype(int):
        total.update(np.ascontiguousarray(inputs[row]).tobytes())
    return {
        "samples": len(inputs),
        "features": source.features,
        "classes": source.classes,
        "fingerprint": total.hexdigest()[:16],
    }
