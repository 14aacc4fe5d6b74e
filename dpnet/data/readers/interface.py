"""The interface of a reader."""

from __future__ import annotations

from typing import Protocol

from dpnet.config.model import Task
from dpnet.data.split import Split


class Reader(Protocol):
    """One kind of data source."""

    @property
    def description(self) -> str:
        """The kind of source in a few words, for messages."""

    def fits(self, source: str) -> bool:
        """Whether `source` is of this kind."""

    def has(self, source: str, split: str) -> bool:
        """Whether `source`, which fits, holds anything of the split."""

    def read(self, source: str, split: str, task: Task | None = "classification") -> Split:
        """One of SPLITS of `source`, which fits; raises DataError if it is missing or unusable.

        Args:
            source: which fits.
            split: one of SPLITS.
            task: what its labels are; None: they are not looked at.
        """
