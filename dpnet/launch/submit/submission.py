"""A training that is to be submitted: its script, for each directory that it may have, and what is written there.

    job.sbatch      the script; job.pbs under PBS
    job.toml        a copy of the job file

What is changed in the job file while the job waits is not what was checked: hence the copy.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dpnet.config.directory import existing, first_choice, next_free, with_directory
from dpnet.config.job import Job
from dpnet.files import write_atomically, writing
from dpnet.launch.submit.request import Request
from dpnet.launch.submit.script import Training, here, make_script
from dpnet.launch.submit.tasks import Scheduler
from dpnet.launch.templates import folder
from dpnet.output.lock import owner
from dpnet.training.directory import BEGUN, CUT_OFF, FREE, SAME, suits
from dpnet.training.known import known_run

JOB_FILE = "job.toml"


@dataclass(frozen=True)
class Submission:
    """A training that is to be submitted.

    Attributes:
        scheduler: to which.
        request: of the user.
        job: of the training; of an array that of all tasks, but for the seed.
        job_file: text of its file; None: there is none.
        settings: arguments of `dpnet train` besides the job file.
        seeds: of an array, two or more; empty: it is none.
    """

    scheduler: Scheduler
    request: Request
    job: Job
    job_file: str | None
    settings: tuple[str, ...]
    seeds: range = range(0)

    def training(self, path: Path) -> Training:
        """The training, with this run directory, or this folder of those of an array."""
        whole = Path(here()) / path
        words = () if self.job_file is None else (str(whole / JOB_FILE),)
        return Training((*words, *self.settings), whole, self.seeds)

    def script(self, path: Path) -> str:
        """The text of the script, see `training`; raises ConfigError where there can be none."""
        training, name = self.training(path), self.scheduler.template(self.request)
        head = f"Written by `dpnet submit`, of dpnet's launch/{name}, which says what these lines are for."
        directives = self.scheduler.directives(self.request, training)
        return make_script((folder() / name).read_text(encoding="utf-8"), head, directives, self.request, training)

    def write(self, path: Path) -> Path:
        """Write the script and the copy of the job file; returns the full path of the script.

        Raises:
            OutputError: they cannot be written.
        """
        whole = self.training(path).path
        with writing(whole, "; choose another with --output DIR"):
            whole.mkdir(parents=True, exist_ok=True)
            if self.job_file is not None:
                write_atomically(whole / JOB_FILE, self.job_file, synced=False)
            write_atomically(whole / self.scheduler.script, self.script(path), synced=False)
        return whole / self.scheduler.script

    def jobs(self, path: Path) -> list[Job]:
        """The job of each training that is submitted, with its directory."""
        trains, named = [dataclasses.replace(self.job.train, seed=seed) for seed in self.seeds], self.training(path)
        jobs = [dataclasses.replace(self.job, train=train) for train in trains] or [self.job]
        return [with_directory(job, run_dir) for job, run_dir in zip(jobs, named.run_dirs, strict=True)]

    def place(self, num_samples: int) -> Path:
        """The directory that it has: the named one, else as a training chooses one, see `training.directory`.

        A directory without a run may be waiting for one, with a script in it. It is free for the same script alone.
        """
        if self.job.output.dir is not None:
            return Path(self.job.output.dir)
        paths = existing(first_choice(self.job))
        kinds = {path: self._kind(path, num_samples) for path in (*paths, next_free(paths))}
        return min((path for path in kinds if kinds[path] is not None), key=lambda path: kinds[path] or 0)

    def _kind(self, path: Path, num_samples: int) -> int | None:
        """What a directory is for this submission; None: it is left alone."""
        if not self.seeds and (run := known_run(path)) is not None:
            kind = suits(run, self.job, num_samples, None)
            return kind if kind in (SAME, CUT_OFF) else None
        if self._is_in(path):
            return BEGUN
        if self.seeds:
            return None if path.exists() else FREE
        waits = any((path / name).exists() for name in (self.scheduler.script, JOB_FILE))
        return None if waits or owner(path).job else FREE

    def _is_in(self, path: Path) -> bool:
        """Whether this very script, with this job file, was written there before."""
        return _text(path / self.scheduler.script) == self.script(path) and _text(path / JOB_FILE) == self.job_file

    def is_complete(self, path: Path, num_samples: int) -> bool:
        """Whether nothing is left to train."""
        for job in self.jobs(path):
            run = known_run(Path(str(job.output.dir)))
            fit = run.fit(job, num_samples) if run is not None and run.is_finished else None
            if fit is None or not fit.is_same:
                return False
        return True


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
