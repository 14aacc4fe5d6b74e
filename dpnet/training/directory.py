"""Which run directory a training has. Rank 0 decides, and takes the lock of the directory.

A directory that the user named is taken as it is. If none was named, the training goes, in this order, to

    1. the directory whose checkpoint the user wants to go on from, if this job may
    2. the one that holds a run of this very job
    3. the one that an earlier start of this job had taken, which did not get to a checkpoint
    4. one whose run was cut off, and differs from this job in nothing but its length
    5. the first of runs/mnist, runs/mnist-2, runs/mnist-3, ... without a run in it

A run that has finished stays as it is, unless the user wants to go on from it: a longer training is another job.

A directory that another training has is left alone. If that training is of the same job, this one is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import resolve
from dpnet.config.directory import existing, first_choice, next_free
from dpnet.config.file import to_flat_dict
from dpnet.config.job import Job
from dpnet.config.keys import KEYS
from dpnet.config.section import Governs
from dpnet.output.lock import owner
from dpnet.output.run_directory import RunDirectory, at_work, holds
from dpnet.training.build import count_steps
from dpnet.training.known import Known, known_run
from dpnet.training.prepare import TrainingData

ENDING_S = 2.0
"""Seconds to wait for another training in the run directory to end."""
POLL_S = 0.05
ASKED, SAME, BEGUN, CUT_OFF, FREE = range(5)
"""What a directory is for a job: see above."""
SHOWN = 6
"""Differences of two jobs that are told, at most."""


def suits(run: Known, job: Job, num_samples: int, data: TrainingData | None, resume: str = "auto") -> int | None:
    """What the directory of a run is for a job: ASKED, SAME, CUT_OFF, or None: it is left alone.

    Args:
        run: the run.
        job: the job.
        num_samples: of its training data.
        data: of the job; None: they were not read yet, and are taken for those of the run.
        resume: see `run.train`.
    """
    fit = run.fit(job, num_samples)
    if fit is None or fit.result or run.changes or (data is not None and run.other_data(data)[0]):
        return None
    if resume not in ("auto", "never") and not fit.refusals and holds(run.path, resolve(Path(resume))):
        return ASKED
    if fit.is_same:
        return SAME
    return CUT_OFF if resume == "auto" and not run.is_finished and not fit.refusals else None


def has_run(job: Job, num_samples: int) -> bool:
    """Whether there is a run that the job, without a directory of its own, goes on with, if its data are the same."""
    runs = filter(None, map(known_run, existing(first_choice(job))))
    return any(suits(run, job, num_samples, None) is not None for run in runs)


class Directory:
    """The run directory of a training: chosen once, by rank 0, and then known to all ranks.

    Args:
        job: the configuration.

    Attributes:
        run_dir: it; None: it was not chosen yet.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._keep_last = job, job.checkpoint.keep_last
        self.run_dir: RunDirectory | None = None

    def take(self, data: TrainingData, resume: str, tell: Callable[[str], None]) -> RunDirectory:
        """Choose the directory, unless that was done before, and take its lock; on rank 0.

        Args:
            data: of the job.
            resume: see `run.train`.
            tell: is called with lines about a directory that is not the first choice.

        Raises:
            OutputError: another training has the directory, or works on the same job.
        """
        if self.run_dir is None and self._job.output.dir is None:
            self.run_dir = self._choose(data, resume)
            self._explain(self.run_dir.path, data, resume, tell)
        run_dir = self.at(first_choice(self._job), data)
        run_dir.lock(wait_s=ENDING_S)
        return run_dir

    def at(self, path: Path, data: TrainingData) -> RunDirectory:
        """The directory; if none was chosen yet, that is the one at `path`."""
        if self.run_dir is None:
            self.run_dir = self._open(path, data)
        return self.run_dir

    def named(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """A summary, with the path of the directory, once that was chosen."""
        assert self.run_dir is not None
        return {**summary, "run_dir": str(self.run_dir.path)}

    def close(self) -> None:
        """Release the directory for other trainings."""
        if self.run_dir is not None:
            self.run_dir.unlock()

    def _open(self, path: Path, data: TrainingData) -> RunDirectory:
        return RunDirectory(path, keep_last=self._keep_last, job=name_of(self._job, data))

    def _choose(self, data: TrainingData, resume: str) -> RunDirectory:
        """Take the lock of the best directory that can be had."""
        deadline, name = time.monotonic() + ENDING_S, name_of(self._job, data)
        while True:
            for _, path in sorted(self._options(data, resume)):
                run_dir = self._open(path, data)
                if run_dir.access.take(wait_s=0.0):
                    if self._is_ours(run_dir, data, resume):
                        return run_dir
                    run_dir.unlock()
                elif owner(path).job == name:
                    if time.monotonic() > deadline:
                        raise at_work(path)
                    break  # Perhaps its last process is about to end.
            time.sleep(POLL_S)

    def _options(self, data: TrainingData, resume: str) -> Iterator[tuple[tuple[int, int], Path]]:
        """The directories that the training may take: what each is, its number, and its path."""
        paths = existing(first_choice(self._job))
        for number, path in enumerate([*paths, next_free(paths)]):
            if (kind := self._kind(path, data, resume)) is not None:
                yield (kind, number), path

    def _kind(self, path: Path, data: TrainingData, resume: str) -> int | None:
        run = known_run(path)
        if run is not None:
            return suits(run, self._job, len(data.source.train), data, resume)
        return BEGUN if owner(path).job == name_of(self._job, data) else FREE

    def _is_ours(self, run_dir: RunDirectory, data: TrainingData, resume: str) -> bool:
        """Whether a directory whose lock was just taken is still one that the training may have."""
        kind = self._kind(run_dir.path, data, resume)
        # Where the file system has no locks, a directory without a run may be that of a training that has just begun.
        return kind is not None and (kind != FREE or run_dir.access.is_sure or run_dir.lock_descriptor is None)

    def _explain(self, path: Path, data: TrainingData, resume: str, tell: Callable[[str], None]) -> None:
        first, run, num_samples = first_choice(self._job), known_run(path), len(data.source.train)
        fit = None if run is None else run.fit(self._job, num_samples)
        if path != first and fit is not None:
            tell(f"run directory {path}, {'which holds this job' if fit.is_same else 'whose run has another length'}")
        elif path != first:
            tell("\n".join(self._why_not(first, path, data, resume)))
        if run is None and resume == "auto" and (end := self._shorter(data)) is not None:
            text = f"{end.path} holds a shorter training of this job; to go on from its end, step {end.step:,}:"
            tell(f"{text} --resume {end.path}")

    def _why_not(self, first: Path, path: Path, data: TrainingData, resume: str) -> list[str]:
        """Lines on why the training does not go to the first choice."""
        run, num_samples = known_run(first), len(data.source.train)
        if run is None or suits(run, self._job, num_samples, data, resume) is not None:
            return [f"run directory {path}: another training is at work in {first}"]
        fit = run.fit(self._job, num_samples)
        why = ["its config.toml cannot be read"] if fit is None else [*fit.differences, *run.other_data(data)[0]]
        lines = why[:SHOWN] or ["it was changed while it ran"]
        more = [f"and {len(why) - SHOWN} more"] if len(why) > SHOWN else []
        return [f"run directory {path}, as {first} holds another job:", *(f"  {text}" for text in (*lines, *more))]

    def _shorter(self, data: TrainingData) -> Known | None:
        """The furthest of the runs that have finished, and that this job could lengthen."""
        runs, num_samples = filter(None, map(known_run, existing(first_choice(self._job)))), len(data.source.train)
        finished = [dataclasses.replace(run, is_finished=False) for run in runs if run.is_finished and run.step]
        able = [run for run in finished if suits(run, self._job, num_samples, data) == CUT_OFF]
        return max(able, key=lambda run: run.step, default=None)


def name_of(job: Job, data: TrainingData) -> str:
    """A name for what a job gives, the same for every start of it: sha256 of its keys, its length and its data."""
    values = to_flat_dict(job)
    result = {name: values.get(name) for name, key in KEYS.items() if key.governs is Governs.RESULT}
    length = [count_steps(job.train, len(data.source.train)), job.evaluate.patience]
    whole: list[Any] = [result, length, data.identity]
    if data.pretrained is not None:
        whole.append([data.pretrained["digest"], data.pretrained["scaling"]])
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
