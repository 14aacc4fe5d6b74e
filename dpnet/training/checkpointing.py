"""Checkpointing: what of a training goes into a checkpoint, when one is taken, and who writes it (rank 0)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from dpnet.about import __version__
from dpnet.checkpoint.background import Saver
from dpnet.checkpoint.folder import newest_whole
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.tensors import optimizer_tensors
from dpnet.comm.agree import on_root, until_root
from dpnet.compute.arrays import Vector
from dpnet.compute.fingerprint import fingerprint
from dpnet.config.file import to_dict
from dpnet.errors import DivergenceError, OutputError
from dpnet.output.metrics_file import last_step
from dpnet.output.run_directory import RunDirectory
from dpnet.resilience.cut_off import check_not_cut_off
from dpnet.training.parts import Parts
from dpnet.training.progress import Progress
from dpnet.training.setup import Setup
from dpnet.training.start import StartingPoint, start_from

WRITER_ENDS_S = 60.0
"""Seconds to wait for a writer process to finish its checkpoint."""


class Checkpointing:
    """Takes the checkpoints of a training.

    Args:
        setup: of the training.
        identity: of its data.
        run_dir: where checkpoints go.
        start: where it started; that step has a checkpoint already, if this run wrote it. It is written anew if it
            names a best one that is the best no more.
    """

    def __init__(self, setup: Setup, identity: Mapping[str, Any], run_dir: RunDirectory, start: StartingPoint) -> None:
        self._setup, self._identity, self._run_dir = setup, identity, run_dir
        self._saver: Saver | None = None
        """Only rank 0 has one."""
        self._changes = start.changes
        self._saved_step = start.progress.step if start.is_own and start.dropped_best < 0 else -1
        self._saved_s = time.monotonic()
        self._every_seconds = setup.job.checkpoint.every_seconds or 0.0
        self._tell: Callable[[str], None] = print

    def open(self, step: int, tell: Callable[[str], None], *, after_loss: bool) -> None:
        """Take the run directory, and be ready to save after step `step`; collective.

        Args:
            step: after which the training goes on.
            tell: is called with a sentence for each write that fails, and for each damaged checkpoint.
            after_loss: ranks were lost, and this is what is left of the job.

        Raises:
            OutputError: another training has the directory; or, after a loss, this part of the job was cut off.
        """
        self._tell = tell
        group = self._setup.group
        cores = set().union(*group.node.allgather(os.sched_getaffinity(0)))
        # After a loss: the writer of a lost rank 0 may still be writing its last checkpoint.
        until_root(group, self._locking(time.monotonic() + WRITER_ENDS_S))

        def open_on_root() -> None:
            if after_loss:
                self._check_not_cut_off(step)
                self._run_dir.checkpoints.restore()
                self._run_dir.checkpoints.clean()
            if self._saver is None:
                max_failed = self._setup.job.checkpoint.max_failed
                folder, lock = self._run_dir.checkpoints, self._run_dir.lock_descriptor
                self._saver = Saver(folder, max_failed=max_failed, tell=tell, kept_open=lock, cores=cores)

        on_root(group, open_on_root)
        self._saved_step = min(self._saved_step, step)

    def _locking(self, deadline_s: float) -> Callable[[], bool]:
        """Tries to take the run directory; returns whether it could, and raises OutputError after the deadline."""

        def lock() -> bool:
            try:
                self._run_dir.lock(wait_s=0.0)
            except OutputError:
                if time.monotonic() > deadline_s:
                    raise
                return False
            return True

        return lock

    def _check_not_cut_off(self, step: int) -> None:
        summary = self._run_dir.read_summary() or {}
        written = max(last_step(self._run_dir.metrics_path), summary.get("steps", 0))
        check_not_cut_off(written, step, host=self._setup.group.host, folder=self._run_dir.path)

    def is_overdue(self) -> bool:
        """Whether rank 0 must ask for a checkpoint, see `checkpoint.every_seconds`; always False but on rank 0."""
        every_seconds = self._every_seconds
        return bool(every_seconds) and self._saver is not None and time.monotonic() - self._saved_s >= every_seconds

    def is_failing(self) -> bool:
        """Whether rank 0 can no longer write checkpoints; always False but on rank 0."""
        return self._saver is not None and self._saver.poll()

    def check(self) -> None:
        """Raise on all ranks what keeps rank 0 from writing checkpoints; collective."""
        on_root(self._setup.group, self._on_saver(Saver.check))

    def save(self, parts: Parts, progress: Progress, *, last: bool) -> None:
        """Take a checkpoint of the committed state, unless this step has one; collective.

        The training waits for no disk, but with the last checkpoint.

        No checkpoint is ahead of the learning curve: the disk has the curve first.

        Args:
            parts: they hold the state.
            progress: how far the training is.
            last: no other checkpoint follows.
        """
        if self._saved_step == progress.step:
            return
        best_step = progress.best_step if self._setup.job.checkpoint.keep_best else None
        vectors = parts.trainer.optimizer_vectors()

        def take(saver: Saver) -> bool:
            after = (self._run_dir.metrics_path, self._run_dir.config_path)
            return saver.save(self._content(parts, vectors, progress), best_step=best_step, after=after, last=last)

        call = self._on_saver(take)
        if last:
            until_root(self._setup.group, call)
        if last or on_root(self._setup.group, call):  # Else a slow disk leaves no room: a later checkpoint will do.
            self._saved_step = progress.step
        self._saved_s = time.monotonic()

    def flush(self, is_hurried: Callable[[], bool]) -> None:
        """Wait until the disk has all checkpoints; collective.

        Args:
            is_hurried: is called on rank 0: whether a write that fails is tried again after a short pause.

        Raises:
            OutputError: too many writes have failed, or the disk does not answer.
        """
        until_root(self._setup.group, self._on_saver(lambda saver: saver.settled(in_a_hurry=is_hurried())))

    def newest(self) -> StartingPoint:
        """The starting point in the newest whole checkpoint; collective.

        Raises:
            DivergenceError: there is none to go back to.
        """
        setup = self._setup
        self.flush(lambda: True)

        def find() -> Checkpoint:
            found = newest_whole(self._run_dir.checkpoints.path, self._tell)
            if found is None:
                raise DivergenceError(
                    "numbers are not finite, and there is no checkpoint yet to go back to; take a smaller learning "
                    "rate, or checkpoints at shorter intervals (checkpoint.every_steps)"
                )
            return found

        found = on_root(setup.group, find)
        return start_from(found, setup.job, setup.layout, setup.group, is_own=True)

    def close(self) -> None:
        """Save no more, and wait for the writer to end."""
        saver, self._saver = self._saver, None
        if saver is not None:
            saver.close()

    def _on_saver(self, work: Callable[[Saver], Any]) -> Callable[[], Any]:
        """`work`, for `on_root`, with the saver that rank 0 has."""

        def call() -> Any:
            assert self._saver is not None
            return work(self._saver)

        return call

    def _content(self, parts: Parts, vectors: Mapping[str, Vector], progress: Progress) -> Checkpoint:
        """A checkpoint whose tensors are views of the state, valid until the next step."""
        step, plan, setup = progress.step, parts.plan, self._setup
        manifest = {
            "step": step,
            "epoch": plan.epoch(step),
            "samples_of_epoch": plan.samples_before(step) % plan.num_samples,
            "sizes": list(setup.layout.sizes),
            "config": to_dict(setup.job),
            "data": self._identity,
            "progress": progress.to_dict(),
            "world_size": setup.group.world_size,
            "numerics": fingerprint(setup.backend.products.name),
            "dpnet": __version__,
            **({"changes": list(self._changes)} if self._changes else {}),
            **({} if setup.pretrained is None else {"pretrained": dict(setup.pretrained)}),
        }
        return Checkpoint(
            model=setup.layout.named(parts.state.params),
            optimizer=optimizer_tensors(setup.layout, vectors),
            scaling=setup.scaling.to_tensors(),
            manifest=manifest,
        )
