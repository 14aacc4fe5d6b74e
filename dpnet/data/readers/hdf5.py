"""HDF5 files as sources of samples: data sets with the names that .npz files have, or those that a job names."""

from __future__ import annotations

from typing import Any

from dpnet.config.data import DataConfig
from dpnet.config.keys import setting
from dpnet.config.model import Task
from dpnet.data.in_parts import is_wanted
from dpnet.data.readers.hdf5_file import find_sets, is_hdf5, list_sets, read_arrays
from dpnet.data.readers.hdf5_rows import open_rows
from dpnet.data.readers.names import find_word
from dpnet.data.readers.recipes import key_for
from dpnet.data.split import NAMES as WORDS
from dpnet.data.split import SPLITS, Split, make_split
from dpnet.errors import DataError

NAMES = (*(f"{array}_{word}" for words in WORDS.values() for word in words for array in "xyw"), *"xyw")
"""Names of data sets that need not be said."""
SHOWN = 8
"""Data sets that a message lists."""


class Hdf5:
    """An HDF5 file with the data sets x_train, y_train and perhaps x_test, x_validation, ...; weights are w_train."""

    description = "an HDF5 file (.h5, .hdf5) of the data sets x_train, y_train and, to test with, x_test, y_test"

    def fits(self, source: str) -> bool:
        """Whether the source is a file whose name ends so."""
        return is_hdf5(source)

    def has(self, source: str, split: str) -> bool:
        """Whether the file holds x or y of the split."""
        return find_word(split, find_sets(source, NAMES), source) is not None

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """The data sets of the split; the labels may be missing."""
        word = find_word(split, find_sets(source, NAMES), source) or split
        return read_hdf5(source, f"x_{word}", f"y_{word}", f"w_{word}", task=task)


class BareHdf5:
    """An HDF5 file with one set of samples: x, perhaps y, and perhaps weights w."""

    description = "an HDF5 file of the data sets x and, if there are labels, y"

    def fits(self, source: str) -> bool:
        """Whether the source is an HDF5 file that holds x, and no data set of a named split."""
        if not is_hdf5(source):
            return False
        there = find_sets(source, NAMES)
        return "x" in there and all(find_word(split, there, source) is None for split in SPLITS)

    def has(self, source: str, split: str) -> bool:
        """True: the file serves as any split."""
        return True

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """The data sets x and y; the labels may be missing."""
        return read_hdf5(source, "x", "y", "w", task=task)


def read_hdf5(path: str, inputs: str, labels: str, weights: str, *, task: Task | None = "classification") -> Split:
    """A Split of data sets of an HDF5 file; without labels or weights where these data sets are missing.

    Args:
        path: of the file.
        inputs: path of the inputs in the file.
        labels: path of the labels.
        weights: path of the weights.
        task: what the labels are; None: they are not looked at.

    Raises:
        DataError: the inputs are missing, or a data set cannot be read or does not make a Split.
        ConfigError: h5py is not installed.
    """
    names = [name for name in (inputs, labels, weights) if name]
    there = find_sets(path, NAMES if set(names) <= set(NAMES) else names)
    if inputs not in there:
        raise _missing(path, inputs)
    wanted = [name for name in names if name in there]
    if is_wanted():
        small = [name for name in wanted if name != inputs]
        arrays = {inputs: open_rows(path, inputs), **dict(zip(small, read_arrays(path, small), strict=True))}
    else:
        arrays = dict(zip(wanted, read_arrays(path, wanted), strict=True))
    return make_split(
        arrays[inputs],
        arrays.get(labels),
        f"{path} ({inputs})",
        f"{path} ({labels})",
        task=task,
        weights=arrays.get(weights),
        weights_file=f"{path} ({weights})",
    )


def named_in(section: DataConfig) -> tuple[str, str, str] | None:
    """The data sets that a job names, see `read_hdf5`, "" for none; None: it names no inputs.

    Raises:
        DataError: it names several for the inputs, or no labels.
    """
    if not section.features:
        return None
    if len(section.features) > 1 or not isinstance(section.target, str):
        target = "data.target is not set" if section.target is None else setting("data.target", section.target)
        raise DataError(
            f"{setting('data.features', list(section.features))} and {target}: of an HDF5 file they are "
            'one data set each, features = ["sim/images"] and target = "sim/labels" for example.'
        )
    return section.features[0], section.target, section.weight or ""


def guess_names(path: str) -> dict[str, Any]:
    """Keys of [data] that name the inputs and labels of a file; empty: they have the usual names, or are not clear."""
    if Hdf5().has(path, "train"):
        return {}
    inputs, labels = (key_for(name, list(list_sets(path))) for name in ("x_train", "y_train"))
    return {"features": (inputs,), "target": labels} if inputs is not None and labels is not None else {}


def _missing(path: str, inputs: str) -> DataError:
    """The error for inputs that are not there: what is, and how it is named."""
    sets = list_sets(path)
    held = "; ".join(f"{name}: {what}" for name, what in list(sets.items())[:SHOWN]) + "; ..." * (len(sets) > SHOWN)
    features, target = (key_for(name, list(sets)) or "..." for name in ("x_train", "y_train"))
    return DataError(
        f"{path} has no data set {inputs}; it holds {held or 'none'}. Say which are the inputs and the labels: "
        f"{setting('data.features', [features])}, {setting('data.target', target)}."
    )
