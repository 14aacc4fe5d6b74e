"""The coordinator: starts, resumes, evaluates, checkpoints and stops a training.

Every rank runs this same code. What only one rank can do (files, the console) rank 0 does and shares the outcome; all
decisions follow from numbers that every rank has.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import numpy as np

import dpnet
from dpnet import checkpoint, threads
from dpnet.assembly import build_parts, rehearse
from dpnet.checkpoint import Checkpoint
from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.config.file import to_dict, to_toml
from dpnet.config.job import Job
from dpnet.data.scaling import Scaling
from dpnet.engine import Engine
from dpnet.errors import CheckpointError, DivergenceError
from dpnet.inputs import Data, measure_scaling
from dpnet.progress import Progress
from dpnet.reporter import Reporter, RootReporter, SilentReporter
from dpnet.resume import model_tensors, optimizer_tensors, state_vectors
from dpnet.rundir import RunDirectory

Summary = dict[str, Any]


class Coordinator:
    """A training in progress.

    Args:
        job: its configuration.
        group: all ranks.
        run_dir: where it leaves everything.
        data: what it trains on.
        engine: what it computes with.
        found: the checkpoint that it goes on from, if any.
        is_own: False: the checkpoint is of another run, so all that is in the run directory is set aside.

    Attributes:
        parts: that it is made of.
        progress: how far it is.
    """

    def __init__(
        self,
        job: Job,
        group: Group,
        run_dir: RunDirectory,
        data: Data,
        engine: Engine,
        found: Checkpoint | None,
        *,
        is_own: bool = True,
    ) -> None:
        self._job = job
        self._group = group
        self._run_dir = run_dir
        self._data = data
        self._engine = engine
        self._is_own = is_own
        if found is None:
            self._scaling = measure_scaling(job.data, data.source, group)
        else:
            self._scaling = everywhere(group, lambda: Scaling.from_tensors(found.scaling))
        rehearse(job, data.source, group, engine)
        self.parts = build_parts(job, data.source, self._scaling, group, engine)
        self._reporter: Reporter = SilentReporter()
        self.progress = Progress()
        if found is not None:
            parts = self.parts
            vectors = everywhere(
                group, lambda: state_vectors(found, parts.layout, parts.slot_names, parts.state.params.dtype)
            )
            parts.state.load(*vectors)
            self.progress = everywhere(group, lambda: self._progress_of(found))
        steps_per_epoch = self.parts.plan.steps_per_epoch
        self._evaluate_every = job.evaluate.interval_steps(steps_per_epoch)
        self._checkpoint_every = job.checkpoint.interval_steps(steps_per_epoch)
        self._checkpoints_on = bool(self._checkpoint_every or job.checkpoint.every_seconds)
        self._first_step = self.progress.step
        self._saved_step = self.progress.step if is_own else -1
        self._began_s = self._counted_s = self._saved_s = time.monotonic()

    def _progress_of(self, found: Checkpoint) -> Progress:
        progress = Progress.from_dict(found.manifest["progress"])
        if progress.step != found.step:
            raise CheckpointError(f"the checkpoint is of step {found.step}, but its progress of step {progress.step}")
        if found.manifest["config"].get("evaluate", {}).get("metric") != self._job.evaluate.metric:
            progress.forget_best()
        return progress

    @property
    def finished(self) -> bool:
        """Whether there is no step left to take."""
        patience = self._job.evaluate.patience
        stopped_early = 0 < patience <= self.progress.evaluations_waited
        return stopped_early or self.progress.step >= self.parts.total_steps

    def say(self, text: str) -> None:
        """Tell something on the console, once for all ranks."""
        if self._group.rank == 0:
            print(text, flush=True)

    def prepare(self) -> None:
        """Make the run directory ready and begin to report.

        Raises:
            OutputError: something in it cannot be written.
        """
        step = self.progress.step if self._is_own else 0
        on_root(self._group, lambda: self._run_dir.prepare(to_toml(self._job), step=step))
        on_root(self._group, self._open_reporter)

    def run(self) -> Summary:
        """Take all steps that are left.

        Returns:
            what summary.json holds.
        """
        with contextlib.closing(self._reporter):
            # Numbers that overflow are noticed in the sums of the step, on all ranks at once.
            with np.errstate(over="ignore", invalid="ignore"):
                while not self.finished:
                    self._take_step()
                self._check_params()
                if self.parts.evaluator is not None and self.progress.eval_step != self.progress.step:
                    self._evaluate()
            if self._checkpoints_on and self._saved_step != self.progress.step:
                self._save()
        summary = self._summary()
        on_root(self._group, lambda: self._run_dir.write_summary(summary))
        self.say(
            f"{summary['status']} after {summary['steps']} steps, {summary['seconds']:.1f} s; {self._run_dir.path}"
        )
        return summary

    def _take_step(self) -> None:
        seconds = self._job.checkpoint.every_seconds
        overdue = seconds is not None and 0 < seconds <= time.monotonic() - self._saved_s
        sums = self.parts.trainer.step(self.progress.step, request=overdue and self._group.rank == 0)
        self.progress.add_step(sums)
        self._check_finite(sums.loss, "the loss")
        if self._due(self._job.output.log_every_steps):
            self._reporter.trained(self.progress, self.parts.trainer.schedule(self.progress.step - 1))
            self.progress.clear_sums()
        is_best = self.parts.evaluator is not None and self._due(self._evaluate_every) and self._evaluate()
        keep = is_best and self._job.checkpoint.keep_best
        if self._checkpoints_on and (self._due(self._checkpoint_every) or sums.requests or keep):
            self._save()

    def _due(self, every_steps: int) -> bool:
        step = self.progress.step
        return every_steps > 0 and (step % every_steps == 0 or step == self.parts.total_steps)

    def _check_finite(self, value: float, name: str) -> None:
        if not math.isfinite(value):
            error = DivergenceError(
                f"{name} of step {self.progress.step} is {value}; lower optimizer.learning_rate "
                f"({self._job.optimizer.learning_rate:g}), warm it up (schedule.warmup_steps), or limit the gradient "
                "(optimizer.clip_norm). The last checkpoint is as it was"
            )
            error.agreed = True  # Every rank has the same numbers.
            raise error

    def _check_params(self) -> None:
        # The loss of a step is that of the parameters before it; the update itself may have overflowed.
        if not np.isfinite(self.parts.state.params).all():
            self._check_finite(math.nan, "a parameter")

    def _evaluate(self) -> bool:
        assert self.parts.evaluator is not None
        scores = self.parts.evaluator(self.parts.state.layers)
        self._check_finite(scores.loss, "the test loss")
        is_best = self.progress.add_evaluation(scores, self._job.evaluate)
        self._reporter.evaluated(self.progress)
        return is_best

    def _save(self) -> None:
        self._check_params()
        self._count_seconds()
        best_step = self.progress.best_step if self._job.checkpoint.keep_best else None

        def write() -> None:
            self._reporter.sync()
            self._run_dir.checkpoints.save(self._content(), best_step=best_step)

        on_root(self._group, write)
        self._saved_step, self._saved_s = self.progress.step, time.monotonic()

    def _count_seconds(self) -> None:
        now_s = time.monotonic()
        self.progress.seconds += now_s - self._counted_s
        self._counted_s = now_s

    def _content(self) -> Checkpoint:
        parts, step = self.parts, self.progress.step
        manifest = {
            "step": step,
            "epoch": step // parts.plan.steps_per_epoch,
            "samples_of_epoch": parts.plan.samples_before(step) % parts.plan.num_samples,
            "sizes": list(parts.layout.sizes),
            "config": to_dict(self._job),
            "data": self._data.identity,
            "progress": self.progress.to_dict(),
            "world_size": self._group.world_size,
            "numerics": threads.numerics(self._engine.products.name),
            "dpnet": dpnet.__version__,
        }
        return Checkpoint(
            model=model_tensors(parts.layout, parts.state.params),
            optimizer=optimizer_tensors(parts.layout, parts.state.slots),
            scaling=self._scaling.to_tensors(),
            manifest=manifest,
        )

    def _open_reporter(self) -> None:
        self._reporter = RootReporter(
            self._run_dir.metrics_path,
            self._job.output.progress,
            self.parts.plan,
            step=self.progress.step,
            total_steps=self.parts.total_steps,
        )

    def _summary(self) -> Summary:
        self._count_seconds()
        plan, progress = self.parts.plan, self.progress
        samples = plan.samples_before(progress.step) - plan.samples_before(self._first_step)
        return {
            "status": "finished" if progress.step >= self.parts.total_steps else "stopped_early",
            "steps": progress.step,
            "world_size": self._group.world_size,
            "eval_accuracy": progress.eval_accuracy,
            "eval_loss": progress.eval_loss,
            "samples_per_s": round(samples / max(time.monotonic() - self._began_s, 1e-9), 1),
            "seconds": round(progress.seconds, 3),
            "digest": checkpoint.digest(self.parts.layout.named(self.parts.state.params)),
            "ranks_lost": 0,
        }
