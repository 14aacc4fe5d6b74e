"""The verdict on a hang, one text made from all reports: which ranks keep the others waiting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from dpnet.resilience.watchdog.report import STATES, Report

MAX_NAMED = 8
"""Ranks that are described one by one."""


def verdict(reports: Sequence[Report], expected: Iterable[int], stacks: str) -> str:
    """What the reports say about a hang.

    Args:
        reports: of at least one rank.
        expected: all ranks that should have a report.
        stacks: a sentence on where the stacks are, or why there are none.
    """
    suspects = [report for report in reports if not report.operation or not report.is_own]
    missing = set(expected) - {report.rank for report in reports}
    idle_s, step = max(report.idle_s for report in reports), max(report.step for report in reports)
    parts = [f"dpnet: no step for {idle_s:.0f} s (step {step})."]
    parts += _waiting([report for report in reports if report not in suspects])
    if suspects:
        parts.append(f"Not waiting: {_described(suspects)}.")
    if missing:
        parts.append(f"No report from: {numbers(missing)} (host gone?).")
    if not suspects and not missing:
        parts.append("Every rank waits for the others: they disagree on what comes next, or a message was lost.")
    return " ".join([*parts, stacks])


def numbers(ranks: Iterable[int]) -> str:
    """Ranks, in short: "rank 7", "ranks 0-3, 7"."""
    runs: list[list[int]] = []
    for rank in sorted(ranks):
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    texts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    word = "rank" if len(runs) == 1 and len(runs[0]) == 1 else "ranks"
    shown = ", ".join(texts[: 2 * MAX_NAMED])
    hidden = sum(map(len, runs[2 * MAX_NAMED :]))
    return f"{word} {shown}" + (f" and {hidden} more" if hidden else "")


def _waiting(reports: Iterable[Report]) -> list[str]:
    groups = defaultdict(list)
    for report in reports:
        groups[report.operation, report.phase].append(report.rank)
    return [f"Waiting in {operation} ({phase}): {numbers(ranks)}." for (operation, phase), ranks in groups.items()]


def _described(suspects: Sequence[Report]) -> str:
    # Ranks that cannot report come first: a stopped or dead process explains why the others do not move.
    ordered = sorted(suspects, key=lambda report: (report.is_own, report.rank))
    text = "; ".join(_description(report) for report in ordered[:MAX_NAMED])
    rest = [report.rank for report in ordered[MAX_NAMED:]]
    return f"{text}; {numbers(rest)}" if rest else text


def _description(report: Report) -> str:
    phase = f"{report.phase} ({report.operation})" if report.operation else report.phase
    state = STATES.get(report.state, "sleeps")
    return f"rank {report.rank} on {report.host} in {phase} for {report.seconds:.0f} s, its process {state}"
