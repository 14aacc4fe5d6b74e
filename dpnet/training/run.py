"""A whole training, from its configuration to its summary, through the loss of ranks."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from dpnet.comm.agree import on_root
from dpnet.comm.alike import check_alike
from dpnet.comm.connect import connect
from dpnet.comm.group import World
from dpnet.comm.placed import check_hosts
from dpnet.compute.backend import Backend
from dpnet.compute.fingerprint import fingerprint
from dpnet.config.directory import with_directory
from dpnet.config.file import job_of, to_settings, to_toml
from dpnet.config.job import Job
from dpnet.config.model import METRICS
from dpnet.data.sources import DataSource
from dpnet.errors import DpnetError, Preempted, WorkerLost
from dpnet.output.screen import opened
from dpnet.resilience.signals import StopSignals
from dpnet.training.announce import announce, complete_already, doing, say
from dpnet.training.build import build_layout
from dpnet.training.directory import Directory
from dpnet.training.hosts import compare_hosts
from dpnet.training.loop import Loop
from dpnet.training.memory import with_data
from dpnet.training.opening import converted, open_job
from dpnet.training.prepare import fit_scaling, identify, prepare
from dpnet.training.pretrained.find import with_pretrained
from dpnet.training.pretrained.transfer import begin_with, transfer
from dpnet.training.setup import choose_backend
from dpnet.training.start import choose_start, foresee
from dpnet.training.summary import Summary, complete_again, summary_text


def train(
    job: Job | str | os.PathLike[str] | Mapping[str, Any],
    group: World | None = None,
    *,
    data: Any = None,
    resume: str = "auto",
    pretrained: str | os.PathLike[str] | None = None,
) -> Summary:
    """Train as the configuration says; called by every rank.

    Args:
        job: the configuration, the path of a job file, or a dictionary, see `config.file.job_of`; ranks that
            were given different ones all raise ConfigError.
        group: all ranks; found from the launcher's environment if not given.
        data: to train on, in the place of data.source; every rank gives the same, or all raise ConfigError. (x, y) or
            (x, y, weights); a dictionary of arrays x_train, y_train, x_test, y_test, ... as in an .npz file; a data
            frame (pandas, polars, Arrow, or another that Arrow takes over), read as a table is, by the keys of [data];
            a tuple of a data frame and its labels; a dictionary of the data frames train, test, validation; or a path.
            Arrays in C order are not copied: leave them as they are meanwhile.
        resume: "auto": go on from the newest whole checkpoint of the run directory, if there is one. "never": start
            anew; what is in the run directory is set aside. Else the path of a checkpoint to go on from.
        pretrained: what a new training begins with, in the place of `model.pretrained`: the path of a checkpoint, of a
            run directory for its best one, or of a file of safetensors.

    A run directory belongs to one job. Without `output.dir` each job gets one of its own, which a later call with the
    same job finds again, see `training.directory`; with it, another job than that of the run in it is refused, unless
    it is longer.

    Returns:
        what summary.json holds, and the run directory, `run_dir`.

    Raises:
        DpnetError: see `dpnet.errors`.
    """
    group = connect() if group is None else group
    job = _understood(group, lambda: with_pretrained(converted(with_data(job_of(job), data)), pretrained))
    run = _Run(job, group, resume, data)
    with opened(job.output.progress), run.signals, contextlib.closing(run):
        while True:
            try:
                return run.go_on()
            except WorkerLost as loss:
                run.lost(loss)


def _understood(group: World, read: Callable[[], Job]) -> Job:
    """The job that was given; an error in it is one of all ranks, whatever was given to the others."""
    try:
        return read()
    except DpnetError as error:
        group.allgather(False)  # As `_Run.go_on` begins, on ranks that were given another job.
        check_alike(group, {"the call": "dpnet.train", "the job": f"refused ({error})"})
        error.agreed = True
        raise


class _Run:
    """A training that goes on after each loss of ranks."""

    def __init__(self, job: Job, group: World, resume: str, data: Any) -> None:
        self._job, self._data = job, data
        self._group = group
        self._resume = resume
        self._directory = Directory(job)
        self._loop: Loop | None = None
        self._loss: WorkerLost | None = None
        self._lost_s, self._lost_before, self._reported = 0.0, -1, 0
        self.signals = StopSignals(job.resilience.signals, functools.partial(say, group))

    def lost(self, loss: WorkerLost) -> None:
        """Record the loss of a rank: the next `go_on` goes on without it."""
        self._loss, self._lost_s = loss, time.monotonic()

    def close(self) -> None:
        """Release the run directory for other trainings."""
        self._directory.close()

    def go_on(self) -> Summary:
        """Begin or go on, to the end of the training; returns the summary.

        Raises:
            WorkerLost: a rank was lost meanwhile.
        """
        if self._loss is not None:
            self._group.shrink()
        if not all(self._group.allgather(self._loop is not None)):
            self._drop()  # Some rank has not even begun.
        elif self._loop is not None and not self._loop.recover():
            self._drop()
        if self._loop is None:
            if self._loss is None:
                given = {"the call": "dpnet.train", "resume": self._resume, **to_settings(self._job)}
                given["the job"] = "understood"
                given["data in memory"] = "none" if self._data is None else "given"
                check_alike(self._group, given)
                if note := check_hosts(self._group):
                    say(self._group, f"note: {note}")
            loop = begin(self._job, self._group, self._directory, self._resume, self.signals, self._data)
            if isinstance(loop, dict):
                return loop
            self._loop = loop
            self._resume = "auto"
        self._report_losses(self._loop)
        self.signals.catch_interrupts()
        try:
            summary = self._directory.named(self._loop.run())
        except Preempted:
            self._group.conclude()  # A rank that has lost another goes on: it must not be left alone.
            raise
        say(self._group, summary_text(summary))
        return summary

    def _drop(self) -> None:
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _report_losses(self, loop: Loop) -> None:
        if self._lost_before < 0:
            self._lost_before = loop.progress.ranks_lost
        if self._loss is not None:
            lost, detect_s = self._group.lost, self._loss.detect_s
            total = self._lost_before + len(lost)
            loop.report_losses(lost[self._reported :], total, lost_s=self._lost_s, detect_s=detect_s)
            self._reported = len(lost)
            self._loss = None


def begin(
    job: Job, group: World, directory: Directory, resume: str, signals: StopSignals, in_memory: Any = None
) -> Loop | Summary:
    """Begin a training, at step 0 or from a checkpoint; the summary, if nothing is left to do. Collective.

    Args:
        job: the configuration.
        group: all ranks.
        directory: of the training.
        resume: see `train`.
        signals: that end the training.
        in_memory: data, see `train`; None: those that the job names.
    """
    job, source, pretrained = open_job(job, group, resume, in_memory, world_size=group.world_size)
    backend, numerics = _backend(job, group, source)
    resumes = on_root(group, lambda: foresee(job, resume, source))
    begun = None if pretrained is None or resumes else transfer(pretrained, job, source, group)
    with doing(group, "checking the data"):
        data = identify(job.data, source, group, measure=not resumes)
    data = dataclasses.replace(data, pretrained=None if pretrained is None else pretrained.record)
    with doing(group, "looking for a checkpoint to go on from"):
        run_dir, start = choose_start(job, group, directory, resume, data, numerics)
    job = with_directory(job, run_dir.path)
    if pretrained is not None:
        start = begin_with(pretrained, begun, start, job, data, group)
    scaling = start.scaling or (fit_scaling(job, source, data.moments, group) if data.moments else None)
    setup = prepare(job, group, source, backend=backend, scaling=scaling)
    setup = dataclasses.replace(setup, pretrained=start.pretrained or data.pretrained)
    loop = Loop(setup, data, start, run_dir, signals)
    if loop.is_finished and start.is_own and (summary := on_root(group, run_dir.read_summary)) is not None:
        saved = on_root(group, run_dir.checkpoints.steps)
        tell, measures = functools.partial(say, group), METRICS[job.model.task]
        summary = complete_again(summary, loop.progress, saved, source.eval_split, tell, measures)
        say(group, complete_already(run_dir.path, loop.progress, loop.parts.total_steps, job.evaluate))
        return directory.named(summary)
    for note in start.notes:
        say(group, f"note: {note}")
    announce(setup, data, loop.parts, start.progress.step)
    for line in start.told:
        say(group, line)
    on_root(group, lambda: run_dir.prepare(to_toml(job), step=start.progress.step if start.is_own else 0))
    try:
        loop.open()
    except BaseException:
        loop.close()  # Nobody else knows it yet.
        raise
    return loop


def _backend(job: Job, group: World, source: DataSource) -> tuple[Backend, dict[str, Any]]:
    """What a rank computes with, and the fingerprint of that; hosts that differ are refused or told of. Collective."""
    backend = choose_backend(job.train, group, build_layout(job, source).sizes)
    numerics, reproducible = fingerprint(backend.products.name), bool(job.train.fixed_shards)
    with doing(group, "comparing the hosts"):
        odd = compare_hosts(group, source.splits, source.name, source.schema, numerics, reproducible=reproducible)
    for text in odd:
        say(group, f"note: {text}")
    return backend, numerics
