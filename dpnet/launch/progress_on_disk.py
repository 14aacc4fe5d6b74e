"""How far a training got, read from its run directory: proof that it is complete, and the place of a failure."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpnet.checkpoint.folder import steps_in
from dpnet.errors import CheckpointError
from dpnet.launch.decide import Place
from dpnet.launch.options import go_on
from dpnet.output.metrics_file import last_step
from dpnet.output.run_directory import CHECKPOINTS, CONFIG, METRICS, SUMMARY

if TYPE_CHECKING:
    from dpnet.config.job import Job

COMPLETE = ("finished", "stopped_early")


class Training:
    """A training, as its run directory shows it.

    Args:
        command: arguments of dpnet, `train` the first.
        job: that these describe.
        begun_ns: start of an attempt that began before this object existed, in nanoseconds of time.time_ns; None: none
            has begun.

    Attributes:
        preempted_exit_code: of a training that a signal ended.
    """

    def __init__(self, command: Sequence[str], job: Job, begun_ns: int | None = None) -> None:
        self._command = list(command)
        self._path = Path(job.output.dir)
        self.preempted_exit_code = job.resilience.preempted_exit_code
        self._config_before = _identity(self._path / CONFIG)
        self._summary_before = _identity(self._path / SUMMARY)
        if self._summary_before is not None and begun_ns is not None and self._summary_before[1] >= begun_ns:
            self._summary_before = None  # That attempt has written this summary.

    def begin_attempt(self) -> list[str]:
        """The command of the next attempt: it resumes what an earlier attempt has begun."""
        self._summary_before = _identity(self._path / SUMMARY)
        # The config is the last file that a training writes before its first step: until then the directory may hold
        # what the user wants set aside. Without a checkpoint, "auto" would forget the one that the user named.
        begun = _identity(self._path / CONFIG) != self._config_before
        return go_on(self._command) if begun and self.place().checkpoint else self._command

    def finished(self, code: int) -> bool:
        """Whether an attempt that ended with this exit code has completed the training, or found it complete."""
        summary = self._summary()
        changed = _identity(self._path / SUMMARY) != self._summary_before
        return summary.get("status") in COMPLETE and (changed or code == 0)

    def place(self) -> Place:
        """How far the training got."""
        steps: list[int] = []
        with contextlib.suppress(CheckpointError):
            steps = steps_in(self._path / CHECKPOINTS)
        return Place(max(last_step(self._path / METRICS), *steps, 0), max(steps, default=0))

    def _summary(self) -> dict[str, Any]:
        try:
            # List the directory first: that makes a network file system look for files that were not there before.
            os.listdir(self._path)
            summary = json.loads((self._path / SUMMARY).read_bytes())
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
