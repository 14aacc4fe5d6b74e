"""The manifest of converted data: what the arrays are, and the sha256 of each.

    DEST/
        manifest.json           task, classes, columns, the splits, what they were made of and how; written last
        train-inputs.npy        (samples, features) what a training takes, in the type of the source
        train-labels.npy        (samples,) int64, the numbers of the classes; or (samples, outputs) float64, the targets
        train-weights.npy       (samples,) float64, where there are weights
        train-ids.npy           (samples,) text that names the samples, where there is some
        train-statistics.npy    (4, features) float64: mean, deviation, minimum and maximum of each input
        validation-..., test-...

Inputs are written, and hashed, in the chunks of `statistics.chunks`: a training that measures its data finds out for
nothing whether they are what was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dpnet.about import __version__
from dpnet.data.classes import Classes
from dpnet.data.missing.fills import Fills
from dpnet.data.tables.schema import Schema

MANIFEST, CONVERSION = "manifest.json", "conversion.json"
"""What is there of converted data, and of data whose conversion has not come to its end."""
FORMAT = "dpnet data 1"
KINDS = ("inputs", "labels", "weights", "ids", "statistics")
STATISTICS = ("mean", "deviation", "minimum", "maximum")
"""The rows of train-statistics.npy."""
MAX_BYTES = 1 << 25
"""Most bytes of a manifest."""
MAX_CLASSES = 1 << 24
ANEW = "convert their source again, into another folder"
AGAIN = "copy it again, or remove the folder and convert the data again"


@dataclass(frozen=True)
class StoredArray:
    """One array.

    Attributes:
        dtype: as numpy writes it: "<f4".
        shape: of the array.
        sha256: in hex, of its numbers; of inputs, those of each chunk.
    """

    dtype: str
    shape: tuple[int, ...]
    sha256: tuple[str, ...] = ()

    @property
    def num_bytes(self) -> int:
        """Bytes of all numbers, as far as numpy knows the type."""
        digits = "".join(filter(str.isdigit, self.dtype))
        return math.prod(self.shape) * int(digits or 0) * (4 if "U" in self.dtype else 1)


@dataclass(frozen=True)
class StoredSplit:
    """The arrays of one split.

    Attributes:
        arrays: by their kind, one of KINDS.
        classes: of its labels; none of a regression.
        remarks: see Split.
        first_index: see Split.
        counts: how many samples each class has, or mean, deviation, minimum and maximum of each target; to be shown.
    """

    arrays: Mapping[str, StoredArray]
    classes: Classes
    remarks: tuple[str, ...] = ()
    first_index: int | None = None
    counts: Any = None

    def record(self) -> dict[str, Any]:
        """As the manifest holds it."""
        labels = self.classes.record()
        return {
            "arrays": {
                kind: {"dtype": array.dtype, "shape": list(array.shape), "sha256": list(array.sha256)}
                for kind, array in self.arrays.items()
            },
            "classes": {"number": len(self.classes), "labels": labels, "written": self.classes.written},
            "counts": self.counts,
            "remarks": list(self.remarks),
            "first_index": self.first_index,
        }


@dataclass(frozen=True)
class Manifest:
    """What converted data are.

    Attributes:
        task: what their labels are.
        splits: by name.
        schema: of a table; None: they were made of arrays.
        fills: of arrays, what stands for missing values; None: nothing does.
        keys: the keys of [data] by which they were made, but for those that had their defaults.
        seed: train.seed, if it decided which samples are held out.
        source: what they were made of: its path, and each file with its size and the times of its last changes.
    """

    task: str
    splits: Mapping[str, StoredSplit]
    schema: Schema | None
    keys: Mapping[str, Any]
    seed: int | None
    source: Mapping[str, Any] = field(default_factory=dict)
    fills: Fills | None = None

    def record(self) -> dict[str, Any]:
        """As the file holds it, without its own sha256."""
        return {
            "format": FORMAT,
            "dpnet": __version__,
            "task": self.task,
            "source": dict(self.source),
            "keys": {key: list(value) if isinstance(value, tuple) else value for key, value in self.keys.items()},
            "seed": self.seed,
            "schema": None if self.schema is None else self.schema.record(),
            **({} if self.fills is None else {"fills": self.fills.record()}),
            "splits": {name: split.record() for name, split in self.splits.items()},
        }

    def text(self) -> str:
        """As the file holds it."""
        record = self.record()
        return json.dumps({**record, "manifest_sha256": manifest_sum(record)}, indent=1)


def file_of(folder: str | Path, split: str, kind: str) -> Path:
    """Where an array of converted data lies."""
    return Path(folder) / f"{split}-{kind}.npy"


def is_converted(path: str) -> bool:
    """Whether a path is a folder of converted data, or of some that are not whole."""
    if any(_names_format(os.path.join(path, name)) for name in (MANIFEST, CONVERSION)):
        return True
    return all(os.path.isfile(file_of(path, "train", kind)) for kind in ("inputs", "labels"))


def _names_format(path: str) -> bool:
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as stream:
        return FORMAT.encode() in stream.read(64)
    return False


def manifest_sum(record: Mapping[str, Any]) -> str:
    """Sha256, in hex, of all that a manifest holds except this sum."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
