"""Waits for the end of a job that was submitted, and shows what it prints meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dpnet.launch.progress_on_disk import is_complete
from dpnet.launch.submit.tasks import Scheduler, Task

POLL_S = 2.0
ENDS = 2
"""Times in a row that all tasks are to have ended: a job that is queued again may seem to have, for a moment."""


def follow(
    scheduler: Scheduler, number: str, log: Path | None, say: Callable[[str], None], show: Callable[[str], None]
) -> dict[str, Task]:
    """Wait until a job has ended for good.

    Args:
        scheduler: that has it.
        number: of the job.
        log: that is shown as it grows; None: none.
        say: is called with a line whenever the states of the tasks change.
        show: is called with what is new in the log.

    Returns:
        all tasks that were seen to end, by name.
    """
    known: dict[str, Task] = {}
    position, ends, told = 0, 0, ""
    while ends < ENDS:
        tasks = scheduler.tasks(number)
        if tasks is not None:
            known = {name: task for name, task in {**known, **tasks}.items() if task.ended}
            ends = ends + 1 if all(task.ended for task in tasks.values()) else 0
            if (states := _states(tasks)) not in ("", told):
                told = states
                say(f"job {number}: {told}")
        if log is not None:
            position = _show_from(log, position, show)
        if ends < ENDS:
            time.sleep(POLL_S)
    return known


def exit_code(tasks: Mapping[str, Task], run_dirs: Sequence[Path]) -> int:
    """Dpnet's own exit code, of several tasks the first but 0; where the scheduler has none, by the summaries."""
    codes = [task.code for task in tasks.values() if task.code is not None]
    if wrong := [code for code in codes if code]:
        return wrong[0]
    if len(codes) == len(run_dirs):
        return 0
    return int(not all(map(is_complete, run_dirs)))


def _states(tasks: Mapping[str, Task]) -> str:
    counts = Counter(task.state for task in tasks.values())
    if len(tasks) == 1:
        return next(iter(tasks.values())).state
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))


def _show_from(log: Path, position: int, show: Callable[[str], None]) -> int:
    """Show what stands in a log behind a position, in whole lines; returns the position behind them."""
    try:
        with log.open("rb") as file:
            file.seek(position)
            lines, newline, _ = file.read().rpartition(b"\n")
    except OSError:
        return position  # It is not there yet.
    if newline:
        show(lines.decode(errors="replace"))
    return position + len(lines) + len(newline)
