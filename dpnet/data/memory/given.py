"""What a program may give as data: arrays, data frames, groups of them; or a path, which is none of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dpnet.data.memory.arrays import MemoryArrays
from dpnet.data.memory.frames import as_frame, is_frame, with_columns
from dpnet.data.split import NAMES
from dpnet.data.tables.files import Frame
from dpnet.errors import DataError
from dpnet.text import words

ARRAYS, FRAME = "the set of arrays", "the data frame"
SPLIT_OF = {word: split for split, of_split in NAMES.items() for word in of_split}


@dataclass(frozen=True, eq=False)
class Memory:
    """Data in memory.

    Attributes:
        arrays: reads them; None: they are no arrays.
        frames: tables by the name of their split; a single one is "train".
        is_alone: they are one set of samples without a name, which is to be trained on, or serves as any split.
    """

    arrays: MemoryArrays | None = None
    frames: dict[str, Frame] = field(default_factory=dict)
    is_alone: bool = False

    @property
    def name(self) -> str:
        """What messages call them."""
        return ARRAYS if self.arrays is not None else FRAME

    def has(self, split: str) -> bool:
        """Whether there is a set of samples of this name."""
        return not self.is_alone and (split in self.frames if self.arrays is None else self.arrays.has("", split))

    def frame(self, split: str) -> Frame:
        """The table of a split; one without a name serves as any.

        Raises:
            DataError: there is none.
        """
        if self.is_alone:
            return self.frames["train"]
        if split not in self.frames:
            raise DataError(f"the data have no {split} samples, only {words(list(self.frames), 'and')} samples.")
        return self.frames[split]


def in_memory(data: Any, targets: Sequence[str] = ("target",), weight: str = "weight") -> Memory:
    """Data that a program gives.

    Args:
        data: a data frame; an array of inputs; a tuple of inputs, labels and perhaps weights, in which the inputs may
            be a data frame; or a dictionary of arrays with names as in an .npz file, of which the inputs may be data
            frames, or of the data frames train, test and validation.
        targets: the names of the columns of labels beside a data frame.
        weight: the name of the weights beside a data frame.

    Raises:
        DataError: they are none of these, or cannot be used.
        ConfigError: what takes over a data frame is not installed.
    """
    if is_frame(data):
        return Memory(frames={"train": as_frame(data, FRAME)}, is_alone=True)
    if isinstance(data, Mapping):
        return _of_mapping(data, targets, weight)
    if not isinstance(data, tuple):
        return Memory(MemoryArrays({"x": data}, ARRAYS), is_alone=True)
    if len(data) not in (2, 3):
        raise DataError(f"the data are a tuple of {len(data)}; expected (x, y), or (x, y, weights).")
    if not is_frame(data[0]):
        return Memory(MemoryArrays(dict(zip("xyw", data, strict=False)), ARRAYS), is_alone=True)
    return Memory(frames={"train": _put_together(FRAME, *data, names=(targets, (weight,)))}, is_alone=True)


def _put_together(name: str, inputs: Any, *more: Any, names: Sequence[Sequence[str]]) -> Frame:
    """A data frame with the labels and the weights that were given apart from it."""
    frame = as_frame(inputs, name)
    for columns, values in zip(names, more, strict=False):
        frame = frame if values is None else with_columns(frame, columns, values)
    return frame


def _of_mapping(data: Mapping[Any, Any], targets: Sequence[str], weight: str) -> Memory:
    inputs = _inputs_in(data)
    if any(map(is_frame, inputs.values())):
        return _of_frames_of_inputs(data, inputs, (targets, (weight,)))
    if not data or not all(is_frame(value) and key in SPLIT_OF for key, value in data.items()):
        arrays = MemoryArrays(dict(data), ARRAYS)
        return Memory(arrays, is_alone=arrays.is_alone)
    splits = [SPLIT_OF[key] for key in data]
    if len(set(splits)) < len(splits):
        raise DataError(f"the data hold {words(list(data), 'and')}, two of one kind; give each once.")
    frames = {split: as_frame(data[key], f"{FRAME} {key}") for split, key in zip(splits, data, strict=True)}
    return Memory(frames=frames)


def _of_frames_of_inputs(data: Mapping[Any, Any], inputs: Mapping[str, Any], names: Sequence[Sequence[str]]) -> Memory:
    """Data frames x_train, x_test and so on, with their labels and weights beside them."""
    MemoryArrays(dict(data), ARRAYS)  # The names are checked.
    if others := [key for key, value in inputs.items() if not is_frame(value)]:
        raise DataError(f"{others[0]} is no data frame, and others of the inputs are; give one kind for all.")
    frames = {}
    for key, value in inputs.items():
        beside = [data.get(f"{array}{key[1:]}") for array in "yw"]
        frames[SPLIT_OF[key[2:] or "train"]] = _put_together(f"{FRAME} {key}", value, *beside, names=names)
    return Memory(frames=frames, is_alone="x" in inputs)


def _inputs_in(data: Mapping[Any, Any]) -> dict[str, Any]:
    """The inputs among arrays, by their names."""
    names = ("x", *(f"x_{word}" for word in SPLIT_OF))
    return {key: data[key] for key in names if data.get(key) is not None}


def given_apart(data: Any) -> tuple[Any, Any] | None:
    """The labels and the weights that are given apart from a data frame to train on; None: there is no such frame."""
    if isinstance(data, tuple) and data and is_frame(data[0]):
        return data[1] if len(data) > 1 else None, data[2] if len(data) > 2 else None
    if isinstance(data, Mapping):
        key = next((key for key, value in _inputs_in(data).items() if is_frame(value)), None)
        return None if key is None else (data.get(f"y{key[1:]}"), data.get(f"w{key[1:]}"))
    return None
