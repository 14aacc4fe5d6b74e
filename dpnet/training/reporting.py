"""Reporting: turns the progress of a training into events, for the sinks that rank 0 has."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dpnet import whereabouts
from dpnet.comm.agree import on_root
from dpnet.comm.group import Group, Member
from dpnet.config.model import METRICS, Task
from dpnet.output.console import Length, make_consoles
from dpnet.output.events import EpochTaken, Evaluated, Event, Note, RanksLost, Sink, StepsTaken, TimeSpent
from dpnet.output.metrics_file import MetricsFile
from dpnet.output.run_directory import RunDirectory
from dpnet.output.screen import current
from dpnet.parallel.plan import Plan
from dpnet.parallel.scores import MEASURED, MEASURES
from dpnet.resilience.stragglers import totals
from dpnet.training.progress import Progress
from dpnet.whereabouts import HERE, STEP


class RowSums(NamedTuple):
    """Sums over some steps, see Progress."""

    samples: int
    weight: float
    loss: float
    hits: float


NO_SUMS = RowSums(0, 0.0, 0.0, 0.0)
NO_SCORES: Mapping[str, float | None] = {}


class EpochSums:
    """Sums over the steps of an epoch, or of the part up to an evaluation, which are not those of a row of the curve.

    Args:
        progress: at the start.
    """

    def __init__(self, progress: Progress) -> None:
        self._rows, self._taken = NO_SUMS, _sums(progress)
        self._last_s = time.perf_counter()

    def add_row(self, progress: Progress) -> None:
        """Add the sums of a row, which begin anew after it."""
        self._rows = _plus(self._rows, _sums(progress))

    def take(self, progress: Progress) -> tuple[RowSums, float]:
        """The sums, and the seconds, since the last call."""
        now_s, sums = time.perf_counter(), _plus(self._rows, _sums(progress))
        before, self._rows, self._taken = self._taken, NO_SUMS, _sums(progress)
        seconds, self._last_s = now_s - self._last_s, now_s
        return _plus(sums, before, -1), max(seconds, 1e-9)


class Reporting:
    """Reports what happens in a training.

    Every rank calls the methods. Only rank 0 has sinks; on the other ranks the methods cost next to nothing.

    Args:
        group: all ranks.
        run_dir: holds the learning curve.
        console: `output.progress` of the configuration.
        eval_split: "validation" or "test": which data evaluations take.
        task: of the network.
        metric: `evaluate.metric`. The line of an epoch shows it, beside the loss.
    """

    def __init__(
        self,
        group: Group,
        run_dir: RunDirectory,
        console: str,
        eval_split: str,
        task: Task = "classification",
        metric: str = "loss",
    ) -> None:
        self._group, self._run_dir, self._console, self._eval_split = group, run_dir, console, eval_split
        self._measured, self._shown = MEASURED[task], ["loss", _beside_loss(task, metric)]
        self._sinks: Sequence[Sink] = ()
        self._plan: Plan | None = None
        self._last_samples, self._last_s = 0, 0.0
        self._epoch_sums = EpochSums(Progress())
        self._since = 0

    def open(self, plan: Plan, progress: Progress, *, total_steps: int) -> None:
        """Report from now on, after the steps of `progress`; rows of later steps are dropped. Collective.

        Args:
            plan: gives the epoch of a step, and the samples used up to it.
            progress: with which this training goes on.
            total_steps: of the whole training.

        Raises:
            OutputError: the learning curve cannot be written.
        """
        self.close()
        step = progress.step
        self._plan, self._last_samples, self._last_s = plan, plan.samples_before(step), time.perf_counter()
        self._epoch_sums = EpochSums(progress)
        self._since = step if self._epoch(progress) % 1 else 0
        num_samples = plan.samples_before(total_steps)
        length = Length(total_steps, num_samples, round(num_samples / plan.num_samples, 4))

        def samples_now() -> int:
            return plan.samples_before(max(int(HERE.row[STEP]) - 1, step))

        def open_sinks() -> None:
            metrics = MetricsFile(self._run_dir.metrics_path, step=step)
            self._sinks = [metrics, *make_consoles(self._console, current(), length, samples_now)]

        on_root(self._group, open_sinks)

    def steps_taken(self, progress: Progress, learning_rate: float) -> None:
        """Report the steps since the last call."""
        HERE.enter(whereabouts.REPORT)
        now_s, samples = time.perf_counter(), self._samples(progress)
        speed = round((samples - self._last_samples) / (now_s - self._last_s), 1)
        self._last_samples, self._last_s = samples, now_s
        self._epoch_sums.add_row(progress)
        row = self._means(progress.loss / progress.weight, progress.hits / progress.weight)
        row |= {"learning_rate": learning_rate, "samples_per_s": speed, "samples": samples}
        self._write(StepsTaken(progress.step, self._epoch(progress), **row))

    def evaluated(self, progress: Progress) -> None:
        """Report the scores of the current step, and the training up to it."""
        scores: dict[str, Any] = {f"eval_{name}": value for name, value in progress.measures("eval", MEASURES).items()}
        place, samples = (progress.step, self._epoch(progress)), progress.eval_samples
        self._write(Evaluated(*place, **scores, eval_samples=samples, eval_split=self._eval_split))
        self.epoch_taken(progress, progress.measures("eval", self._shown))

    def epoch_taken(self, progress: Progress, scores: Mapping[str, float | None] = NO_SCORES) -> None:
        """Report the training since the last call, with the scores after it, if there are any."""
        HERE.enter(whereabouts.REPORT)
        (samples, weight, loss, hits), seconds = self._epoch_sums.take(progress)
        if weight > 0:
            place, means = (progress.step, self._epoch(progress)), self._means(loss / weight, hits / weight)
            more: dict[str, Any] = {**means, "eval_scores": scores, "eval_split": self._eval_split}
            more["since"], self._since = self._since, 0
            self._write(EpochTaken(*place, samples_per_s=samples / seconds, **more))

    def ranks_lost(
        self, progress: Progress, members: Sequence[Member], world_size: int, *, detect_s: float, recover_s: float
    ) -> None:
        """Report that ranks were lost; training goes on with `world_size` ranks after the steps of `progress`."""
        ranks, hosts = [member.rank for member in members], [member.host for member in members]
        place = progress.step, self._epoch(progress)
        self._write(RanksLost(*place, ranks, hosts, world_size, detect_s=detect_s, recover_s=recover_s))

    def time_spent(self, progress: Progress) -> None:
        """Report where the time of every rank went; collective."""
        seconds, place = totals(self._group), (progress.step, self._epoch(progress))
        on_root(self._group, lambda: self._write(TimeSpent(*place, seconds)))

    def note(self, text: str) -> None:
        """Show a sentence to whoever watches the training."""
        self._write(Note(text))

    def close(self) -> None:
        """Report no more."""
        sinks, self._sinks = self._sinks, ()
        with contextlib.ExitStack() as stack:  # A sink that fails leaves no other open.
            for sink in sinks:
                stack.callback(sink.close)

    def _means(self, loss: float, measure: float) -> dict[str, Any]:
        """The means of training samples, by name."""
        return {"loss": loss, "accuracy": None, self._measured: measure}

    def _write(self, event: Event) -> None:
        for sink in self._sinks:
            sink.write(event)

    def _samples(self, progress: Progress) -> int:
        assert self._plan is not None
        return self._plan.samples_before(progress.step)

    def _epoch(self, progress: Progress) -> float:
        assert self._plan is not None
        return round(self._samples(progress) / self._plan.num_samples, 4)


def _beside_loss(task: Task, metric: str) -> str:
    """The measure that is shown beside the loss: that which chooses the best, or else the first that the task has."""
    return metric if metric != "loss" else next(name for name in METRICS[task] if name != "loss")


def _sums(progress: Progress) -> RowSums:
    return RowSums(progress.samples, progress.weight, progress.loss, progress.hits)


def _plus(left: RowSums, right: RowSums, sign: int = 1) -> RowSums:
    return RowSums(
        left.samples + sign * right.samples,
        left.weight + sign * right.weight,
        left.loss + sign * right.loss,
        left.hits + sign * right.hits,
    )
