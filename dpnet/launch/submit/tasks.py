"""What a scheduler says of a job that is followed, and what a scheduler can do."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from dpnet.errors import ConfigError
from dpnet.launch.submit.request import Request
from dpnet.launch.submit.script import Directives, Training

SUBMIT_S, ASK_S = 60.0, 10.0
"""Seconds that a scheduler has to take a job, and to say how it is."""


SEED = "SEED"
"""Stands for the seed in the name of a log of an array."""


class Task(NamedTuple):
    """A job, or a task of an array.

    Attributes:
        state: in the scheduler's words.
        ended: it does not run again.
        code: its exit code, not 0 if it did not get to its end; None: unknown.
    """

    state: str
    ended: bool
    code: int | None = None


class Scheduler(Protocol):
    """A scheduler.

    Attributes:
        program: that takes scripts.
        script: name of the script in a run directory.
    """

    program: str
    script: str

    def template(self, request: Request) -> str:
        """The name of the file of launch/ that a script is made of; raises ConfigError where there is none."""

    def directives(self, request: Request, training: Training) -> Directives:
        """The lines of the script for this scheduler; raises ConfigError where it cannot take a path."""

    def line(self, script: Path) -> list[str]:
        """The command that submits a script, in the folder of that."""

    def number(self, answer: str) -> str:
        """The number of the job, as the scheduler's commands take it, in the answer to that command."""

    def log(self, training: Training, request: Request, number: str) -> Path:
        """The file that the job prints to; of an array with SEED for the seed."""

    def stop(self, number: str) -> list[str]:
        """The command that ends the job for good."""

    def tasks(self, number: str) -> Mapping[str, Task] | None:
        """The job, or the tasks of an array, by name; empty: the scheduler has forgotten it; None: it does not say."""


def submit(scheduler: Scheduler, script: Path) -> str:
    """Submit a script; returns the number of the job.

    Raises:
        ConfigError: the scheduler does not take it.
    """
    line = scheduler.line(script)
    try:
        done = _run(line, SUBMIT_S, script.parent)
        why = (done.stderr or done.stdout).strip() if done.returncode else ""
    except OSError as error:
        why = error.strerror or str(error)
    except subprocess.TimeoutExpired:
        why = f"no answer within {SUBMIT_S:g} s; look in the queue whether it has the job"
    if why:
        raise ConfigError(f"{line[0]} does not take the job: {why}. The script is {script}")
    return scheduler.number(done.stdout)


def ask(line: Sequence[str]) -> tuple[str, str]:
    """What a command of a scheduler prints, and what it complains of; both empty: it does not answer."""
    try:
        done = _run(line, ASK_S)
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    return ("", done.stderr or done.stdout) if done.returncode else (done.stdout, "")


def _run(line: Sequence[str], timeout_s: float, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
