"""The run directory: everything that a training leaves behind.

    config.toml     the resolved configuration
    metrics.jsonl   one JSON object a line: the learning curve
    summary.json    written last, when the training is complete
    checkpoints/
    previous-1/     what an earlier training left here, set aside and never deleted

Only rank 0 touches it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import CheckpointFolder, steps_in
from dpnet.errors import OutputError
from dpnet.files import write_atomically, writing

CONFIG, METRICS, SUMMARY, CHECKPOINTS = "config.toml", "metrics.jsonl", "summary.json", "checkpoints"
LOCK = ".lock"


class RunDirectory:
    """The run directory of one job.

    Args:
        path: of the directory.
        keep_last: checkpoints kept, see CheckpointFolder.
    """

    def __init__(self, path: Path, *, keep_last: int) -> None:
        self.path = path
        self.checkpoints = CheckpointFolder(path / CHECKPOINTS, keep_last=keep_last)
        self.lock_descriptor: int | None = None

    @property
    def metrics_path(self) -> Path:
        """Path of the learning curve."""
        return self.path / METRICS

    def lock(self, *, wait_s: float) -> None:
        """Take the directory for this training, until `unlock` or the end of the process.

        A process that inherits `lock_descriptor` holds the lock as well: the writer that still writes the last
        checkpoint of a training that was killed, for example.

        Args:
            wait_s: seconds to wait for a training that has the directory and may be about to end.

        Raises:
            OutputError: another training has the directory.
        """
        if self.lock_descriptor is not None:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return  # Nothing can be written here: `prepare` raises.
        if not _lock(descriptor, wait_s):
            owner = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            raise OutputError(
                f"another training is at work in {self.path} ({owner}); wait for its end, or choose another directory "
                "with --output DIR"
            )
        with contextlib.suppress(OSError):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        self.lock_descriptor = descriptor

    def unlock(self) -> None:
        """Release the directory for other trainings."""
        if self.lock_descriptor is not None:
            os.close(self.lock_descriptor)
            self.lock_descriptor = None

    def prepare(self, config_toml: str, *, step: int) -> None:
        """Make the directory ready for a training that goes on after step `step` of the one that is here; 0: a new one.

        Checkpoints of later steps are set aside, as this training does not go on from them. If it starts at 0, all else
        that a training left here is set aside too; else its summary, and copies of its curve and configuration.

        Raises:
            OutputError: the directory cannot be written.
        """
        with writing(f"the run directory {self.path}", "; choose another with --output DIR"):
            self.path.mkdir(parents=True, exist_ok=True)
            self.checkpoints.clean()
            self._set_aside(step)
            write_atomically(self.path / CONFIG, config_toml)

    def holds(self, directory: Path) -> bool:
        """Whether a checkpoint directory belongs to this run."""
        return directory.resolve().parent == self.checkpoints.path.resolve()

    def read_summary(self) -> dict[str, Any] | None:
        """The summary of a completed training; None if there is none."""
        try:
            summary = json.loads((self.path / SUMMARY).read_bytes())
        except (OSError, ValueError):
            return None
        return summary if isinstance(summary, dict) else None

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write the summary.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self.path / SUMMARY):
            write_atomically(self.path / SUMMARY, json.dumps(summary, indent=1) + "\n")

    def _set_aside(self, step: int) -> None:
        later = [CHECKPOINTS + "/" + checkpoint.step_name(s) for s in steps_in(self.checkpoints.path) if s > step]
        # The curve up to `step` stays in use, so it is copied.
        copied, moved = ([METRICS, CONFIG], later) if step else ([], [METRICS, CONFIG, CHECKPOINTS])
        # Nobody misses a run that got neither to a checkpoint nor to its end: it is overwritten.
        if later or (step == 0 and (self.path / SUMMARY).exists()):
            aside = self._new_folder()
            for path in filter(os.path.exists, (self.path / name for name in copied)):
                shutil.copy2(path, aside)
            for path in filter(os.path.exists, (self.path / name for name in (*moved, SUMMARY))):
                path.rename(aside / path.name)
        (self.path / SUMMARY).unlink(missing_ok=True)
        if step == 0:
            (self.path / METRICS).unlink(missing_ok=True)
        self.checkpoints.mend_links()

    def _new_folder(self) -> Path:
        number = 1
        while (self.path / f"previous-{number}").exists():
            number += 1
        folder = self.path / f"previous-{number}"
        folder.mkdir()
        return folder


def _lock(descriptor: int, wait_s: float) -> bool:
    """Whether the lock was taken in time; True also where the file system has no locks."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return True  # A file system without locks.
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
