"""How far a training is and how well it does: what must survive a restart besides parameters and optimizer.

Every rank keeps the same numbers (except the seconds, which only rank 0 reports), so all ranks decide alike without
communication.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dpnet.config.job import EvaluateConfig
from dpnet.errors import CheckpointError
from dpnet.parallel.scores import MEASURES, SMALLER_IS_BETTER, Scores
from dpnet.parallel.step_sums import Sums
from dpnet.text import shorten

_JSON_TYPES = {
    "int": ("int",),
    "float": ("float", "int"),
    "int | None": ("int", "NoneType"),
    "float | None": ("float", "int", "NoneType"),
}

_LEAST = {
    "eval_step": -1,
    "best_step": -1,
    "bad_step": -1,
    "best_value": -sys.float_info.max,
    "reference_value": -sys.float_info.max,
    "eval_r2": -sys.float_info.max,
    "best_r2": -sys.float_info.max,
}
"""Least values of the numbers that may be below 0."""
_OF_CLASSES = ("accuracy", "loss")
_OF_OTHERS = tuple(f"{which}_{name}" for which in ("eval", "best") for name in MEASURES if name not in _OF_CLASSES)
"""Measures that checkpoints of classifiers lack."""
_LATER = ("best_loss", "best_accuracy", "reference_value")
"""Numbers that checkpoints of earlier versions of dpnet lack."""


@dataclass
class Progress:
    """Position and scores of a training.

    Attributes:
        step: steps taken.
        seconds: time spent on training, over all restarts.
        samples, weight, loss, hits: sums over the steps since the last row of the learning curve, see `Sums`.
        eval_step: step of the last evaluation; -1 before the first.
        eval_loss, eval_accuracy, ..., eval_samples: its scores, by MEASURES; None for a measure that the task does not
            have.
        best_step: step of the best evaluation; -1 before the first, and where only test data are evaluated.
        best_value: its score in the metric of `evaluate.metric`, made such that larger is better.
        best_loss, best_accuracy, ...: its scores; None also for one that an earlier dpnet did not record.
        reference_value: the last score that counted as an improvement: one above the reference before it by more than
            `evaluate.min_delta`. So progress in small steps counts as soon as it adds up to that.
        evaluations_waited: evaluations since then.
        skipped: steps that were left out, or taken back, because a number was not finite.
        skipped_in_a_row: how many of these since the last good step beyond `bad_step`. Good steps up to `bad_step`,
            taken again after a rollback, do not reset it.
        bad_step: the last skipped step; -1: there was none.
        learning_rate_scale: factor on the learning rate, from rollbacks.
        ranks_lost: ranks lost, over all restarts.
    """

    step: int = 0
    seconds: float = 0.0
    samples: int = 0
    weight: float = 0.0
    loss: float = 0.0
    hits: float = 0.0
    eval_step: int = -1
    eval_loss: float | None = None
    eval_accuracy: float | None = None
    eval_samples: int | None = None
    best_step: int = -1
    best_value: float | None = None
    best_loss: float | None = None
    best_accuracy: float | None = None
    reference_value: float | None = None
    evaluations_waited: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    bad_step: int = -1
    learning_rate_scale: float = 1.0
    ranks_lost: int = 0
    eval_r2: float | None = None
    eval_rmse: float | None = None
    eval_mae: float | None = None
    best_r2: float | None = None
    best_rmse: float | None = None
    best_mae: float | None = None
    eval_micro_f1: float | None = None
    eval_macro_f1: float | None = None
    eval_subset_accuracy: float | None = None
    best_micro_f1: float | None = None
    best_macro_f1: float | None = None
    best_subset_accuracy: float | None = None

    def __copy__(self) -> Progress:
        """A copy, as is made after every step: several times as fast as copy.copy would make it."""
        made = Progress.__new__(Progress)
        made.__dict__.update(self.__dict__)
        return made

    def add_step(self, sums: Sums | None) -> None:
        """Count a step, and add the sums; those of several steps may come with the last one, and None before."""
        self.step += 1
        if sums is None:
            return
        if sums.bad:
            self.skipped, self.skipped_in_a_row = self.skipped + 1, self.skipped_in_a_row + 1
            self.bad_step = self.step
            return
        if self.step > self.bad_step:
            self.skipped_in_a_row = 0
        self.samples += sums.samples
        self.weight += sums.weight
        self.loss += sums.loss
        self.hits += sums.hits

    def clear_sums(self) -> None:
        """Begin a new row of the learning curve."""
        self.samples, self.weight, self.loss, self.hits = 0, 0.0, 0.0, 0.0

    def add_evaluation(self, scores: Scores) -> None:
        """Record the scores of the current step."""
        self.eval_step, self.eval_samples = self.step, scores.samples
        self._record("eval", scores)

    def choose(self, scores: Scores, how: EvaluateConfig) -> bool:
        """Compare the scores of the current step, which are of validation data, with those before.

        Returns:
            whether they are the best so far.
        """
        value = scores.measures[how.metric] * (-1 if how.metric in SMALLER_IS_BETTER else 1)
        if self.reference_value is None or value > self.reference_value + how.min_delta:
            self.reference_value, self.evaluations_waited = value, 0
        else:
            self.evaluations_waited += 1
        is_best = self.best_value is None or value > self.best_value
        if is_best:
            self.best_step, self.best_value = self.step, value
            self._record("best", scores)
        return is_best

    def _record(self, which: str, scores: Scores) -> None:
        for name in MEASURES:
            setattr(self, f"{which}_{name}", getattr(scores, name))

    def measures(self, which: str, names: Iterable[str]) -> dict[str, float | None]:
        """Measures of the last evaluation, "eval", or of the best one, "best", by name."""
        return {name: getattr(self, f"{which}_{name}") for name in names}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Progress:
        """The progress in the manifest of a checkpoint, of this dpnet or an earlier one.

        Raises:
            CheckpointError: a number is missing, unknown, or of another type.
        """
        names = {field.name: str(field.type) for field in fields(cls)}
        is_earlier = not any(name in kept for name in _LATER)
        kept = {**dict.fromkeys(_OF_OTHERS), **kept}
        if is_earlier:
            kept = {**kept, **dict.fromkeys(_LATER), "reference_value": kept.get("best_value")}
        if "samples" in kept and "weight" not in kept:
            kept = {**kept, "weight": kept["samples"]}  # Earlier versions of dpnet know no weights.
        wrong = [name for name, kind in names.items() if type(kept.get(name, "")).__name__ not in _JSON_TYPES[kind]]
        wrong += [name for name in kept if name not in names]
        if wrong:
            raise CheckpointError(
                f"progress in the checkpoint's manifest has another {shorten(', '.join(wrong))} than this dpnet knows"
            )
        for name, value in kept.items():
            least = _LEAST.get(name, 0)
            if value is not None and not least <= value <= sys.float_info.max:
                seen = "a huge integer" if isinstance(value, int) and value.bit_length() > 63 else value
                raise CheckpointError(
                    f"{name} of progress in the checkpoint's manifest is {seen}; "
                    f"expected a finite number, at least {least:g}"
                )
        progress = cls(**kept)
        scores, loss = (progress.eval_loss, progress.eval_samples), progress.eval_loss
        of_task = [value for value in progress.measures("eval", MEASURES).values() if value is not None]
        if progress.eval_step >= 0 and (None in scores or of_task == [loss]):
            raise CheckpointError(f"the checkpoint lacks the scores of its evaluation at step {progress.eval_step}")
        if is_earlier and 0 <= progress.best_step == progress.eval_step:
            progress.best_loss, progress.best_accuracy = progress.eval_loss, progress.eval_accuracy
        return progress

    def forget_best(self) -> None:
        """Forget the best evaluation so far: it was chosen by another metric, or by test data."""
        self.best_step, self.evaluations_waited = -1, 0
        self.best_value = self.reference_value = None
        for name in MEASURES:
            setattr(self, f"best_{name}", None)

    def complete_best(self, metric: str) -> None:
        """Fill in the best score that follows from `best_value`, where an earlier dpnet has not recorded it."""
        if self.best_value is not None and metric == "accuracy" and self.best_accuracy is None:
            self.best_accuracy = self.best_value
        if self.best_value is not None and metric == "loss" and self.best_loss is None:
            self.best_loss = -self.best_value

    def take_over_skips(self, other: Progress, factor: float) -> None:
        """Roll back to this progress from a later one; multiplies the learning rate by `factor`."""
        self.skipped, self.skipped_in_a_row, self.bad_step = other.skipped, other.skipped_in_a_row, other.bad_step
        self.learning_rate_scale = other.learning_rate_scale * factor
        self.ranks_lost, self.seconds = other.ranks_lost, other.seconds

    def to_dict(self) -> dict[str, Any]:
        """The progress as the manifest of a checkpoint holds it; without measures that its task does not have."""
        return {name: value for name, value in asdict(self).items() if value is not None or name not in _OF_OTHERS}
