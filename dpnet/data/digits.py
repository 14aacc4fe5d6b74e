"""The embedded digits: 1,797 handwritten digits of 8 x 8 pixels, 1,437 to train and 360 to test.

They need no download, so `dpnet train` works at once. Origin and licence: DIGITS.md beside this file.
"""

from __future__ import annotations

from pathlib import Path

from dpnet.config.model import Task
from dpnet.data.readers.npz import read_npz_split
from dpnet.data.split import Split

NAME = "digits"
FILE = Path(__file__).with_name("digits.npz")


class Digits:
    """The source "digits"; a folder of that name is written "./digits"."""

    description = '"digits", the data set that comes with dpnet'

    def fits(self, source: str) -> bool:
        """Whether the source is that name."""
        return source == NAME

    def has(self, source: str, split: str) -> bool:
        """Whether it is one of the training and test digits."""
        return split in ("train", "test")

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """Pixels 0 to 16 as (n, 64) uint8, and labels 0 to 9."""
        return read_npz_split(str(FILE), f"x_{split}", f"y_{split}", name=NAME, task=task)
