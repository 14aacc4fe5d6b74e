"""The test scores at the end of a training with validation data: of its last and its best parameters.

The test data have chosen nothing until then, so these are the scores to expect of other samples.
"""

from __future__ import annotations

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
from dpnet.training.parts import Parts
from dpnet.training.progress import Progress
from dpnet.training.setup import Setup
from dpnet.whereabouts import HERE


@dataclass(frozen=True)
class FinalScores:
    """The test scores at the end; None where there are none.

    Attributes:
        last: of the last parameters; None also if one is not finite.
        best: of those with the best validation scores; None also if their checkpoint was not kept, or is damaged,
            or one is not finite.
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
        tell: is called with a sentence where there are no scores for a reason that one does not expect.
    """
    if parts.tester is None:
        return NOT_TESTED
    HERE.enter(whereabouts.EVALUATION)
    with np.errstate(over="ignore", invalid="ignore"):
        last = _scores(parts.tester, parts.state.layers, "last", tell)
        if progress.best_step == progress.step:
            return FinalScores(last, last)
        params = on_root(setup.group, lambda: _best_parameters(setup, parts, run_dir, progress.best_step, tell))
        if params is None:
            return FinalScores(last)
        return FinalScores(last, _scores(parts.tester, parts.layout.views(params), "best", tell))


def _scores(tester: Evaluator, params: Views, which: str, tell: Callable[[str], None]) -> Scores | None:
    """The test scores with some parameters. One that is not finite is told: the training itself has succeeded."""
    scores = tester(params)
    if not (bad := scores.not_finite):
        return scores
    tell(
        f"note: the {which} parameters have no test scores: their test {bad} is not finite; `dpnet evaluate` names the "
        "sample"
    )
    return None


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
