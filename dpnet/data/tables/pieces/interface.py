"""The pieces in which a table that may be larger than memory is read, each by the rank to which it falls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Piece(Protocol):
    """Some adjacent rows of a table."""

    @property
    def num_bytes(self) -> int:
        """What they are of `Pieces.num_bytes`."""

    def tables(self) -> Iterator[Any]:
        """The rows, as one or more tables of Arrow with the same columns; raises DataError if they cannot be read."""


class Pieces(Protocol):
    """The pieces of a table, in order.

    Attributes:
        num_bytes: of all pieces, for a bar.
        parts: see `columns.Table`.
    """

    num_bytes: int
    parts: dict[str, int]

    def __iter__(self) -> Iterator[Piece]:
        """All pieces. To go through them is cheap: what they hold is read by `Piece.tables`."""
