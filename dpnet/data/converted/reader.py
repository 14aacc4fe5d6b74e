"""Reads converted data: its inputs are mapped into memory, as are its labels, weights and names.

A manifest may be of other files than those beside it, and both may be damaged. So what an array is, is compared with
the manifest; labels are compared by their sha256 at once, inputs when they are measured (see `identity.check_sums`),
and no label may be the number of a class that there is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.config.model import Task
from dpnet.data.converted.manifest import AGAIN, ANEW, STATISTICS, Manifest, StoredArray, file_of, is_converted
from dpnet.data.converted.parse import read_manifest
from dpnet.data.readers.npy import map_npy
from dpnet.data.sample_weights import check_weights
from dpnet.data.split import Split
from dpnet.data.statistics import chunks
from dpnet.errors import DataError

LABEL_TYPES: dict[Task, tuple[str, int]] = {
    "classification": ("<i8", 1),
    "regression": ("<f8", 2),
    "multilabel": ("|b1", 2),
}
"""Type and dimensions of the labels of a task."""


class Converted:
    """A folder that `dpnet data convert` has written."""

    description = "converted data: a folder that `dpnet data convert` wrote"

    def fits(self, source: str) -> bool:
        """Whether the source is such a folder, whole or not."""
        return is_converted(source)

    def has(self, source: str, split: str) -> bool:
        """Whether there are samples of the split."""
        return split in read_manifest(source).splits

    def is_table(self, source: str) -> bool:
        """Whether the data were converted from a table."""
        return read_manifest(source).schema is not None

    def task(self, source: str) -> Task:
        """The task that the data were converted for; raises DataError if it is none."""
        named = read_manifest(source).task
        for task in LABEL_TYPES:
            if task == named:
                return task
        raise DataError(f"{source}/manifest.json names another task than dpnet has; {AGAIN}.")

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """The samples of the split, mapped."""
        return read_split(source, read_manifest(source), split, task)


def read_split(folder: str, manifest: Manifest, split: str, task: Task | None = "classification") -> Split:
    """The samples of a split of converted data.

    Args:
        folder: with the data.
        manifest: of the data.
        split: one of its splits.
        task: what its labels are to be; None: they are not looked at.

    Raises:
        DataError: they were converted for another task, or a file is missing or damaged, or not that of the manifest.
    """
    if split not in manifest.splits:
        raise DataError(f"{folder} has no {split} samples, only {', '.join(manifest.splits)} samples.")
    stored = manifest.splits[split]
    inputs = _mapped(file_of(folder, split, "inputs"), stored.arrays["inputs"])
    if inputs.dtype.kind not in "biuf" or inputs.ndim != 2 or inputs.size == 0:
        raise _damaged(file_of(folder, split, "inputs"), f"it holds {inputs.dtype} of shape {inputs.shape}")
    arrays: dict[str, npt.NDArray[Any] | None] = {"labels": None, "weights": None, "ids": None}
    for kind in arrays:
        if kind in stored.arrays and (task is not None or kind == "ids"):
            arrays[kind] = _checked(file_of(folder, split, kind), stored.arrays[kind], len(inputs))
    if (ids := arrays["ids"]) is not None and (ids.dtype.kind != "U" or ids.ndim != 1):
        raise _damaged(file_of(folder, split, "ids"), f"it holds {ids.dtype} of shape {ids.shape}, and no names")
    if "statistics" in stored.arrays:
        _checked(file_of(folder, split, "statistics"), stored.arrays["statistics"], len(STATISTICS))
    sums = stored.arrays["inputs"].sha256
    if len(sums) != len(chunks(len(inputs))):
        raise _damaged(file_of(folder, split, "inputs"), f"its {len(inputs)} rows have {len(sums)} sums there")
    of_inputs, of_labels = (str(file_of(folder, split, kind)) for kind in ("inputs", "labels"))
    found = Split(inputs, None, stored.classes, of_inputs, of_labels, stored.remarks, arrays["ids"], input_sums=sums)
    found = dataclasses.replace(found, fills=manifest.fills)
    if task is None:
        return found
    if task != manifest.task:
        raise DataError(
            f'{folder} was converted for model.task = "{manifest.task}", and the task here is {task}; set model.task '
            f"to that, or {ANEW}, with --set model.task={task}."
        )
    return _with_labels(found, arrays["labels"], arrays["weights"], task, stored.first_index)


def _with_labels(
    split: Split, labels: npt.NDArray[Any] | None, weights: npt.NDArray[Any] | None, task: Task, first: int | None
) -> Split:
    dtype, dimensions = LABEL_TYPES[task]
    file = Path(split.labels_file)
    assert labels is not None
    if labels.dtype.str != dtype or labels.ndim != dimensions or labels.size == 0:
        raise _damaged(file, f"it holds {labels.dtype} of shape {labels.shape}")
    if dimensions == 1 and (labels.min() < 0 or labels.max() >= len(split.classes)):
        raise _damaged(file, f"labels are {labels.min()} to {labels.max()}, of {len(split.classes)} classes")
    named = task == "multilabel" or len(split.classes) > 0  # Of several targets of a table.
    if dimensions > 1 and named and labels.shape[1] != len(split.classes):
        raise _damaged(file, f"it has {labels.shape[1]} columns, and there are {len(split.classes)} labels")
    if dimensions > 1 and not np.isfinite(labels).all():
        raise _damaged(file, "a target is not finite")
    checked = None if weights is None else check_weights(weights, len(split), str(file).replace("labels", "weights"))
    return dataclasses.replace(split, labels=labels, weights=checked, first_index=first, task=task)


def _mapped(path: Path, stored: StoredArray) -> npt.NDArray[Any]:
    if not os.path.exists(path):
        raise DataError(f"{path} is missing, one of the files of its manifest.json; {AGAIN}.")
    array = map_npy(path)
    if (array.dtype.str, array.shape) != (stored.dtype, stored.shape):
        raise _damaged(path, f"it holds {array.dtype} of shape {array.shape}, and not {stored.dtype} of {stored.shape}")
    return array


def _checked(path: Path, stored: StoredArray, samples: int) -> npt.NDArray[Any]:
    array = _mapped(path, stored)
    if len(array) != samples:
        raise _damaged(path, f"it has {len(array)} rows, and there should be {samples}")
    if array_sum(array) not in stored.sha256:
        raise _damaged(path, "its content does not match its sha256")
    return np.asarray(array)  # np.memmap adds overhead to every slice.


def array_sum(array: npt.NDArray[Any]) -> str:
    """Sha256, in hex, of the numbers of an array in C order."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return hashlib.sha256(flat.view(np.uint8).data).hexdigest()


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is not the file of its manifest.json: {why}; {AGAIN}.")
