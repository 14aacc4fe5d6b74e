"""How far a training got, read from its run directory: the proof that it is complete, and the place of a failure."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import steps_in
from dpnet.cli.parser import make_parser, overrides
from dpnet.config.file import load
from dpnet.errors import CheckpointError, DpnetError
from dpnet.launch.decide import Place
from dpnet.output.metrics_file import last_step
from dpnet.output.run_directory import CHECKPOINTS, CONFIG, METRICS, SUMMARY

COMPLETE = ("finished", "stopped_early")


class Training:
    """The training that a command line describes.

    Args:
        command: arguments of dpnet, `train` the first.
        begun_ns: when an attempt began, by the clock, that this was not there to see; None: none has begun.

    Attributes:
        preempted_exit_code: of a training that a signal ended.

    Raises:
        ConfigError: the job file or a setting is wrong.
        SystemExit: the command line is wrong, or asks for help.
    """

    def __init__(self, command: Sequence[str], begun_ns: int | None = None) -> None:
        arguments = make_parser().parse_args(list(command))
        job = load(arguments.job, overrides(arguments))
        self._command = list(command)
        self._path = Path(job.output.dir)
        self.preempted_exit_code = job.resilience.preempted_exit_code
        self._config_before = _identity(self._path / CONFIG)
        self._summary_before = _identity(self._path / SUMMARY)
        if self._summary_before is not None and begun_ns is not None and self._summary_before[1] >= begun_ns:
            self._summary_before = None  # It is of that attempt.

    def begin_attempt(self) -> list[str]:
        """The command of the next attempt: what an earlier one has begun, it goes on with."""
        self._summary_before = _identity(self._path / SUMMARY)
        # Written last when a training begins: before, the directory may hold what the user wants set aside. Without a
        # checkpoint, "auto" would forget the one that the user named.
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
            # A listing first: it makes a network file system look anew for files that were not there before.
            os.listdir(self._path)
            summary = json.loads((self._path / SUMMARY).read_bytes())
        except (OSError, ValueError):
            return {}
        return summary if isinstance(summary, dict) else {}


def is_complete(command: Sequence[str]) -> bool:
    """Whether there is a summary of a training that has returned 0; also where that cannot be known from here."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return Training(command).finished(0)
    except (DpnetError, SystemExit):
        return True  # It was asked for help, or the job file is on another host.


def go_on(command: Sequence[str]) -> list[str]:
    """The same command, but from the newest checkpoint: the last --resume holds."""
    cut = list(command).index("--") if "--" in command else len(command)
    return [*command[:cut], "--resume", "auto", *command[cut:]]


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that replaces it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
