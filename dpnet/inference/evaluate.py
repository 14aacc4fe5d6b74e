"""Exact scores of a trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dpnet.comm.agree import everywhere
from dpnet.comm.connect import connect
from dpnet.comm.group import World
from dpnet.compute.arrays import SampleIds
from dpnet.config.model import Task
from dpnet.data.sources import require_labels
from dpnet.data.split import UnknownLabels
from dpnet.errors import ConfigError, DataError
from dpnet.inference.details import Details, LabelDetails
from dpnet.inference.errors_of_numbers import Residuals
from dpnet.inference.network import Network, check_call, prepared
from dpnet.inference.nonfinite import SHOWN, lines_of, refusal, unanswered
from dpnet.inference.residuals import NumberDetails
from dpnet.inference.samples import open_samples
from dpnet.inference.tally import Tally
from dpnet.nn.layout import Views
from dpnet.parallel.evaluate import Evaluator
from dpnet.parallel.label_scores import counts_of
from dpnet.parallel.replica import Replica
from dpnet.parallel.scores import OfNumbers, Scores
from dpnet.text import words

AnyDetails = Details | LabelDetails | NumberDetails


@dataclass(frozen=True)
class Evaluation(Scores):
    """Scores of a trained network; `samples` counts those that have entered the scores.

    Attributes:
        left_out: number of samples that were left out, as an input or an output is not finite.
        left_out_rows: the first of them, by number from 0.
        left_out_lines: the lines that these are in a file of text, "line 6"; empty: they are none.
        unknown: number of samples that were left out, as their label is none of the network's classes.
        details: scores of every class, label or output, and more, of the same samples; None: they were not asked for.
        weighted: the samples have weights, which enter all scores.
    """

    left_out: int = 0
    left_out_rows: tuple[int, ...] = ()
    left_out_lines: tuple[str, ...] = field(default=(), compare=False)
    unknown: int = 0
    details: AnyDetails | None = None
    weighted: bool = False


def evaluate(
    network: Network,
    source: Any = None,
    group: World | None = None,
    *,
    split: str | None = None,
    batch_size: int | None = None,
    nonfinite: Literal["raise", "skip"] = "raise",
    unknown_labels: UnknownLabels | None = None,
    details: bool = False,
    top_k: int | None = None,
) -> Evaluation:
    """Compute exact scores of a network; collective.

    Args:
        network: the network; it is not changed.
        source: of the samples, which must have labels: see `dpnet.data.sources`. None: that of the training. Or data
            in memory, as `dpnet.train` takes them; each rank gives the same.
        group: all ranks share the samples; found from the launcher's environment if not given.
        split: "test", "train" or "validation": of the training's own source these are the samples that the training had
            as such. None: "test", and of other data without named splits all samples.
        batch_size: samples computed at once; None: as in the training, which gives the bits of its scores.
        nonfinite: what follows from a sample with an input or an output that is not finite. "raise": an error that
            names it. "skip": it is left out of the scores, and counted.
        unknown_labels: what follows from a label that is none of the network's classes. "error": an error. "ignore":
            the sample is left out of the scores, and counted. None: what the training's job says.
        details: compute more scores: of every class, and the confusion matrix, see Details; of every label where a
            sample may have several, see LabelDetails; of a regression see NumberDetails. All are weighted where the
            samples are.
        top_k: the k of the top-k accuracy among them; None: 5, where there are more classes than that.

    Raises:
        ConfigError: ranks were given different arguments, or there is no top-k accuracy for this `top_k`.
        DataError: the samples cannot be used.
    """
    task, group = network.job.model.task, connect() if group is None else group
    _refuse_of_others(task, {"unknown-labels": unknown_labels, "details": details, "top-k": top_k})
    unknown = unknown_labels or network.job.data.unknown_labels
    batch_size = batch_size or network.job.evaluate.batch_size
    more = {"unknown_labels": unknown, "details": str(details), "top_k": str(top_k)}
    check_call(group, "evaluate", source, split, batch_size, nonfinite, **more)
    tally = _tally(network, details=details, top_k=top_k) if task == "classification" else None
    samples = open_samples(
        network, source, split, group, unknown=unknown, gaps="apply" if nonfinite == "raise" else "nan"
    )
    everywhere(group, lambda: require_labels(samples))
    rows = min(batch_size, len(samples))
    kept = Residuals(network, samples) if details and task == "regression" else tally
    if tally is not None and samples.weights is not None:
        tally.weigh(float(samples.weights.max()))
    with prepared(network, group) as setup:
        evaluator = _Evaluator(group, setup.replica(samples, rows), rows, kept, stops=nonfinite == "raise")
        sums = evaluator.sums(network.params)
        counts, first = zip(*group.allgather((evaluator.left_out, evaluator.rows)), strict=True)
    left_out, first_rows = sum(counts), [row for rows in first for row in rows]
    in_file = tuple(int(samples.in_file(row, row + 1)[0]) for row in first_rows[:SHOWN])
    if left_out and nonfinite == "raise":
        # Ranks have adjacent samples, so this is the first of all.
        raise refusal(network, samples, first_rows[0], "--nonfinite=skip leaves such rows out", agreed=True)
    if left_out == evaluator.samples:
        raise DataError(f"{samples.inputs_file}: no row is left to compute scores of; all are not finite", agreed=True)
    if not sums[0]:
        raise DataError(f"{samples.inputs_file}: the rows that are left have the weight 0 together", agreed=True)
    num, lines = evaluator.samples - left_out, lines_of(samples, first_rows[:SHOWN])
    num_unknown = len(samples) - evaluator.samples
    scores = evaluator.scorer.scores(sums, num)
    weighted = samples.weights is not None
    found = _found(kept, evaluator, sums, scores, group)
    if details and task == "multilabel":
        found = LabelDetails(network.classes, counts_of(sums, weighted=weighted), weighted)
    left = {"left_out": left_out, "left_out_rows": in_file, "left_out_lines": lines, "unknown": num_unknown}
    return Evaluation(**vars(scores), **left, details=found, weighted=weighted)


GIVES = {"regression": "numbers (a regression)", "multilabel": "several labels for each sample (multilabel)"}
"""What networks give that have no classes."""
NOT_FOR = {"regression": ("unknown-labels", "top-k"), "multilabel": ("top-k",)}
"""Options that these tasks do not have."""


def _refuse_of_others(task: Task, options: Mapping[str, Any]) -> None:
    """Raises ConfigError if something is asked for that only other tasks have."""
    given = [f"--{name}" for name, value in options.items() if value and name in NOT_FOR.get(task, ())]
    if given:
        are = "is" if len(given) == 1 else "are"
        raise ConfigError(
            f"{words(given, 'and')} {are} for classes, and this network gives {GIVES[task]}; leave it out", agreed=True
        )


def _tally(network: Network, *, details: bool, top_k: int | None) -> Tally | None:
    if details:
        return Tally(network.classes, top_k)
    if top_k is not None:
        raise ConfigError(f"top-k is {top_k}, which has no effect without details; give --details as well", agreed=True)
    return None


def _found(
    kept: Tally | Residuals | None, evaluator: Evaluator, sums: Sequence[float], scores: Scores, group: World
) -> AnyDetails | None:
    """The details that were counted or kept, if any were; collective."""
    if isinstance(kept, Residuals):
        assert isinstance(evaluator.scorer, OfNumbers)
        return kept.total(group, evaluator.scorer, sums)
    return None if kept is None else kept.total(group, scores.loss)


class _Evaluator(Evaluator):
    """Leaves out samples with an input or an output that is not finite.

    Args:
        group: see Evaluator.
        replica: see Evaluator.
        batch_size: see Evaluator.
        kept: counts the samples that are not left out, or keeps what is predicted for them; None: no details.
        stops: nothing more is computed after the first such sample: there will be no scores.

    Attributes:
        left_out: such samples of this rank.
        rows: the first of them.
    """

    def __init__(
        self, group: World, replica: Replica, batch_size: int, kept: Tally | Residuals | None, *, stops: bool
    ) -> None:
        super().__init__(group, replica, batch_size=batch_size)
        self._kept, self._stops = kept, stops
        self.left_out = 0
        self.rows: Sequence[int] = ()

    def score(self, ids: SampleIds, params: Views) -> Sequence[float]:
        """See Evaluator.score."""
        if self._stops and self.left_out:
            return [0.0] * self.scorer.num_sums
        x, targets = self._data.gather(ids)
        outputs = self._network.forward(x, params)
        bad = unanswered(x, outputs)
        if bad is not None:
            self.left_out += int(bad.sum())
            self.rows = [*self.rows, *ids[bad].tolist()][:SHOWN]
            ids, outputs, targets = ids[~bad], outputs[~bad], targets[~bad]
        if self._kept is not None:  # Before the loss, which overwrites the outputs.
            weights = None if self._data.weights is None else self._data.weights[ids]
            self._kept.add(outputs, targets, weights, ids)
        return self.score_outputs(ids, outputs, targets)
