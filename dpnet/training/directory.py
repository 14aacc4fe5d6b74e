"""Which run directory a training has. Rank 0 decides, and takes the lock of the directory.

A directory that the user named is taken as it is. If none was named, the training goes, in this order, to

    1. the directory that holds a run of this very job
    2. one whose run this job continues: it is longer
    3. the one that an earlier start of this job had taken, which did not get to a checkpoint
    4. the first of runs/mnist, runs/mnist-2, runs/mnist-3, ... without a run in it

A directory that another training has is left alone. If that training is of the same job, this one is refused.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dpnet.config.directory import existing, first_choice, next_free
from dpnet.config.file import to_flat_dict
from dpnet.config.job import Job
from dpnet.config.keys import KEYS
from dpnet.config.section import Governs
from dpnet.output.lock import owner
from dpnet.output.run_directory import RunDirectory, at_work
from dpnet.training.build import count_steps
from dpnet.training.known import Known, known_run
from dpnet.training.prepare import TrainingData

ENDING_S = 2.0
"""Seconds to wait for another training in the run directory to end."""
POLL_S = 0.05
SAME, LONGER, BEGUN, FREE = range(4)
"""What a directory is for a job: see above."""


def suits(run: Known, job: Job, num_samples: int, data: TrainingData | None, *, anew: bool = False) -> int | None:
    """Whether a run is of a job: SAME, LONGER, or None.

    Args:
        run: the run.
        job: the job.
        num_samples: of its training data.
        data: of the job; None: they were not read yet, and are taken for those of the run.
        anew: the run is to be set aside, so its length does not matter.
    """
    fit = run.fit(job, num_samples)
    if fit is None or fit.result or run.changes or (data is not None and run.other_data(data)[0]):
        return None
    if fit.is_same:
        return SAME
    return LONGER if anew or not fit.refusals else None


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

    def take(self, data: TrainingData, *, anew: bool, tell: Callable[[str], None]) -> RunDirectory:
        """Choose the directory, unless that was done before, and take its lock; on rank 0.

        Args:
            data: of the job.
            anew: the run in the directory, if any, is to be set aside.
            tell: is called with lines about a directory that is not the first choice.

        Raises:
            OutputError: another training has the directory, or works on the same job.
        """
        if self.run_dir is None and self._job.output.dir is None:
            self.run_dir = self._choose(data, anew=anew)
            self._explain(self.run_dir.path, data, tell)
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

    def _choose(self, data: TrainingData, *, anew: bool) -> RunDirectory:
        """Take the lock of the best directory that can be had."""
        deadline, name = time.monotonic() + ENDING_S, name_of(self._job, data)
        while True:
            for _, path in sorted(self._options(data, anew=anew)):
                run_dir = self._open(path, data)
                if run_dir.access.take(wait_s=0.0):
                    if self._is_ours(run_dir, data, anew=anew):
                        return run_dir
                    run_dir.unlock()
                elif owner(path).job == name:
                    if time.monotonic() > deadline:
                        raise at_work(path)
                    break  # Perhaps its last process is about to end.
            time.sleep(POLL_S)

    def _options(self, data: TrainingData, *, anew: bool) -> Iterator[tuple[tuple[int, int], Path]]:
        """The directories that the training may take: what each is, its number, and its path."""
        paths = existing(first_choice(self._job))
        for number, path in enumerate([*paths, next_free(paths)]):
            if (kind := self._kind(path, data, anew=anew)) is not None:
                yield (kind, number), path

    def _kind(self, path: Path, data: TrainingData, *, anew: bool) -> int | None:
        run = known_run(path)
        if run is not None:
            return suits(run, self._job, len(data.source.train), data, anew=anew)
        return BEGUN if owner(path).job == name_of(self._job, data) else FREE

    def _is_ours(self, run_dir: RunDirectory, data: TrainingData, *, anew: bool) -> bool:
        """Whether a directory whose lock was just taken is still one that the training may have."""
        kind = self._kind(run_dir.path, data, anew=anew)
        # Where the file system has no locks, a directory without a run may be that of a training that has just begun.
        return kind is not None and (kind != FREE or run_dir.access.is_sure or run_dir.lock_descriptor is None)

    def _explain(self, path: Path, data: TrainingData, tell: Callable[[str], None]) -> None:
        first = first_choice(self._job)
        if path == first:
            return
        if known_run(path) is not None:
            tell(f"run directory {path}, which holds this job")
            return
        run, num_samples = known_run(first), len(data.source.train)
        if run is None or suits(run, self._job, num_samples, data) is not None:
            tell(f"run directory {path}: another training is at work in {first}")
            return
        fit = run.fit(self._job, num_samples)
        why = ["its config.toml cannot be read"] if fit is None else [*fit.refusals, *run.other_data(data)[0]]
        tell(f"run directory {path}, as {first} holds another job:")
        tell(f"  {why[0] if why else 'it was changed while it ran'}" + (f" (and {len(why) - 1} more)" * (len(why) > 1)))


def name_of(job: Job, data: TrainingData) -> str:
    """A name for what a job gives, the same for every start of it: sha256 of its keys, its length and its data."""
    values = to_flat_dict(job)
    result = {name: values.get(name) for name, key in KEYS.items() if key.governs is Governs.RESULT}
    length = [count_steps(job.train, len(data.source.train)), job.evaluate.patience]
    whole: list[Any] = [result, length, data.identity]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
