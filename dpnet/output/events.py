"""The reporter: turns progress into rows of the learning curve, for the file and for the console."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dpnet.comm.group import Member
from dpnet.output.metrics_file import MetricsFile, make_console
from dpnet.parallel.plan import Plan
from dpnet.training.progress import Progress


class Reporter(Protocol):
    """Hears of everything that a learning curve shows."""

    def trained(self, progress: Progress, learning_rate: float) -> None:
        """Steps were taken since the last call."""

    def evaluated(self, progress: Progress) -> None:
        """Scores were computed."""

    def lost(
        self, progress: Progress, members: Sequence[Member], world_size: int, *, detect_s: float, recover_s: float
    ) -> None:
        """Ranks were lost; training goes on with `world_size` ranks after the steps of `progress`."""

    def spent(self, progress: Progress, seconds: Mapping[str, Sequence[Any]]) -> None:
        """Where the time of every rank went."""

    def note(self, text: str) -> None:
        """Something else happened."""

    def sync(self) -> None:
        """Wait until the disk has all that was reported."""

    def close(self) -> None:
        """Report no more."""


class SilentReporter:
    """Reports nothing: every rank but rank 0 has this one."""

    def trained(self, progress: Progress, learning_rate: float) -> None:
        """Nothing."""

    def evaluated(self, progress: Progress) -> None:
        """Nothing."""

    def lost(
        self, progress: Progress, members: Sequence[Member], world_size: int, *, detect_s: float, recover_s: float
    ) -> None:
        """Nothing."""

    def spent(self, progress: Progress, seconds: Mapping[str, Sequence[Any]]) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class RootReporter:
    """Writes metrics.jsonl and the console.

    Args:
        path: of metrics.jsonl.
        console: `output.progress` of the configuration.
        plan: tells epochs and samples of a step.
        step: from which this training goes on.
        total_steps: of the whole training.

    Raises:
        OutputError: the file cannot be written; so do all methods.
    """

    def __init__(self, path: Path, console: str, plan: Plan, *, step: int, total_steps: int) -> None:
        self._plan = plan
        self._metrics = MetricsFile(path, step=step)
        self._console = make_console(
            console,
            total_steps=total_steps,
            total_samples=plan.samples_before(total_steps),
            samples=plan.samples_before(step),
        )
        self._last_samples, self._last_s = plan.samples_before(step), time.perf_counter()

    def trained(self, progress: Progress, learning_rate: float) -> None:
        """See Reporter.trained."""
        now_s, samples = time.perf_counter(), self._plan.samples_before(progress.step)
        row = {
            **self._position(progress),
            "loss": progress.loss / progress.samples,
            "accuracy": progress.hits / progress.samples,
            "learning_rate": learning_rate,
            "samples_per_s": round((samples - self._last_samples) / (now_s - self._last_s), 1),
        }
        self._last_samples, self._last_s = samples, now_s
        self._metrics.write(row)
        self._console.trained(row, samples)

    def evaluated(self, progress: Progress) -> None:
        """See Reporter.evaluated."""
        row = {
            **self._position(progress),
            "eval_loss": progress.eval_loss,
            "eval_accuracy": progress.eval_accuracy,
            "eval_samples": progress.eval_samples,
        }
        self._metrics.write(row)
        self._console.evaluated(row)

    def lost(
        self, progress: Progress, members: Sequence[Member], world_size: int, *, detect_s: float, recover_s: float
    ) -> None:
        """See Reporter.lost."""
        row = {
            **self._position(progress),
            "event": "ranks_lost",
            "ranks": [member.rank for member in members],
            "hosts": [member.host for member in members],
            "world_size": world_size,
            "detect_s": round(detect_s, 4),
            "recover_s": round(recover_s, 4),
        }
        self._metrics.write(row)
        names = ", ".join(f"rank {member.rank} on {member.host}" for member in members)
        self._console.note(
            f"lost {names} (noticed after {detect_s:.2f} s); going on after step {progress.step:,} with "
            f"{world_size} rank{'s' * (world_size > 1)}, {recover_s:.2f} s later"
        )

    def spent(self, progress: Progress, seconds: Mapping[str, Sequence[Any]]) -> None:
        """See Reporter.spent."""
        self._metrics.write({**self._position(progress), "event": "time_spent", **seconds})

    def note(self, text: str) -> None:
        """See Reporter.note."""
        self._console.note(text)

    def sync(self) -> None:
        """See Reporter.sync."""
        self._metrics.sync()

    def close(self) -> None:
        """See Reporter.close."""
        self._console.close()
        self._metrics.close()

    def _position(self, progress: Progress) -> dict[str, Any]:
        return {
            "step": progress.step,
            "epoch": round(self._plan.samples_before(progress.step) / self._plan.num_samples, 4),
        }
