"""A whole training, from its configuration to its summary, through the loss of ranks."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import resolve
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import check_fits, choose, numerics_notes
from dpnet.comm.agree import on_root
from dpnet.comm.connect import connect
from dpnet.comm.group import World
from dpnet.compute.backend import Backend
from dpnet.compute.threads import numerics
from dpnet.config.file import to_toml
from dpnet.config.job import Job
from dpnet.errors import WorkerLost
from dpnet.output.run_directory import RunDirectory
from dpnet.resilience.signals import StopSignals
from dpnet.training.announce import announce, say
from dpnet.training.loop import Loop
from dpnet.training.prepare import TrainingData, build_layout, check_world_size, open_data, prepare
from dpnet.training.progress import Progress
from dpnet.training.setup import choose_backend
from dpnet.training.start import StartingPoint, start_from
from dpnet.training.summary import Summary

ENDING_S = 2.0
"""Seconds to wait for another training in the run directory to end."""


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
    run = _Run(job, connect() if group is None else group, resume)
    with run.signals, contextlib.closing(run):
        while True:
            try:
                return run.go_on()
            except WorkerLost as loss:
                run.lost(loss)


class _Run:
    """A training that goes on after each loss of ranks."""

    def __init__(self, job: Job, group: World, resume: str) -> None:
        self._job, self._group, self._resume = job, group, resume
        self._run_dir = RunDirectory(Path(job.output.dir), keep_last=job.checkpoint.keep_last)
        self._loop: Loop | None = None
        self._loss: WorkerLost | None = None
        self._lost_s, self._lost_before, self._reported = 0.0, -1, 0
        self.signals = StopSignals(job.resilience.signals)

    def lost(self, loss: WorkerLost) -> None:
        """Record the loss of a rank: the next `go_on` goes on without it."""
        self._loss, self._lost_s = loss, time.monotonic()

    def close(self) -> None:
        """Release the run directory for other trainings."""
        self._run_dir.unlock()

    def go_on(self) -> Summary:
        """Begin or go on, to the end of the training; returns the summary.

        Raises:
            WorkerLost: a rank was lost meanwhile.
        """
        if self._loss is not None:
            self._group.shrink()
        if not all(self._group.allgather(self._loop is not None)):
            self._loop = None  # Some rank has not even begun.
        elif self._loop is not None and not self._loop.recover():
            self._loop = None
        if self._loop is None:
            loop = self._begin()
            if isinstance(loop, dict):
                return loop
            self._loop, self._resume = loop, "auto"
        self._report_losses(self._loop)
        summary = self._loop.run()
        say(
            self._group,
            f"{summary['status']} after {summary['steps']} steps, {summary['seconds']:.1f} s; {self._run_dir.path}",
        )
        return summary

    def _report_losses(self, loop: Loop) -> None:
        if self._lost_before < 0:
            self._lost_before = loop.progress.ranks_lost
        if self._loss is not None:
            lost, detect_s = self._group.lost, self._loss.detect_s
            total = self._lost_before + len(lost)
            loop.report_losses(lost[self._reported :], total, lost_s=self._lost_s, detect_s=detect_s)
            self._reported, self._loss = len(lost), None

    def _begin(self) -> Loop | Summary:
        """Begin, at step 0 or from a checkpoint; returns the summary if nothing is left to do."""
        job, group, run_dir = self._job, self._group, self._run_dir
        on_root(group, lambda: check_world_size(job.train, group.world_size))
        backend, data = choose_backend(job.train, group), open_data(job.data, group)
        start = self._choose_start(backend, data)
        setup = prepare(job, group, data.source, backend=backend, scaling=start.scaling)
        loop = Loop(setup, data, start, run_dir, self.signals)
        step = start.progress.step
        if loop.is_finished and start.is_own and (summary := on_root(group, run_dir.read_summary)) is not None:
            say(group, f"{run_dir.path} is complete already, {step:,} steps; to train anew: --resume never")
            return summary
        announce(setup, data.source, loop.parts, step)
        on_root(group, lambda: run_dir.prepare(to_toml(job), step=step if start.is_own else 0))
        loop.open()
        return loop

    def _choose_start(self, backend: Backend, data: TrainingData) -> StartingPoint:
        """Where to start; rank 0 decides, and every rank gets the same. Collective."""
        job, group = self._job, self._group
        found, is_own = on_root(group, lambda: self._find_checkpoint(backend, data.identity))
        if found is None:
            return StartingPoint(Progress(), is_own=is_own)
        return start_from(found, job, build_layout(job, data.source), group, is_own=is_own)

    def _find_checkpoint(self, backend: Backend, identity: dict[str, Any]) -> tuple[Checkpoint | None, bool]:
        """The checkpoint to go on from, and whether it belongs to this run, as a new training always does."""
        resume = self._resume
        self._run_dir.lock(wait_s=ENDING_S)
        found = choose(resume, self._run_dir.checkpoints.path, print)
        if found is not None:
            notes = check_fits(found, self._job, identity) + numerics_notes(
                found,
                numerics(backend.products.name),
                reproducible=bool(self._job.train.reproducible_shards),
                world_size=self._group.world_size,
            )
            for note in notes:
                print(f"note: {note}", flush=True)
        return found, resume in ("auto", "never") or self._run_dir.holds(resolve(Path(resume)))
