"""Where a training starts: at step 0, or from a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.tensors import state_vectors
from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group
from dpnet.config.job import Job
from dpnet.data.scaling import Scaling
from dpnet.errors import CheckpointError
from dpnet.nn.layout import Layout
from dpnet.state.banks import StateVectors
from dpnet.training.build import build_optimizer
from dpnet.training.progress import Progress


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
