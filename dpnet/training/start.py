"""Where a training begins: at step 0, or with what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass

from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import state_vectors
from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group
from dpnet.config.job import Job
from dpnet.data.scaling import Scaling
from dpnet.data.sources import DataSource
from dpnet.errors import CheckpointError
from dpnet.state.banks import StateVectors
from dpnet.training.build import build_layout, build_optimizer
from dpnet.training.progress import Progress


@dataclass(frozen=True)
class Begin:
    """Where a training begins.

    Attributes:
        scaling: of the input.
        progress: how far it is already.
        start: parameters and optimizer vectors; None: initialise them.
        is_own: False: it begins from a checkpoint of another run, so all that is in the run directory is set aside.
    """

    scaling: Scaling
    progress: Progress
    start: StateVectors | None
    is_own: bool = True


def begin_from(found: Checkpoint, job: Job, source: DataSource, group: Group, *, is_own: bool) -> Begin:
    """Begin with a checkpoint; called by every rank.

    Raises:
        CheckpointError: it holds something else than this training needs.
    """

    def unpack() -> Begin:
        scaling, progress = Scaling.from_tensors(found.scaling), _progress(found, job)
        layout, slot_names = build_layout(job, source), build_optimizer(job).slots
        vectors = state_vectors(found, layout, slot_names, job.model.dtype)
        return Begin(scaling, progress, StateVectors(*vectors, found.step), is_own)

    return everywhere(group, unpack)


def _progress(found: Checkpoint, job: Job) -> Progress:
    progress = Progress.from_dict(found.manifest["progress"])
    if progress.step != found.step:
        raise CheckpointError(f"the checkpoint is of step {found.step}, but its progress of step {progress.step}")
    if found.manifest["config"].get("evaluate", {}).get("metric") != job.evaluate.metric:
        progress.forget_best()
    return progress
