"""Predictions of a trained network: labels and probabilities of every sample, or numbers, in a file."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.compute.arrays import Matrix, SampleIds
from dpnet.data.split import Split
from dpnet.inference.answers import Answers, answers_of
from dpnet.inference.network import Network, check_call, prepared
from dpnet.inference.nonfinite import SHOWN, OnNonFinite, refusal, unanswered
from dpnet.inference.prediction_file import PredictionFile
from dpnet.inference.samples import open_samples
from dpnet.training.announce import aside
from dpnet.training.setup import Setup


@dataclass(frozen=True)
class Predictions:
    """What was predicted.

    Attributes:
        samples: number of samples in the file.
        nonfinite: number of samples without an answer, as an input or an output is not finite: they are marked in the
            file, or were left out of it.
        nonfinite_rows: the first of them, by number from 0.
    """

    samples: int
    nonfinite: int = 0
    nonfinite_rows: tuple[int, ...] = ()


def predict(
    network: Network,
    source: str | None,
    out: Path,
    group: World,
    *,
    split: str | None = None,
    batch_size: int | None = None,
    nonfinite: OnNonFinite = "raise",
) -> Predictions:
    """Write label and probabilities of every sample, or the numbers of a regression, to a file; collective.

    Args:
        network: the network; it is not changed.
        source: of the samples, see `dpnet.data.sources`; labels are not needed. None: that of the training.
        out: .npy: one record a sample with `label` (int64) and `probabilities` (classes of the network's dtype);
            .csv: the columns label, p0, p1, ... Of a regression `prediction` (float64, in the units of the targets), or
            in .csv prediction0, prediction1, ... for several outputs. Where a sample may have several labels, `labels`
            (int8, 1 for a label that it has, else 0) and `probabilities`; in .csv label0, label1, ..., p0, p1, ... Of
            several columns of a table they are called as these: prediction_x, label_x, p_x. Before them stands the
            column data.id of a table. The file appears when it is complete.
        group: all ranks share the samples.
        split: see `evaluate`.
        batch_size: samples computed at once; None: as in the training.
        nonfinite: what follows from a sample with an input or an output that is not finite. "raise": an error that
            names it. "skip": it is left out of the file. "nan": its label is -1, and all its numbers are NaN.

    Raises:
        ConfigError: ranks were given different arguments.
        DataError: the samples cannot be used.
        OutputError: the file cannot be written.
    """
    batch_size = batch_size or network.job.evaluate.batch_size
    check_call(group, "predict", source, split, batch_size, nonfinite, output=str(out))
    samples = open_samples(network, source, split, group, unknown=None)
    name = None if network.schema is None or samples.names is None else network.schema.id
    answers = answers_of(network)
    if name in answers.names() and out.suffix == ".csv":
        aside(
            group,
            f"note: the column {name!r} of {samples.inputs_file} is called 'id' in {out}, which has another {name!r}",
        )
        name = "id"
    table = PredictionFile(out, len(samples), answers, np.dtype(network.job.model.dtype), name, samples.names)
    receiver = _Receiver(network, samples, table, nonfinite)
    with prepared(network, group) as setup:
        try:
            on_root(group, table.open)
            _write(setup, network, samples, answers, receiver, min(batch_size, len(samples)))
            on_root(group, table.close)
        except BaseException:
            table.discard()
            raise
    return on_root(group, receiver.result)


class _Receiver:
    """What rank 0 does with the finished outputs of all samples, which it gets in their order.

    Args:
        network: that has computed them.
        samples: of all ranks.
        table: gets the predictions.
        nonfinite: see `predict`.
    """

    def __init__(self, network: Network, samples: Split, table: PredictionFile, nonfinite: OnNonFinite) -> None:
        self._network, self._samples, self._table, self._nonfinite = network, samples, table, nonfinite
        self._received = self._num_bad = 0
        self._bad_rows: list[int] = []

    def take(self, finished: Matrix | None) -> None:
        """Take the next samples: (rows, outputs), NaN in the rows without an answer.

        Raises:
            DataError: a row has no answer, and that is an error.
            OutputError: they cannot be written.
        """
        assert finished is not None
        bad = np.isnan(finished[:, 0])
        if bad.any():
            rows = (self._received + np.flatnonzero(bad)).tolist()
            if self._nonfinite == "raise":
                ways = "--nonfinite=skip leaves such rows out, --nonfinite=nan marks them"
                raise refusal(self._network, self._samples, rows[0], ways)
            self._num_bad += len(rows)
            in_file = [int(self._samples.numbers(row, row + 1)[0]) for row in rows[:SHOWN]]
            self._bad_rows = [*self._bad_rows, *in_file][:SHOWN]
        ids = np.arange(self._received, self._received + len(finished))
        self._received += len(finished)
        kept = ~bad if self._nonfinite == "skip" else np.ones(len(ids), np.bool_)
        self._table.append(finished[kept], ids[kept])

    def result(self) -> Predictions:
        """What was predicted, after the last sample."""
        written = self._received - (self._num_bad if self._nonfinite == "skip" else 0)
        return Predictions(written, self._num_bad, tuple(self._bad_rows))


def _write(setup: Setup, network: Network, samples: Split, answers: Answers, receiver: _Receiver, rows: int) -> None:
    """Send the finished outputs of all samples to rank 0, a block of `rows` for each rank at a time; collective.

    So no rank holds more than a few blocks: the samples may be larger than its memory.
    """
    group, width = setup.group, network.layout.sizes[-1]
    replica = setup.replica(samples, rows)
    whole = np.empty((rows * group.world_size, width), network.job.model.dtype) if group.rank == 0 else None
    for first in range(0, len(samples), rows * group.world_size):
        shares = [_ids(first, rank, rows, len(samples)) for rank in range(group.world_size)]
        x, _ = replica.dataset.gather(shares[group.rank])
        outputs = replica.network.forward(x, network.params)
        bad = unanswered(x, outputs)
        answers.finish(outputs)
        if bad is not None:
            outputs[bad] = np.nan
        counts = [len(share) * width for share in shares]
        group.gather_into(outputs.reshape(-1), None if whole is None else whole.reshape(-1), counts)
        received = None if whole is None else whole[: sum(map(len, shares))]
        on_root(group, functools.partial(receiver.take, received))


def _ids(first: int, rank: int, rows: int, num_samples: int) -> SampleIds:
    start = first + rank * rows
    return np.arange(min(start, num_samples), min(start + rows, num_samples))
