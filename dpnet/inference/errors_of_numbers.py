"""Gathers what a regression gives for all samples, for `residuals`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.compute.arrays import Matrix, SampleIds, Targets, Vector
from dpnet.data.sources import Split, require_labels
from dpnet.inference.network import Network
from dpnet.inference.nonfinite import lines_of
from dpnet.inference.residuals import MOST, LargeError, NumberDetails, Numbers, output_scores
from dpnet.inference.tally import gathered
from dpnet.parallel.scores import OfNumbers


class Residuals:
    """Keeps the predictions of a rank.

    Args:
        network: gives them.
        samples: of all ranks.
    """

    def __init__(self, network: Network, samples: Split) -> None:
        assert network.scaling.targets is not None
        self._scaling, self._samples = network.scaling.targets, samples
        self._predictions: list[Numbers] = []
        self._ids: list[SampleIds] = []
        targets = () if network.schema is None else network.schema.targets
        outputs = network.layout.sizes[-1]
        self._names = list(targets) if len(targets) == outputs else [*map(str, range(outputs))]

    def add(self, outputs: Matrix, targets: Targets, weights: Vector | None, ids: SampleIds) -> None:
        """Keep some predictions.

        Args:
            outputs: (rows, outputs), finite; only read.
            targets: not used, as those in the units of the data are at hand.
            weights: likewise.
            ids: (rows,) of the samples.
        """
        self._predictions.append(outputs.astype(np.float64) * self._scaling.units + self._scaling.offset)
        self._ids.append(ids)

    def total(self, group: Group, scorer: OfNumbers, sums: Sequence[float]) -> NumberDetails:
        """The scores of the samples of all ranks, the same on every rank; collective.

        Rank 0 gets the predictions of all samples, 8 bytes for each number.

        Args:
            group: all ranks.
            scorer: of the evaluation.
            sums: its sums.
        """
        width = len(self._names)
        mine = np.concatenate([np.zeros((0, width)), *self._predictions])
        predictions = gathered(mine.reshape(-1), group).reshape(-1, width)
        ids = gathered(np.concatenate([np.zeros(0), *self._ids]), group).astype(np.int64)
        return on_root(group, lambda: self._details(predictions, ids, scorer.of_outputs(sums)))

    def _details(self, predictions: Matrix, ids: SampleIds, scores: tuple[Vector, Vector, Vector]) -> NumberDetails:
        every = self._samples.weights
        weights = np.ones(len(ids)) if every is None else every[ids]
        counts = weights > 0
        predictions, ids, weights = predictions[counts], ids[counts], weights[counts]
        errors = predictions - require_labels(self._samples)[ids]
        outputs = tuple(
            output_scores(name, float(r2), float(rmse), float(mae), errors[:, place], weights)
            for place, (name, r2, rmse, mae) in enumerate(zip(self._names, *scores, strict=True))
        )
        return NumberDetails(outputs, tuple(self._largest(predictions, errors, ids)), every is not None)

    def _largest(self, predictions: Matrix, errors: Matrix, ids: SampleIds) -> list[LargeError]:
        sizes = np.abs(errors / self._scaling.units)
        rows = np.argsort(-sizes.max(axis=1), kind="stable")[:MOST]
        targets, found = require_labels(self._samples), []
        for row in rows.tolist():
            place, sample = int(sizes[row].argmax()), int(ids[row])
            lines = lines_of(self._samples, [sample])
            name = str(self._samples.names[sample]) if self._samples.names is not None else "".join(lines)
            number = int(self._samples.in_file(sample, sample + 1)[0])
            values = float(targets[sample, place]), float(predictions[row, place])
            found.append(LargeError(number, name, self._names[place], *values))
        return found
