"""Even shares of a whole, where two ranges overlap, and division that rounds up."""

from __future__ import annotations

from typing import Any, Protocol


class Extent(Protocol):
    """Anything from `start` up to, but without, `stop`: a range, a slice, a tensor in a flat vector."""

    @property
    def start(self) -> Any:
        """Its first element."""

    @property
    def stop(self) -> Any:
        """One past its last element."""


def share(size: int, part: int, parts: int) -> tuple[int, int]:
    """First and one past the last element of part `part` when `size` elements are split into `parts`, evenly.

    Sizes differ by at most one; with more parts than elements some parts are empty.
    """
    return size * part // parts, size * (part + 1) // parts


def overlap(one: Extent, other: Extent) -> range:
    """What two ranges have in common, empty if nothing."""
    start = max(one.start, other.start)
    return range(start, max(start, min(one.stop, other.stop)))


def ceil_div(number: int, divisor: int) -> int:
    """Number / divisor, rounded up."""
    return -(-number // divisor)


def round_up(number: int, multiple: int) -> int:
    """The least multiple of `multiple` that is not less than `number`."""
    return ceil_div(number, multiple) * multiple
