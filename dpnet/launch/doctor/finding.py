"""Findings: what was looked at, what was seen, whether it is well, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

Verdict = Literal["ok", "warning", "fault"]
NAME_WIDTH, VERDICT_WIDTH = 16, 9
ARROW = "-> "


class Finding(NamedTuple):
    """One line of the table.

    Attributes:
        name: what was looked at.
        verdict: "fault": a training would fail, give another result, or be far slower than it could be. "warning": one
            may be. "ok": neither.
        seen: what was seen there.
        fix: what to do; empty for what is well.
    """

    name: str
    verdict: Verdict
    seen: str
    fix: str = ""

    def record(self) -> dict[str, Any]:
        """The finding as JSON."""
        return self._asdict()


def ok(name: str, seen: str) -> Finding:
    """A finding that all is well."""
    return Finding(name, "ok", seen)


def fault(name: str, seen: str, fix: str) -> Finding:
    """A finding of a fault."""
    return Finding(name, "fault", seen, fix)


def warning(name: str, seen: str, fix: str) -> Finding:
    """A finding of what may be a fault."""
    return Finding(name, "warning", seen, fix)


def worst(findings: Iterable[Finding]) -> Verdict:
    """The worst verdict of all."""
    verdicts = {finding.verdict for finding in findings}
    return "fault" if "fault" in verdicts else "warning" if "warning" in verdicts else "ok"


def table(findings: Sequence[Finding], columns: int) -> str:
    """All findings, with their fixes, in lines of at most so many columns; a long word has its own."""
    indent = " " * (VERDICT_WIDTH + NAME_WIDTH)
    lines = []
    for name, verdict, seen, fix in findings:
        head = f"{verdict.upper() if verdict == 'fault' else verdict:{VERDICT_WIDTH}}{name:{NAME_WIDTH}}"
        lines += _wrapped(head, indent, seen, columns)
        if fix:
            lines += _wrapped(indent + ARROW, indent + " " * len(ARROW), fix, columns)
    return "\n".join([*lines, _verdict(findings)])


def _wrapped(first: str, indent: str, text: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _verdict(findings: Sequence[Finding]) -> str:
    number = {kind: sum(finding.verdict == kind for finding in findings) for kind in ("fault", "warning")}
    if not any(number.values()):
        return "all is well"
    return " and ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in number.items() if count)
