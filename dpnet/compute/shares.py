"""Even shares of a whole, overlaps of ranges, and division that rounds up."""

from __future__ import annotations

from typing import Any, Protocol


class Extent(Protocol):
    """Anything with a start and an exclusive stop: a range, a slice, a tensor in a flat vector."""

    @property
    def start(self) -> Any:
        """Its first element."""

    @property
    def stop(self) -> Any:
        """One past its last element."""


def share(size: int, part: int, parts: int) -> tuple[int, int]:
    """First element, and one past the last, of part number `part` of `size` elements in `parts` even parts.

    Sizes differ by at most one; with more parts than elements some parts are empty.
    """
    return size * part // parts, size * (part + 1) // parts


def overlap(one: Extent, other: Extent) -> range:
    """The elements that two ranges share; empty if there are none."""
    start = max(one.start, other.start)
    return range(start, max(start, min(one.stop, other.stop)))


def ceil_div(number: int, divisor: int) -> int:
    """`number` / `divisor`, rounded up."""
    return -(-number // divisor)


def round_up(number: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `number`."""
    return ceil_div(number, multiple) * multiple
