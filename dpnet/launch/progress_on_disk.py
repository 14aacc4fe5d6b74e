"""How far a training got, read from its run directory: proof that it is complete, and the place of a failure."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpnet.checkpoint.folder import steps_in
from dpnet.checkpoint.format import step_name
from dpnet.config.directory import existing, first_choice
from dpnet.config.file import to_settings
from dpnet.config.keys import KEYS
from dpnet.config.section import Governs
from dpnet.errors import CheckpointError, ConfigError
from dpnet.launch.decide import Place
from dpnet.launch.options import go_on
from dpnet.output.lock import LOCK, owner
from dpnet.output.metrics_file import last_step
from dpnet.output.run_directory import CHECKPOINTS, CONFIG, METRICS, SUMMARY

if TYPE_CHECKING:
    from dpnet.config.job import Job

CLOCK_S = 2.0
"""By so much may the clock of a file system differ from that of this host."""
COMPLETE = ("finished", "stopped_early")


class Training:
    """A training, as its run directory shows it.

    The ranks choose the directory where the user named none, and leave the name of their attempt in its lock file.

    Args:
        command: arguments of dpnet, `train` the first.
        job: that these describe.
        name: of this `dpnet launch`, with which the names of all its attempts begin.
        begun_ns: start of an attempt that began before this object existed, in nanoseconds of time.time_ns; None: none
            has begun.
        follows: an earlier `dpnet launch` of the same batch job has begun it, as far as it got.

    Attributes:
        preempted_exit_code: of a training that a signal ended.
    """

    def __init__(
        self, command: Sequence[str], job: Job, name: str, begun_ns: int | None = None, *, follows: bool = False
    ) -> None:
        self._command, self._name, self._job = list(command), name, job
        self._named, self._first = job.output.dir is not None, first_choice(job)
        self.preempted_exit_code = job.resilience.preempted_exit_code
        self._made_s, self._follows = time.time(), follows
        self._configs_before = self._identities(CONFIG)
        self._summaries_before = self._identities(SUMMARY)
        if begun_ns is not None:
            # What was written since then was written by that attempt.
            self._summaries_before = {path: seen for path, seen in self._summaries_before.items() if seen[1] < begun_ns}

    def begin_attempt(self) -> list[str]:
        """The command of the next attempt: it resumes what an earlier attempt has begun."""
        self._summaries_before = self._identities(SUMMARY)
        if self._follows and self.place().checkpoint:
            return go_on(self._command)
        # Without a checkpoint, "auto" would forget the one that the user named.
        return go_on(self._command) if self._begun() and self.place().checkpoint else self._command

    def next_start(self) -> str:
        """Where the next attempt begins, in words, for the end of a sentence; empty: where the command says."""
        if not self._begun():
            return ""
        saved = self.place().checkpoint
        return f", from the checkpoint of step {saved:,}" if saved else ", from the start: there is no checkpoint yet"

    def has_progressed(self) -> bool:
        """Whether a checkpoint was written since this object was made."""
        path, saved = self._path(), self.place().checkpoint
        if path is None or not saved:
            return False
        identity = _identity(path / CHECKPOINTS / step_name(saved))
        return identity is not None and identity[1] / 1e9 > self._made_s - CLOCK_S

    def _begun(self) -> bool:
        """Whether an attempt has begun to train.

        The config is the last file that a training writes before its first step: until then the directory may hold what
        the user wants set aside.
        """
        path = self._path()
        return path is not None and _identity(path / CONFIG) != self._configs_before.get(path)

    def check_job(self, job: Job) -> None:
        """Compare the job with what its file says now, before the next attempt.

        Raises:
            ConfigError: it would be another training, in another directory.
        """
        before, now = to_settings(self._job), to_settings(job)
        changed = [key for key in KEYS if KEYS[key].governs is Governs.RESULT and before[key] != now[key]]
        if changed:
            what = "; ".join(f"{key} is {now[key]}, it was {before[key]}" for key in changed)
            ways = (
                f"; go on with it: train --resume {path}" if (path := self._path()) and self.place().checkpoint else ""
            )
            raise ConfigError(f"the job has changed since the training began, which is not restarted: {what}{ways}")

    def finished(self, code: int) -> bool:
        """Whether an attempt that ended with this exit code has completed the training, or found it complete."""
        path = self._path()
        if path is None or not is_complete(path):
            return False
        return code == 0 or _identity(path / SUMMARY) != self._summaries_before.get(path)

    def place(self) -> Place:
        """How far the training got."""
        steps: list[int] = []
        if (path := self._path()) is None:
            return Place(0, 0)
        with contextlib.suppress(CheckpointError):
            steps = steps_in(path / CHECKPOINTS)
        return Place(max(last_step(path / METRICS), *steps, 0), max(steps, default=0))

    def _path(self) -> Path | None:
        """The run directory; None: no attempt has chosen one yet."""
        if self._named:
            return self._first
        taken = [path for path in existing(self._first) if owner(path).attempt.startswith(self._name)]
        return max(taken, key=lambda path: (_identity(path / LOCK) or (0, 0))[1], default=None)

    def _identities(self, file: str) -> dict[Path, tuple[int, int]]:
        seen = {path: _identity(path / file) for path in existing(self._first)}
        return {path: identity for path, identity in seen.items() if identity is not None}


def is_complete(path: Path) -> bool:
    """Whether the summary in a run directory says that its training is complete."""
    return _summary(path).get("status") in COMPLETE


def _summary(path: Path) -> dict[str, Any]:
    try:
        # List the directory first: that makes a network file system look for files that were not there before.
        os.listdir(path)
        summary = json.loads((path / SUMMARY).read_bytes())
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that replaces it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
