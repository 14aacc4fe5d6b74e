"""Steps that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from dpnet.checkpoint.folder import resolve
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.manifest import read_manifest
from dpnet.checkpoint.resume import job_of
from dpnet.cli.parser import overrides
from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.config.file import load, to_dict
from dpnet.config.job import Job
from dpnet.errors import ConfigError
from dpnet.output.run_directory import CHECKPOINTS


def load_job(arguments: argparse.Namespace, group: Group) -> Job:
    """The job that a command line describes, read by rank 0; collective."""
    return on_root(group, lambda: read_job(arguments))


def read_job(arguments: argparse.Namespace) -> Job:
    """The job that a command line describes.

    With `--resume PATH` and without a job file it is the one that wrote the checkpoint, in the directory of its run.

    Raises:
        ConfigError: the job file or a setting is wrong, or asks a run for another task.
        CheckpointError: there is no such checkpoint, or this dpnet does not know its job.
    """
    resumed = getattr(arguments, "resumed", None)
    if arguments.job is not None or resumed is None:
        return load(arguments.job, overrides(arguments))
    path = resolve(Path(resumed))
    base = to_dict(job_of(Checkpoint({}, {}, {}, read_manifest(path / "manifest.json"))))
    _check_task(overrides(arguments), base["model"]["task"])
    # The run may have been moved since it recorded its directory.
    base["output"].pop("dir", None)
    if path.parent.name == CHECKPOINTS:
        base["output"]["dir"] = os.path.relpath(path.parent.parent)
    return load(None, overrides(arguments), base=base)


def _check_task(settings: Sequence[str], task: str) -> None:
    """Raises ConfigError if a setting gives a run another task: what belongs to its own would contradict that."""
    for setting in settings:
        key, _, value = setting.partition("=")
        if key.strip() == "model.task" and value.strip(" \"'") != task:
            raise ConfigError(
                f"model.task is {value} (--set), and that of the run is {task}. A run keeps its task: leave that out, "
                "or train a new one, with a job file."
            )
