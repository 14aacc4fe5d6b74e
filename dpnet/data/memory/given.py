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

ARRAYS, FRAME = "the arrays in memory", "the data frame"
SPLIT_OF = {word: split for split, of_split in NAMES.items() for word in of_split}


@dataclass(frozen=True, eq=False)
class Memory:
    """Data in memory.

    Attributes:
        arrays: reads them; None: they are no arrays.
        frames: tables by the name of their split; a single one is "train".
    """

    arrays: MemoryArrays | None = None
    frames: dict[str, Frame] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What messages call them."""
        return ARRAYS if self.arrays is not None else FRAME

    def frame(self, split: str) -> Frame:
        """The table of a split; a single one serves as any.

        Raises:
            DataError: there is none.
        """
        if len(self.frames) == 1:
            return next(iter(self.frames.values()))
        if split not in self.frames:
            raise DataError(f"the data have no {split} samples, only {words(list(self.frames), 'and')} samples.")
        return self.frames[split]


def in_memory(data: Any, targets: Sequence[str] = ("target",), weight: str = "weight") -> Memory:
    """Data that a program gives.

    Args:
        data: a data frame; an array of inputs; a tuple of inputs, labels and perhaps weights, in which the inputs may
            be a data frame; or a dictionary of arrays with names as in an .npz file, or of the data frames train, test
            and validation.
        targets: the names of the columns of labels beside a data frame.
        weight: the name of the weights beside a data frame.

    Raises:
        DataError: they are none of these, or cannot be used.
        ConfigError: what takes over a data frame is not installed.
    """
    if is_frame(data):
        return Memory(frames={"train": as_frame(data, FRAME)})
    if isinstance(data, Mapping):
        return _of_mapping(data)
    if not isinstance(data, tuple):
        return Memory(MemoryArrays({"x": data}, ARRAYS))
    if len(data) not in (2, 3):
        raise DataError(f"the data are a tuple of {len(data)}; expected (x, y), or (x, y, weights).")
    if not is_frame(data[0]):
        return Memory(MemoryArrays(dict(zip("xyw", data, strict=False)), ARRAYS))
    frame = as_frame(data[0], FRAME)
    for names, values in zip((targets, (weight,)), data[1:], strict=False):
        frame = frame if values is None else with_columns(frame, names, values)
    return Memory(frames={"train": frame})


def _of_mapping(data: Mapping[Any, Any]) -> Memory:
    if not data or not all(is_frame(value) and key in SPLIT_OF for key, value in data.items()):
        return Memory(MemoryArrays(dict(data), ARRAYS))
    splits = [SPLIT_OF[key] for key in data]
    if len(set(splits)) < len(splits):
        raise DataError(f"the data hold {words(list(data), 'and')}, two of one kind; give each once.")
    frames = {split: as_frame(data[key], f"{FRAME} {key}") for split, key in zip(splits, data, strict=True)}
    return Memory(frames=frames)
