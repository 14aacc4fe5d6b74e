"""A whole training, from its configuration to its summary, through the loss of ranks."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import resolve
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import check_fits, choose, numerics_notes
from dpnet.cli.tables import training_text
from dpnet.comm.agree import on_root
from dpnet.comm.connect import connect
from dpnet.comm.group import World
from dpnet.compute import threads
from dpnet.compute.backend import Backend
from dpnet.config.job import Job
from dpnet.environment import loss_obstacle
from dpnet.errors import WorkerLost
from dpnet.output.run_directory import RunDirectory
from dpnet.resilience.signals import StopSignals
from dpnet.training.build import check_world_size, rehearse
from dpnet.training.loop import Coordinator
from dpnet.training.prepare import choose_backend, measure_scaling, open_data
from dpnet.training.progress import Progress
from dpnet.training.reporting import Records, Summary
from dpnet.training.start import Begin, begin_from

ENDING_S = 2.0
"""How long another training in the run directory may take to end."""


def train(job: Job, group: World | None = None, *, resume: str = "auto") -> Summary:
    """Train as the configuration says; called by every rank.

    Args:
        job: the configuration, the same on every rank.
        group: all ranks; found from the launcher's environment if not given.
        resume: "auto": go on from the newest whole checkpoint of the run directory, if there is one. "never": start
            anew; what is in the run directory is set aside. Else the path of a checkpoint to go on from.

    Returns:
        what summary.json holds.

    Raises:
        DpnetError: see `dpnet.errors`.
    """
    group = connect() if group is None else group
    training = _Training(job, group, resume)
    with training.signals, contextlib.closing(training):
        while True:
            try:
                return training.run()
            except WorkerLost as loss:
                training.lost(loss)


class _Training:
    """A training, begun anew or gone on with after each loss."""

    def __init__(self, job: Job, group: World, resume: str) -> None:
        self._job, self._group, self._resume = job, group, resume
        self._run_dir = RunDirectory(Path(job.output.dir), keep_last=job.checkpoint.keep_last)
        self._coordinator: Coordinator | None = None
        self._loss: WorkerLost | None = None
        self._lost_s, self._lost_before, self._told = 0.0, -1, 0
        self.signals = StopSignals(job.resilience.signals)

    def lost(self, loss: WorkerLost) -> None:
        """A rank was lost: another `run` goes on without it."""
        self._loss, self._lost_s = loss, time.monotonic()

    def close(self) -> None:
        """Leave the run directory to others."""
        self._run_dir.unlock()

    def run(self) -> Summary:
        """All that is left to do.

        Raises:
            WorkerLost: a rank was lost meanwhile.
        """
        group, loss = self._group, self._loss
        if loss is not None:
            group.shrink()
        if not all(group.allgather(self._coordinator is not None)):
            self._coordinator = None  # Some rank has not even begun.
        elif self._coordinator is not None and not self._coordinator.recover():
            self._coordinator = None
        if self._coordinator is None:
            coordinator = self._begin()
            if isinstance(coordinator, dict):
                return coordinator
            self._coordinator, self._resume = coordinator, "auto"
            if self._lost_before < 0:
                self._lost_before = coordinator.progress.ranks_lost
        if loss is not None:
            told, total = self._told, self._lost_before + len(group.lost)
            self._coordinator.tell_losses(group.lost[told:], total, lost_s=self._lost_s, detect_s=loss.detect_s)
            self._told, self._loss = len(group.lost), None
        return self._coordinator.run()

    def _begin(self) -> Coordinator | Summary:
        """Begin, at step 0 or from a checkpoint; the summary, where nothing is left to do."""
        job, group, run_dir = self._job, self._group, self._run_dir
        on_root(group, lambda: check_world_size(job.train, group.world_size))
        backend = choose_backend(job.train, group)
        data = open_data(job.data, group)
        found, is_own = on_root(group, lambda: self._find_checkpoint(backend, data.identity))
        if found is None:
            begin = Begin(measure_scaling(job.data, data.source, group), Progress(), None, is_own)
        else:
            begin = begin_from(found, job, data.source, group, is_own=is_own)
        rehearse(job, data.source, group, backend)
        records = Records(job, group, run_dir, data, backend, begin)
        coordinator = Coordinator(job, group, data, backend, begin, records, self.signals)
        step = begin.progress.step
        if coordinator.finished and is_own and (summary := on_root(group, run_dir.read_summary)) is not None:
            records.say(f"{run_dir.path} is complete already, {step:,} steps; to train anew: --resume never")
            return summary
        num_hosts = len(set(group.allgather(group.host)))
        records.say(training_text(job, data.source, coordinator.parts, backend, group.world_size, num_hosts))
        if group.world_size > 1:
            obstacle = loss_obstacle()
            records.say(f"a lost rank ends the job: {obstacle}" if obstacle else "lost ranks are survived")
        if step:
            records.say(f"going on from the checkpoint of step {step:,}")
        records.prepare(step=step if is_own else 0)
        records.open(coordinator.parts, coordinator.progress)
        return coordinator

    def _find_checkpoint(self, backend: Backend, identity: dict[str, Any]) -> tuple[Checkpoint | None, bool]:
        """The checkpoint to go on from, and whether it is of this run; a new training is."""
        resume = self._resume
        self._run_dir.lock(wait_s=ENDING_S)
        found = choose(resume, self._run_dir.checkpoints.path, print)
        if found is not None:
            notes = check_fits(found, self._job, identity) + numerics_notes(
                found,
                threads.numerics(backend.products.name),
                reproducible=bool(self._job.train.reproducible_shards),
                world_size=self._group.world_size,
            )
            for note in notes:
                print(f"note: {note}", flush=True)
        return found, resume in ("auto", "never") or self._run_dir.holds(resolve(Path(resume)))
