"""The footer: the line below all others that shows how far a training is, or what it is doing before its first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_BAR, MOST_BAR = 8, 60
"""Columns of the bar. Where it would have fewer, the last of the facts is left out."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Footer:
    """What the last line of a terminal shows.

    Attributes:
        title: in front of the bar.
        share: of the work that is done, from 0 to 1; None: nobody knows, there is no bar.
        facts: behind the bar, the most important one first.
    """

    title: str
    share: float | None = None
    facts: Sequence[str] = ()


def footer_line(footer: Footer, columns: int, *, unicode: bool = True) -> str:
    """A footer as a line of text that fits into so many columns: with fewer facts, and a shorter bar, if it must."""
    if footer.share is None:
        return footer.title[:columns]
    share = min(1.0, max(0.0, footer.share))
    percent = f"{int(100 * share):3}%"
    for number in range(len(footer.facts), -1, -1):
        words = "  ".join([percent, *footer.facts[:number]])
        bar = min(MOST_BAR, columns - len(footer.title) - len(words) - 4)
        if bar >= LEAST_BAR:
            return f"{footer.title} |{_bar(share, bar, unicode)}| {words}"
    return f"{footer.title} {percent}"[:columns]


def _bar(share: float, columns: int, unicode: bool) -> str:
    if not unicode:
        return ("#" * int(share * columns)).ljust(columns)
    whole, part = divmod(int(share * columns * 8), 8)
    return ("█" * whole + (_EIGHTHS[part] if part else "")).ljust(columns)


def duration(seconds: float) -> str:
    """A time in two units: `9 s`, `2:05`, `3:02:05`, `4 d 3 h`."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 86400:
        minutes, rest = divmod(whole, 60)
        return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
