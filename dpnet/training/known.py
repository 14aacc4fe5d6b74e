"""What is known of a run, or of a checkpoint, without its tensors: the job, how far it is, its data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import steps_in
from dpnet.checkpoint.format import Checkpoint, step_name
from dpnet.checkpoint.manifest import read_manifest
from dpnet.checkpoint.resume import job_of
from dpnet.config.file import load
from dpnet.config.job import Job
from dpnet.errors import CheckpointError, ConfigError
from dpnet.output.run_directory import CHECKPOINTS, CONFIG, SUMMARY
from dpnet.training.fit import Fit, compare, compare_data, other_pretrained
from dpnet.training.prepare import TrainingData


@dataclass(frozen=True)
class Known:
    """What is known of a run that has got to a checkpoint or to its end, or of one of its checkpoints.

    Attributes:
        path: of the directory, for messages.
        job: of the run; None: it cannot be read.
        step: of the newest checkpoint; 0: there is none.
        data: what the checkpoint recorded of the data; None: nothing.
        changes: of the job since step 0, as the checkpoint records them.
        is_finished: the training of the run has come to its end.
        pretrained: what the run began with, as its checkpoint records it, see `Pretrained.record`; None: initial
            parameters.
    """

    path: Path
    job: Job | None
    step: int
    data: Mapping[str, Any] | None = None
    changes: Sequence[str] = ()
    is_finished: bool = False
    pretrained: Any = None

    def fit(self, job: Job, num_samples: int) -> Fit | None:
        """How a job, on so many training samples, compares with that of the run; None: that cannot be read."""
        return None if self.job is None else compare(self.job, job, step=self.step, num_samples=num_samples)

    def other_data(self, data: TrainingData) -> tuple[list[str], str]:
        """A sentence for each array of the data that is not that of the run, and one on what cannot be compared.

        What a training begins with is part of its data.
        """
        wrong, unknown = ([], "") if self.data is None else compare_data(self.data, data.identity, data.source)
        other = other_pretrained(self.pretrained, data.pretrained, run=self.path, goes_on=not self.is_finished)
        return [*other, *wrong], unknown


def known_of(path: Path, manifest: Mapping[str, Any], *, is_finished: bool = False) -> Known:
    """What a manifest tells.

    Args:
        path: of the run or the checkpoint, for messages.
        manifest: of the checkpoint.
        is_finished: see Known.

    Raises:
        CheckpointError: this dpnet does not know such a configuration.
    """
    recorded = manifest.get("changes")
    changes = [str(change) for change in recorded] if isinstance(recorded, list) else []
    found = Checkpoint({}, {}, {}, dict(manifest))
    kept = manifest.get("pretrained")
    return Known(path, job_of(found), found.step, manifest["data"], changes, is_finished, kept)


def known_run(path: Path) -> Known | None:
    """What is known of the run in a directory; None: there is none that has got to a checkpoint or to its end."""
    steps, is_finished = steps_in(path / CHECKPOINTS), os.path.exists(path / SUMMARY)
    for step in reversed(steps):
        with contextlib.suppress(CheckpointError):
            manifest = read_manifest(path / CHECKPOINTS / step_name(step) / "manifest.json")
            return known_of(path, manifest, is_finished=is_finished)
    if not steps and not is_finished:
        return None
    try:
        job = load(path / CONFIG)
        kept = None if job.model.pretrained is None else {"path": job.model.pretrained}
        return Known(path, job, 0, is_finished=is_finished, pretrained=kept)
    except ConfigError:
        return Known(path, None, 0, is_finished=is_finished)


def recorded_pretrained(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run began with, see `Pretrained.record`, as the manifest of a checkpoint has it; None: nothing of use."""
    record = manifest.get("pretrained")
    found = {key: record.get(key) for key in ("path", "digest", "scaling")} if isinstance(record, dict) else {}
    return found if found and all(isinstance(value, str) for value in found.values()) else None
