"""The summary of a training, and its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dpnet.checkpoint.format import digest
from dpnet.checkpoint.waiting import Waiting
from dpnet.comm.agree import on_root_asleep
from dpnet.output.run_directory import RunDirectory
from dpnet.training.parts import Parts
from dpnet.training.progress import Progress
from dpnet.training.setup import Setup

Summary = dict[str, Any]
"""What summary.json holds."""


class Stopwatch:
    """Measures the time of a training since this process began or resumed it.

    Args:
        step: steps that were taken before.
    """

    def __init__(self, step: int) -> None:
        self._first_step = step
        self._began_s = self._counted_s = time.monotonic()

    def count(self, progress: Progress) -> None:
        """Add the time since the last call to the seconds of a progress."""
        now_s = time.monotonic()
        progress.seconds += now_s - self._counted_s
        self._counted_s = now_s

    def samples_per_s(self, parts: Parts, step: int) -> float:
        """Samples per second up to step `step`; the time includes all that the training did besides its steps."""
        samples = parts.plan.samples_before(step) - parts.plan.samples_before(self._first_step)
        return samples / max(time.monotonic() - self._began_s, 1e-9)


def finish(
    setup: Setup,
    run_dir: RunDirectory,
    parts: Parts,
    progress: Progress,
    stopwatch: Stopwatch,
    tell: Callable[[str], None],
) -> Summary:
    """Write the summary of a training that is complete, and agree that it is; collective.

    Args:
        setup: of the training.
        run_dir: where the summary goes.
        parts: of the training.
        progress: at its end.
        stopwatch: has measured it.
        tell: is called with a sentence if the disk keeps all waiting.

    Raises:
        OutputError: the summary cannot be written.
        WorkerLost: a rank was lost meanwhile; raised on every rank or on none.
    """
    group = setup.group
    stopwatch.count(progress)
    speed = stopwatch.samples_per_s(parts, progress.step)
    summary = summarize(parts, progress, world_size=group.world_size, samples_per_s=speed)
    waiting = Waiting(run_dir.path, tell)
    on_root_asleep(group, lambda: run_dir.write_summary(summary), lambda: waiting.tell("the summary"))
    group.conclude()
    return summary


def summarize(parts: Parts, progress: Progress, *, world_size: int, samples_per_s: float) -> Summary:
    """The summary of a training that is complete."""
    return {
        "status": "finished" if progress.step >= parts.total_steps else "stopped_early",
        "steps": progress.step,
        "world_size": world_size,
        "eval_accuracy": progress.eval_accuracy,
        "eval_loss": progress.eval_loss,
        "samples_per_s": round(samples_per_s, 1),
        "seconds": round(progress.seconds, 3),
        "digest": digest(parts.layout.named(parts.state.params)),
        "ranks_lost": progress.ranks_lost,
    }
