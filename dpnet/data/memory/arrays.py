"""Arrays in memory as a source of samples: x and y, or x_train, y_train, x_test and so on, as in an .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.config.model import Task
from dpnet.data.readers.names import find_word
from dpnet.data.split import SPLITS, Split, make_split
from dpnet.errors import DataError
from dpnet.text import listed, shorten, words

ALONE = ("x", "y", "w")
"""Names of the arrays of samples that are one set."""


class MemoryArrays:
    """A reader of arrays that lie in memory, see `readers.interface`; those in C order are not copied.

    Args:
        arrays: by the names that they would have in an .npz file.
        name: what messages call them.

    Attributes:
        is_alone: they are x, y and w, without the name of a split.

    Raises:
        DataError: a name is none of those, or there is no x.
    """

    description = "arrays in memory"

    def __init__(self, arrays: Mapping[str, Any], name: str) -> None:
        self._arrays, self.name = {key: value for key, value in arrays.items() if value is not None}, name
        self.is_alone = set(self._arrays) <= set(ALONE)
        words_of = {split: find_word(split, self._arrays, name) for split in SPLITS}
        known = {f"{array}_{word}" for word in words_of.values() for array in ALONE}
        strange = [] if self.is_alone else [key for key in self._arrays if key not in known]
        if strange or not ({"x", "x_train", *(f"x_{word}" for word in words_of.values())} & set(self._arrays)):
            seen = listed([*map(str, strange or self._arrays)]) or "nothing"
            raise DataError(
                f"the data hold {seen}; expected arrays x and y (and weights w), or x_train, y_train, x_test, y_test, "
                "x_validation, y_validation; or data frames train, test, validation."
            )

    def fits(self, source: str) -> bool:
        """False: no path means these arrays."""
        return False

    def has(self, source: str, split: str) -> bool:
        """Whether there is anything of the split; x and y are to be trained on."""
        return split == "train" if self.is_alone else find_word(split, self._arrays, self.name) is not None

    def read_only(self, split: str, task: Task | None) -> Split:
        """As `read`, where x and y serve as any split; an error of samples that are not there names those that are."""
        others = [one for one in SPLITS if self.has("", one)]
        if split not in others and not self.is_alone:
            raise DataError(
                f"{self.name} has no {split} samples, only {words(others, 'and')} samples; "
                f"{words([f'split={one!r}' for one in others], 'or')} takes those."
            )
        return self.read("", split, task)

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """The arrays of the split; the labels may be missing."""
        ending = "" if self.is_alone else f"_{find_word(split, self._arrays, self.name) or split}"
        found = {key: self._arrays.get(f"{key}{ending}") for key in ALONE}
        files = {key: f"{key}{ending} in memory" for key in ALONE}
        if found["x"] is None:
            raise DataError(f"the data hold no x{ending}; they hold {words(list(self._arrays), 'and')}.")
        columns = getattr(found["y"], "columns", ())
        if len(columns) > 1:
            raise DataError(
                f"{files['y']} is a data frame of {len(columns)} columns, and {files['x']} is none: their names would "
                "be lost; give both as data frames, or y.to_numpy()."
            )
        inputs, labels, weights = (
            None if found[key] is None else as_array(found[key], files[key], labels=key == "y") for key in ALONE
        )
        assert inputs is not None
        labels = None if task is None else labels
        return make_split(inputs, labels, files["x"], files["y"], task=task, weights=weights, weights_file=files["w"])


def as_array(values: Any, name: str, *, labels: bool = False) -> npt.NDArray[Any]:
    """Values as an array in C order, of plain numbers or texts; copied only where it is not one already.

    Args:
        values: an array, a list, or what gives an array to numpy, as tensors and series do.
        name: what messages call them.
        labels: they may be text in an array of objects, as that of a series.

    Raises:
        DataError: they are no array, or hold Python objects of several kinds, or values that are masked.
    """
    if isinstance(values, np.ma.MaskedArray):
        if values.dtype.names is None and values.mask.any():  # Records are refused below.
            raise DataError(f"{name} has {int(values.mask.sum()):,} masked values; fill them, or leave their rows out.")
        values = values.data
    if isinstance(values, list | tuple) and any(isinstance(one, np.ma.MaskedArray) for one in values):
        raise DataError(f"{name} is a list of masked arrays; fill them, and give one array.")
    if type(values).__module__.startswith("scipy.sparse"):
        raise DataError(f"{name} is sparse; expected an array of all its values: x.toarray().")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # Rows of several lengths; a tensor of another device.
        hint = " Inputs and labels are given as a tuple: (x, y)." if isinstance(values, list) else ""
        raise DataError(f"{name} makes no array: {shorten(str(error).splitlines()[0], 200)}{hint}") from error
    if array.ndim == 0:
        hint = " A lazy one: x.collect()." if hasattr(values, "collect") else ""
        raise DataError(f"{name} is of type {type(values).__name__}; expected an array, or a data frame.{hint}")
    if array.dtype.kind == "O":
        array = _of_objects(array, name, labels=labels)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise DataError(f"{name} is of type {array.dtype}, which is kept in no file; convert it: x.astype(float).")
    if array.dtype.kind not in "biufcSUmM":
        raise DataError(f"{name} holds elements of type {shorten(str(array.dtype), 100)}; expected plain numbers.")
    return np.ascontiguousarray(array)


def _of_objects(array: npt.NDArray[Any], name: str, *, labels: bool) -> npt.NDArray[Any]:
    """Python objects as what they all are: texts, truth values, or numbers."""
    values = array.ravel().tolist()
    if not values:
        return np.zeros(array.shape)  # That there are none is said where the others are counted.
    kinds = [_kind(value) for value in values]
    mixed = {"number", "boolean"}  # Among inputs True is 1. As labels True and 1 would be one class, or two.
    if (len(set(kinds)) == 1 or (not labels and set(kinds) <= mixed)) and kinds[0] in (*mixed, "text"):
        made = np.array(values).reshape(array.shape)
        if made.dtype.kind != "O":
            return made
    others = [place for place, kind in enumerate(kinds) if (kind != kinds[0] if labels else kind not in mixed)]
    place = min(others, default=0)
    row = np.unravel_index(place, array.shape)[0]
    seen = f"; row {row} (from 0) has {shorten(repr(values[place]), 40)}"
    way = "numbers: x.astype(float); or give the whole data frame"
    if labels:
        way = "labels of one kind, y.astype(str) for example, and one in every row"
    raise DataError(f"{name} holds Python objects ({words(sorted(set(kinds))[:4], 'and')}){seen}; expected {way}.")


def _kind(value: Any) -> str:
    for kind, types in (("text", str), ("boolean", bool | np.bool_), ("number", int | float | np.number)):
        if isinstance(value, types):
            return kind
    return type(value).__name__
