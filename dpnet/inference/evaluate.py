"""Exact scores of a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dpnet.comm.agree import everywhere
from dpnet.comm.group import World
from dpnet.compute.arrays import SampleIds
from dpnet.data.sources import require_labels
from dpnet.data.split import UnknownLabels
from dpnet.errors import DataError
from dpnet.inference.network import Network, check_call, open_samples, prepared
from dpnet.inference.nonfinite import SHOWN, refusal, unanswered
from dpnet.nn.layout import Views
from dpnet.parallel.evaluate import Evaluator, Scores
from dpnet.parallel.replica import Replica


@dataclass(frozen=True)
class Evaluation(Scores):
    """Scores of a trained network; `samples` counts those that have entered the scores.

    Attributes:
        left_out: number of samples that were left out, as an input or an output is not finite.
        left_out_rows: the first of them, by number from 0.
        unknown: number of samples that were left out, as their label is none of the network's classes.
    """

    left_out: int = 0
    left_out_rows: tuple[int, ...] = ()
    unknown: int = 0


def evaluate(
    network: Network,
    source: str,
    group: World,
    *,
    split: str = "test",
    batch_size: int = 512,
    nonfinite: Literal["raise", "skip"] = "raise",
    unknown_labels: UnknownLabels | None = None,
) -> Evaluation:
    """Compute exact scores of a network; collective.

    Args:
        network: the network; it is not changed.
        source: of the samples, which must have labels: see `dpnet.data.sources`.
        group: all ranks share the samples.
        split: "test" or "train".
        batch_size: samples computed at once.
        nonfinite: what follows from a sample with an input or an output that is not finite. "raise": an error that
            names it. "skip": it is left out of the scores, and counted.
        unknown_labels: what follows from a label that is none of the network's classes. "error": an error. "ignore":
            the sample is left out of the scores, and counted. None: what the training's job says.

    Raises:
        ConfigError: ranks were given different arguments.
        DataError: the samples cannot be used.
    """
    unknown = unknown_labels or network.job.data.unknown_labels
    check_call(group, "evaluate", source, split, batch_size, nonfinite, unknown_labels=unknown)
    samples = open_samples(network, source, split, group, unknown=unknown)
    everywhere(group, lambda: require_labels(samples))
    rows = min(batch_size, len(samples))
    with prepared(network, group) as setup:
        evaluator = _Evaluator(group, setup.replica(samples, rows), rows, stops=nonfinite == "raise")
        loss, hits = evaluator.sums(network.params)
        counts, first = zip(*group.allgather((evaluator.left_out, evaluator.rows)), strict=True)
    left_out, first_rows = sum(counts), [row for rows in first for row in rows]
    if left_out and nonfinite == "raise":
        # Ranks have adjacent samples, so this is the first of all.
        raise refusal(network, samples, first_rows[0], "--nonfinite=skip leaves such rows out", agreed=True)
    if left_out == evaluator.samples:
        raise DataError(f"{samples.inputs_file}: no row is left to compute scores of; all are not finite", agreed=True)
    num = evaluator.samples - left_out
    num_unknown = len(samples) - evaluator.samples
    return Evaluation(loss / num, hits / num, num, left_out, tuple(first_rows[:SHOWN]), num_unknown)


class _Evaluator(Evaluator):
    """Leaves out samples with an input or an output that is not finite.

    Args:
        group: see Evaluator.
        replica: see Evaluator.
        batch_size: see Evaluator.
        stops: nothing more is computed after the first such sample: there will be no scores.

    Attributes:
        left_out: such samples of this rank.
        rows: the first of them.
    """

    def __init__(self, group: World, replica: Replica, batch_size: int, *, stops: bool) -> None:
        super().__init__(group, replica, batch_size=batch_size)
        self._stops = stops
        self.left_out = 0
        self.rows: Sequence[int] = ()

    def score(self, ids: SampleIds, params: Views) -> tuple[float, int]:
        """See Evaluator.score."""
        if self._stops and self.left_out:
            return 0.0, 0
        x, labels = self._data.gather(ids)
        logits = self._network.forward(x, params)
        bad = unanswered(x, logits)
        if bad is None:
            return self._loss(logits, labels, 1.0)
        self.left_out += int(bad.sum())
        self.rows = [*self.rows, *ids[bad].tolist()][:SHOWN]
        return self._loss(logits[~bad], labels[~bad], 1.0)
