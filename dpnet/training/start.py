"""Where a training starts: at step 0, or from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import resolve
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import check_fits, choose, numerics_notes
from dpnet.checkpoint.tensors import state_vectors
from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.config.job import Job
from dpnet.data.scaling import Scaling
from dpnet.errors import CheckpointError
from dpnet.nn.layout import Layout
from dpnet.output.run_directory import RunDirectory
from dpnet.output.screen import current
from dpnet.state.banks import StateVectors
from dpnet.training.build import build_optimizer
from dpnet.training.prepare import TrainingData, build_layout
from dpnet.training.progress import Progress

ENDING_S = 2.0
"""Seconds to wait for another training in the run directory to end."""


@dataclass(frozen=True)
class StartingPoint:
    """Where a training starts.

    Attributes:
        progress: how far it is already.
        vectors: parameters and optimizer vectors; None: initialise them.
        scaling: of the input; None: measure the training data.
        is_own: whether the checkpoint, if any, belongs to this run. False: all that is in the run directory is set
            aside.
    """

    progress: Progress
    vectors: StateVectors | None = None
    scaling: Scaling | None = None
    is_own: bool = True


def choose_start(
    job: Job, group: Group, run_dir: RunDirectory, resume: str, data: TrainingData, numerics: Mapping[str, Any]
) -> StartingPoint:
    """Where a training starts; rank 0 decides, and every rank gets the same. Collective.

    Args:
        job: the configuration.
        group: all ranks.
        run_dir: of the training, which has it from now on.
        resume: see `run.train`.
        data: of the training.
        numerics: of this process, see `compute.fingerprint`.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or does not fit the job.
        OutputError: another training has the run directory.
    """

    def find() -> tuple[Checkpoint | None, bool]:
        run_dir.lock(wait_s=ENDING_S)
        found = choose(resume, run_dir.checkpoints.path, current().say)
        if found is not None:
            notes = check_fits(found, job, data.identity, data.source)
            notes += numerics_notes(
                found, numerics, reproducible=bool(job.train.reproducible_shards), world_size=group.world_size
            )
            for note in notes:
                current().say(f"note: {note}")
        # A new training belongs to its run.
        return found, resume in ("auto", "never") or run_dir.holds(resolve(Path(resume)))

    found, is_own = on_root(group, find)
    if found is None:
        return StartingPoint(Progress(), is_own=is_own)
    return start_from(found, job, build_layout(job, data.source), group, is_own=is_own)


def start_from(found: Checkpoint, job: Job, layout: Layout, group: Group, *, is_own: bool) -> StartingPoint:
    """The starting point in a checkpoint; collective.

    Raises:
        CheckpointError: the checkpoint does not hold what this training needs.
    """

    def unpack() -> StartingPoint:
        vectors = state_vectors(found, layout, build_optimizer(job).slots, job.model.dtype)
        scaling = Scaling.from_tensors(found.scaling)
        return StartingPoint(_progress(found, job), StateVectors(*vectors, found.step), scaling, is_own)

    return everywhere(group, unpack)


def _progress(found: Checkpoint, job: Job) -> Progress:
    progress = Progress.from_dict(found.manifest["progress"])
    if progress.step != found.step:
        raise CheckpointError(f"the checkpoint is of step {found.step}, but its progress of step {progress.step}")
    if found.manifest["config"].get("evaluate", {}).get("metric") != job.evaluate.metric:
        progress.forget_best()
    return progress
