"""Predictions of a trained network: labels and probabilities of every sample, or numbers, in a file."""

from __future__ import annotations

import dataclasses
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.connect import connect
from dpnet.comm.group import World
from dpnet.compute.arrays import Matrix, SampleIds
from dpnet.data.split import Split
from dpnet.errors import ConfigError
from dpnet.inference.answers import Answers, answers_of
from dpnet.inference.network import Network, check_call, prepared
from dpnet.inference.nonfinite import SHOWN, OnNonFinite, lines_of, refusal, unanswered
from dpnet.inference.prediction_file import PredictionFile
from dpnet.inference.prediction_records import PredictionRecords
from dpnet.inference.samples import open_samples
from dpnet.text import words
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
        nonfinite_lines: the lines that these are in a file of text, "line 6"; empty: they are none.
        records: (samples,) the predictions as an .npy file would hold them; None: they are in a file.
    """

    samples: int
    nonfinite: int = 0
    nonfinite_rows: tuple[int, ...] = ()
    nonfinite_lines: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    records: npt.NDArray[Any] | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def labels(self) -> npt.NDArray[Any]:
        """(samples,) the labels, as those of the training data; or (samples, labels) 1 for each that a sample has."""
        return self._field("label", "labels")

    @property
    def probabilities(self) -> npt.NDArray[Any]:
        """(samples, classes) of all classes, in their order; or of all labels."""
        return self._field("probabilities")

    @property
    def numbers(self) -> npt.NDArray[Any]:
        """(samples,) of a regression, or (samples, outputs), in the units of the targets."""
        return self._field("prediction")

    def _field(self, *names: str) -> npt.NDArray[Any]:
        if self.records is None:
            raise ConfigError("the predictions are in a file; without one, out=None, they are returned")
        there = self.records.dtype.names or ()
        found = [name for name in names if name in there]
        if not found:
            raise ConfigError(f"these predictions have no {names[-1]}; they have {words(list(there), 'and')}")
        return np.asarray(self.records[found[0]])


def predict(
    network: Network,
    source: Any = None,
    out: str | os.PathLike[str] | None = None,
    group: World | None = None,
    *,
    split: str | None = None,
    batch_size: int | None = None,
    nonfinite: OnNonFinite = "raise",
) -> Predictions:
    """Label and probabilities of every sample, or the numbers of a regression, in a file or in memory; collective.

    Args:
        network: the network; it is not changed.
        source: of the samples, see `dpnet.data.sources`; labels are not needed. None: that of the training. Or data
            in memory, an array of inputs for example, see `dpnet.train`; each rank gives the same.
        out: the file, which appears when it is complete; None: the predictions are returned, on every rank. .npy: one
            record a sample with `label` (int64) and `probabilities` (classes of the network's dtype); .csv: the columns
            label, p0, p1, ... Of a regression `prediction` (float64, in the units of the targets), or in .csv
            prediction0, prediction1, ... for several outputs. Where a sample may have several labels, `labels` (int8,
            1 for a label that it has, else 0) and `probabilities`; in .csv label0, label1, ..., p0, p1, ... Of several
            columns of a table they are called as these: prediction_x, label_x, p_x. Before them stands the column
            data.id of a table.
        group: all ranks share the samples; found from the launcher's environment if not given.
        split: see `evaluate`.
        batch_size: samples computed at once; None: as in the training.
        nonfinite: what follows from a sample with an input or an output that is not finite. "raise": an error that
            names it. "skip": it is left out of the file. "nan": its label is -1, and all its numbers are NaN.

    Raises:
        ConfigError: ranks were given different arguments.
        DataError: the samples cannot be used.
        OutputError: the file cannot be written.
    """
    batch_size, group = batch_size or network.job.evaluate.batch_size, connect() if group is None else group
    check_call(group, "predict", source, split, batch_size, nonfinite, output=str(out))
    samples = open_samples(network, source, split, group, unknown=None, gaps="apply" if nonfinite == "raise" else "nan")
    answers, rows, dtype = answers_of(network), min(batch_size, len(samples)), np.dtype(network.job.model.dtype)
    if out is None:
        records = PredictionRecords(len(samples), answers, dtype, samples.names)
        receiver = _Receiver(network, samples, records, nonfinite)
        with prepared(network, group) as setup:
            _compute(setup, network, samples, answers, receiver, rows, is_shared=True)
        return dataclasses.replace(receiver.result(), records=records.whole())
    table = _file(network, samples, answers, Path(out), group)
    receiver = _Receiver(network, samples, table, nonfinite)
    with prepared(network, group) as setup:
        try:
            on_root(group, table.open)
            _compute(setup, network, samples, answers, receiver, rows, is_shared=False)
            on_root(group, table.close)
        except BaseException:
            table.discard()
            raise
    return on_root(group, receiver.result)


def _file(network: Network, samples: Split, answers: Answers, out: Path, group: World) -> PredictionFile:
    """The file of the predictions."""
    name = None if network.schema is None or samples.names is None else network.schema.id
    if name in answers.names() and out.suffix == ".csv":
        aside(
            group,
            f"note: the column {name!r} of {samples.inputs_file} is called 'id' in {out}, which has another {name!r}",
        )
        name = "id"
    return PredictionFile(out, len(samples), answers, np.dtype(network.job.model.dtype), name, samples.names)


class _Table(Protocol):
    """Takes predictions."""

    def append(self, finished: Matrix, ids: SampleIds) -> None:
        """See `PredictionFile.append`."""


class _Receiver:
    """What is done with the finished outputs of all samples, in their order: on rank 0, or on every rank.

    Args:
        network: that has computed them.
        samples: of all ranks.
        table: gets the predictions.
        nonfinite: see `predict`.
    """

    def __init__(self, network: Network, samples: Split, table: _Table, nonfinite: OnNonFinite) -> None:
        self._network, self._samples, self._table, self._nonfinite = network, samples, table, nonfinite
        self._received = self._num_bad = 0
        self._bad_rows: list[int] = []
        self._lines: list[str] = []

    def take(self, finished: Matrix) -> None:
        """Take the next samples: (rows, outputs), NaN in the rows without an answer.

        Raises:
            DataError: a row has no answer, and that is an error.
            OutputError: they cannot be written.
        """
        bad = np.isnan(finished[:, 0])
        if bad.any():
            rows = (self._received + np.flatnonzero(bad)).tolist()
            if self._nonfinite == "raise":
                ways = "--nonfinite=skip leaves such rows out, --nonfinite=nan marks them"
                raise refusal(self._network, self._samples, rows[0], ways)
            self._num_bad += len(rows)
            in_file = [int(self._samples.in_file(row, row + 1)[0]) for row in rows[:SHOWN]]
            self._bad_rows = [*self._bad_rows, *in_file][:SHOWN]
            self._lines = [*self._lines, *lines_of(self._samples, rows[:SHOWN])][:SHOWN]
        ids = np.arange(self._received, self._received + len(finished))
        self._received += len(finished)
        kept = ~bad if self._nonfinite == "skip" else np.ones(len(ids), np.bool_)
        self._table.append(finished[kept], ids[kept])

    def result(self) -> Predictions:
        """What was predicted, after the last sample."""
        written = self._received - (self._num_bad if self._nonfinite == "skip" else 0)
        return Predictions(written, self._num_bad, tuple(self._bad_rows), tuple(self._lines))


def _compute(
    setup: Setup,
    network: Network,
    samples: Split,
    answers: Answers,
    receiver: _Receiver,
    rows: int,
    *,
    is_shared: bool,
) -> None:
    """Send the finished outputs of all samples to rank 0, a block of `rows` for each rank at a time; collective.

    So no rank holds more than a few blocks: the samples may be larger than its memory. With `is_shared` all ranks get
    them.
    """
    group, width = setup.group, network.layout.sizes[-1]
    replica = setup.replica(samples, rows)
    takes = group.rank == 0 or is_shared
    whole = np.empty((rows * group.world_size * takes, width), network.job.model.dtype)
    for first in range(0, len(samples), rows * group.world_size):
        shares = [_ids(first, rank, rows, len(samples)) for rank in range(group.world_size)]
        x, _ = replica.dataset.gather(shares[group.rank])
        outputs = replica.network.forward(x, network.params)
        bad = unanswered(x, outputs)
        answers.finish(outputs)
        if bad is not None:
            outputs[bad] = np.nan
        counts = [len(share) * width for share in shares]
        received = whole[: sum(map(len, shares))]
        if is_shared:
            start = sum(counts[: group.rank])
            received.reshape(-1)[start : start + counts[group.rank]] = outputs.reshape(-1)
            group.allgather_into(received.reshape(-1), counts)
            everywhere(group, functools.partial(receiver.take, received))
        else:
            group.gather_into(outputs.reshape(-1), received.reshape(-1) if takes else None, counts)
            on_root(group, functools.partial(receiver.take, received))


def _ids(first: int, rank: int, rows: int, num_samples: int) -> SampleIds:
    start = first + rank * rows
    return np.arange(min(start, num_samples), min(start + rows, num_samples))
