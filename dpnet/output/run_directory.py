"""The run directory: everything that a training leaves behind.

    config.toml     the resolved configuration
    metrics.jsonl   one JSON object a line: the learning curve
    summary.json    written last, when the training is complete
    checkpoints/
    previous-1/     what an earlier training left here, set aside and never deleted
    .lock           who has the directory, and for which job: see `lock`

Only rank 0 touches it.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import CheckpointFolder, steps_in
from dpnet.errors import OutputError
from dpnet.files import write_atomically, writing
from dpnet.output.lock import Lock, owner

CONFIG, METRICS, SUMMARY, CHECKPOINTS = "config.toml", "metrics.jsonl", "summary.json", "checkpoints"


class RunDirectory:
    """The run directory of one job.

    Args:
        path: of the directory.
        keep_last: checkpoints kept, see CheckpointFolder.
        job: a name for the job, by which another start of it finds the directory.

    Attributes:
        access: the lock of the directory.
    """

    def __init__(self, path: Path, *, keep_last: int, job: str = "") -> None:
        self.path = path
        self.checkpoints = CheckpointFolder(path / CHECKPOINTS, keep_last=keep_last)
        self.access = Lock(path)
        self._job = job

    @property
    def metrics_path(self) -> Path:
        """Path of the learning curve."""
        return self.path / METRICS

    @property
    def lock_descriptor(self) -> int | None:
        """Descriptor of the lock, while this process has it.

        A process that inherits it holds the lock as well: the writer that still writes the last checkpoint of a
        training that was killed, for example.
        """
        return self.access.descriptor

    @property
    def config_path(self) -> Path:
        """Path of the configuration."""
        return self.path / CONFIG

    def lock(self, *, wait_s: float) -> None:
        """Take the directory for this training, until `unlock` or the end of the process.

        Args:
            wait_s: seconds to wait for a training that has the directory and may be about to end.

        Raises:
            OutputError: another training has the directory.
        """
        if not self.access.take(wait_s=wait_s):
            raise at_work(self.path)
        self.sign()

    def sign(self) -> None:
        """Leave word of who has the directory, and for which job."""
        self.access.sign(self._job)

    def unlock(self) -> None:
        """Release the directory for other trainings."""
        self.access.release()

    def prepare(self, config_toml: str, *, step: int) -> None:
        """Make the directory ready for a training that goes on after step `step` of the one that is here; 0: a new one.

        Checkpoints of later steps are set aside, as this training does not go on from them. If it starts at 0, all else
        that a training left here is set aside too; else its summary, and copies of its curve and configuration.

        Raises:
            OutputError: the directory cannot be written.
        """
        advice = "; choose another with --output DIR"
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"the run directory {self.path} is a file{advice}")
        if self.path.is_symlink() and not self.path.exists():
            target = os.readlink(self.path)
            raise OutputError(f"the run directory {self.path} is a link to {target}, which does not exist{advice}")
        with writing(f"the run directory {self.path}", advice):
            self.path.mkdir(parents=True, exist_ok=True)
            self.checkpoints.clean()
            self._set_aside(step)
            write_atomically(self.config_path, config_toml, synced=False)  # The first checkpoint syncs it.

    def holds(self, directory: Path) -> bool:
        """Whether a checkpoint directory belongs to this run."""
        return holds(self.path, directory)

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


def holds(path: Path, checkpoint_path: Path) -> bool:
    """Whether a checkpoint directory belongs to the run in the directory `path`."""
    return checkpoint_path.resolve().parent == (path / CHECKPOINTS).resolve()


def at_work(path: Path) -> OutputError:
    """The error of a training whose directory another one has."""
    return OutputError(
        f"another training is at work in {path} (process {owner(path).process}); wait for its end, or choose another "
        "directory with --output DIR"
    )
