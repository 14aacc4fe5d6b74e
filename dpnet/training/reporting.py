"""Records: what a training leaves in its run directory, and what it tells.

Only rank 0 writes. The methods are collective where something may fail that all ranks must hear of; the others cost
nothing on the other ranks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from dpnet.about import __version__
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.background import NoSaver, Saver
from dpnet.checkpoint.folder import newest_whole
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import optimizer_tensors
from dpnet.comm.agree import on_root
from dpnet.comm.group import Member, World
from dpnet.compute import threads
from dpnet.compute.backend import Backend
from dpnet.config.file import to_dict, to_toml
from dpnet.config.job import Job
from dpnet.data.scaling import Scaling
from dpnet.errors import DivergenceError
from dpnet.output.events import Reporter, RootReporter, SilentReporter
from dpnet.output.metrics_file import last_step
from dpnet.output.run_directory import RunDirectory
from dpnet.resilience import stragglers as pace
from dpnet.resilience.alone import check_not_cut_off
from dpnet.training.build import Parts
from dpnet.training.prepare import Data
from dpnet.training.progress import Progress
from dpnet.training.start import Begin, begin_from

Summary = dict[str, Any]
WRITER_ENDS_S = 60.0
"""Within so many seconds whatever writes a checkpoint has written it."""


class Records:
    """Of one training.

    Args:
        job: its configuration.
        group: all ranks.
        run_dir: where everything goes.
        data: what it trains on.
        backend: what it computes with.
        begin: where it began.

    Attributes:
        folder: the run directory.
    """

    def __init__(
        self, job: Job, group: World, run_dir: RunDirectory, data: Data, backend: Backend, begin: Begin
    ) -> None:
        self._job, self._group, self._run_dir, self._data, self._backend = job, group, run_dir, data, backend
        self.folder = run_dir.path
        self._scaling: Scaling = begin.scaling
        self._reporter: Reporter = SilentReporter()
        self._saver = NoSaver()
        self._first_step = begin.progress.step
        self._saved_step = begin.progress.step if begin.is_own else -1
        self._began_s = self._counted_s = self._saved_s = time.monotonic()

    def say(self, text: str) -> None:
        """Tell something before the training; once for all ranks."""
        if self._group.rank == 0:
            print(text, flush=True)

    def prepare(self, *, step: int) -> None:
        """Make the run directory ready for a training that goes on after `step` of its own steps; collective.

        Raises:
            OutputError: something in it cannot be written.
        """
        on_root(self._group, lambda: self._run_dir.prepare(to_toml(self._job), step=step))

    def open(self, parts: Parts, progress: Progress, *, after_loss: bool = False) -> None:
        """Begin to report after the steps of `progress`; rows of later steps are dropped. Collective.

        Raises:
            OutputError: something cannot be written; or, after a loss, it is this part of the job that was lost.
        """
        self._reporter.close()
        self._reporter = SilentReporter()

        def open_on_root() -> None:
            # After a loss: what writes the last checkpoint of a rank 0 that was lost may be at work still.
            self._run_dir.lock(wait_s=WRITER_ENDS_S)
            if after_loss:
                self._check_not_cut_off(progress.step)
                self._run_dir.checkpoints.clean()
            self._reporter = RootReporter(
                self._run_dir.metrics_path,
                self._job.output.progress,
                parts.plan,
                step=progress.step,
                total_steps=parts.total_steps,
            )
            if not isinstance(self._saver, Saver):
                max_failed = self._job.checkpoint.max_failed
                lock = self._run_dir.lock_descriptor
                self._saver = Saver(self._run_dir.checkpoints, max_failed=max_failed, tell=self.note, kept_open=lock)

        on_root(self._group, open_on_root)
        self._saved_step = min(self._saved_step, progress.step)

    def _check_not_cut_off(self, step: int) -> None:
        summary = self._run_dir.read_summary() or {}
        written = max(last_step(self._run_dir.metrics_path), summary.get("steps", 0))
        check_not_cut_off(written, step, host=self._group.host, folder=self.folder)

    def trained(self, progress: Progress, learning_rate: float) -> None:
        """See Reporter.trained."""
        self._reporter.trained(progress, learning_rate)

    def evaluated(self, progress: Progress) -> None:
        """See Reporter.evaluated."""
        self._reporter.evaluated(progress)

    def note(self, text: str) -> None:
        """Tell something on the console."""
        self._reporter.note(text)

    def lost(self, progress: Progress, members: Sequence[Member], *, detect_s: float, recover_s: float) -> None:
        """See Reporter.lost."""
        self._reporter.lost(progress, members, self._group.world_size, detect_s=detect_s, recover_s=recover_s)

    def overdue(self) -> bool:
        """Whether rank 0, which this is, must ask for a checkpoint by `checkpoint.every_seconds`."""
        seconds = self._job.checkpoint.every_seconds
        return bool(seconds) and self._group.rank == 0 and time.monotonic() - self._saved_s >= (seconds or 0)

    def failing(self) -> bool:
        """Whether rank 0, which this is, can no longer write checkpoints."""
        return self._saver.poll()

    def check(self) -> None:
        """Raise on all ranks what keeps rank 0 from writing checkpoints; collective."""
        on_root(self._group, self._saver.check)

    def save(self, parts: Parts, progress: Progress, *, must: bool) -> None:
        """Take a checkpoint of the committed state, if none was taken of this step; collective.

        Args:
            parts: with the state.
            progress: how far it is.
            must: it is the last one.
        """
        if self._saved_step == progress.step:
            return
        self._count_seconds(progress)
        best_step = progress.best_step if self._job.checkpoint.keep_best else None

        def take() -> None:
            self._reporter.sync()
            self._saver.save(self._content(parts, progress), best_step=best_step, must=must)

        on_root(self._group, take)
        self._saved_step, self._saved_s = progress.step, time.monotonic()

    def settle(self, progress: Progress) -> None:
        """Tell where the time went, and wait until the disk has all checkpoints; collective.

        Raises:
            OutputError: something cannot be written.
        """
        seconds = pace.totals(self._group)
        on_root(self._group, lambda: self._reporter.spent(progress, seconds))
        on_root(self._group, self._saver.flush)

    def last_checkpoint(self) -> Begin:
        """Where the newest checkpoint begins; collective.

        Raises:
            DivergenceError: there is none to go back to.
        """
        on_root(self._group, self._saver.flush)

        def find() -> Checkpoint:
            found = newest_whole(self._run_dir.checkpoints.path, self.note)
            if found is None:
                raise DivergenceError("numbers are not finite, and there is no checkpoint to go back to")
            return found

        return begin_from(on_root(self._group, find), self._job, self._data.source, self._group, is_own=True)

    def finish(self, parts: Parts, progress: Progress) -> Summary:
        """Write the summary, when all is done; collective."""
        self.settle(progress)
        self._count_seconds(progress)
        plan = parts.plan
        samples = plan.samples_before(progress.step) - plan.samples_before(self._first_step)
        summary = {
            "status": "finished" if progress.step >= parts.total_steps else "stopped_early",
            "steps": progress.step,
            "world_size": self._group.world_size,
            "eval_accuracy": progress.eval_accuracy,
            "eval_loss": progress.eval_loss,
            "samples_per_s": round(samples / max(time.monotonic() - self._began_s, 1e-9), 1),
            "seconds": round(progress.seconds, 3),
            "digest": checkpoint.digest(parts.layout.named(parts.state.params)),
            "ranks_lost": progress.ranks_lost,
        }
        on_root(self._group, lambda: self._run_dir.write_summary(summary))
        self._group.conclude()
        self.close()
        self.say(
            f"{summary['status']} after {summary['steps']} steps, {summary['seconds']:.1f} s; {self._run_dir.path}"
        )
        return summary

    def close(self) -> None:
        """Report and save no more."""
        self._reporter.close()
        self._saver.close()
        self._reporter, self._saver = SilentReporter(), NoSaver()

    def _count_seconds(self, progress: Progress) -> None:
        now_s = time.monotonic()
        progress.seconds += now_s - self._counted_s
        self._counted_s = now_s

    def _content(self, parts: Parts, progress: Progress) -> Checkpoint:
        """A checkpoint whose tensors are views of the state: it holds until the next step."""
        step, plan = progress.step, parts.plan
        manifest = {
            "step": step,
            "epoch": step // plan.steps_per_epoch,
            "samples_of_epoch": plan.samples_before(step) % plan.num_samples,
            "sizes": list(parts.layout.sizes),
            "config": to_dict(self._job),
            "data": self._data.identity,
            "progress": progress.to_dict(),
            "world_size": self._group.world_size,
            "numerics": threads.numerics(self._backend.products.name),
            "dpnet": __version__,
        }
        return Checkpoint(
            model=parts.layout.named(parts.state.params),
            optimizer=optimizer_tensors(parts.layout, parts.state.slots),
            scaling=self._scaling.to_tensors(),
            manifest=manifest,
        )
