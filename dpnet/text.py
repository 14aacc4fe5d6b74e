"""Words for messages: lists, numbers of things, long values cut short, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def words(items: Sequence[str], conjunction: str) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = items
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def listed(names: Iterable[str], limit: int = 8) -> str:
    """`names`, sorted and joined for a message; only the first `limit`, and "nothing" for none."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + rest if ordered else "nothing"


def shorten(text: str, limit: int = 60) -> str:
    """The text, cut off at `limit` characters if it is too long for a message."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def counted(number: int, noun: str) -> str:
    """`1 rank`, `2 ranks`, `1,797 samples`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; the first is aligned left, the others right."""
    lines = [list(header), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
