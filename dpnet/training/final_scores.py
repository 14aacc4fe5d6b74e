"""The test scores at the end of a training that was watched with validation data: of its last and its best parameters.

The test data have chosen nothing until then, so these are the scores to expect of other samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dpnet import whereabouts
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.tensors import parameters
from dpnet.comm.agree import on_root
from dpnet.compute.arrays import Vector
from dpnet.errors import CheckpointError
from dpnet.nn.layout import Views
from dpnet.output.run_directory import RunDirectory
from dpnet.parallel.evaluate import Evaluator
from dpnet.parallel.scores import Scores
from dpnet.resilience import nonfinite
from dpnet.training.parts import Parts
from dpnet.training.progress import Progress
from dpnet.training.setup import Setup
from dpnet.whereabouts import HERE


@dataclass(frozen=True)
class FinalScores:
    """The test scores at the end; None where there are none.

    Attributes:
        last: of the last parameters.
        best: of those with the best validation scores; None also if their checkpoint was not kept, or is damaged.
    """

    last: Scores | None = None
    best: Scores | None = None


NOT_TESTED = FinalScores()


def final_scores(
    setup: Setup, parts: Parts, run_dir: RunDirectory, progress: Progress, tell: Callable[[str], None]
) -> FinalScores:
    """Compute the test scores of a training that is complete; collective.

    Args:
        setup: of the training.
        parts: of the training.
        run_dir: with its checkpoints, all of which are on the disk.
        progress: at its end.
        tell: is called on rank 0 with a sentence if the best checkpoint is damaged.

    Raises:
        DivergenceError: a loss is not finite.
    """
    if parts.tester is None:
        return NOT_TESTED
    HERE.enter(whereabouts.EVALUATION)
    with np.errstate(over="ignore", invalid="ignore"):
        last = _scores(parts.tester, parts.state.layers, setup, progress)
        if progress.best_step == progress.step:
            return FinalScores(last, last)
        params = on_root(setup.group, lambda: _best_parameters(setup, parts, run_dir, progress.best_step, tell))
        if params is None:
            return FinalScores(last)
        return FinalScores(last, _scores(parts.tester, parts.layout.views(params), setup, progress))


def _scores(tester: Evaluator, params: Views, setup: Setup, progress: Progress) -> Scores:
    scores = tester(params)
    if not math.isfinite(scores.loss):
        rate = setup.job.optimizer.learning_rate
        raise nonfinite.error("the test loss", step=progress.step, skipped_in_a_row=0, learning_rate=rate)
    return scores


def _best_parameters(
    setup: Setup, parts: Parts, run_dir: RunDirectory, step: int, tell: Callable[[str], None]
) -> Vector | None:
    if step not in run_dir.checkpoints.steps():
        return None
    try:
        found = checkpoint.read(run_dir.checkpoints.path / checkpoint.step_name(step))
        return parameters(found, parts.layout, setup.job.model.dtype)
    except CheckpointError as error:
        tell(f"note: the best checkpoint has no test scores: {error}")
        return None
