"""Predictions of a trained network: label and probabilities of every sample, in a file."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from dpnet.comm.agree import on_root
from dpnet.comm.alike import check_alike
from dpnet.comm.group import World
from dpnet.compute.arrays import SampleIds
from dpnet.data.split import Split
from dpnet.inference.network import Network, open_samples, prepared
from dpnet.inference.prediction_file import PredictionFile
from dpnet.nn.losses.softmax_nll import softmax
from dpnet.training.setup import Setup


def predict(
    network: Network, source: str, out: Path, group: World, *, split: str = "test", batch_size: int = 512
) -> int:
    """Write label and probabilities of every sample to a file; collective.

    Args:
        network: the network; it is not changed.
        source: of the samples, see `dpnet.data.sources`; labels are not needed.
        out: .npy: one record a sample with `label` (int64) and `probabilities` (classes of the network's dtype);
            .csv: the columns label, p0, p1, ... It appears when it is complete.
        group: all ranks share the samples.
        split: "test" or "train".
        batch_size: samples computed at once.

    Returns:
        number of samples.

    Raises:
        ConfigError: ranks were given different arguments.
        DataError: the samples cannot be used.
        OutputError: the file cannot be written.
    """
    check_alike(
        group,
        {
            "the call": "dpnet.predict",
            "the output": str(out),
            "the data": source,
            "the split": split,
            "the batch size": str(batch_size),
        },
    )
    samples = open_samples(network, source, split, group)
    dtype = network.job.model.dtype
    table = PredictionFile(out, len(samples), network.layout.sizes[-1], np.dtype(dtype))
    with prepared(network, group) as setup:
        try:
            on_root(group, table.open)
            _write(setup, network, samples, table, min(batch_size, len(samples)))
            on_root(group, table.close)
        except BaseException:
            table.discard()
            raise
    return len(samples)


def _write(setup: Setup, network: Network, samples: Split, table: PredictionFile, rows: int) -> None:
    """Append the probabilities of all samples, a block of `rows` for each rank at a time; collective.

    So no rank holds more than a few blocks: the samples may be larger than its memory.
    """
    group, classes = setup.group, network.layout.sizes[-1]
    replica = setup.replica(samples, rows)
    whole = np.empty((rows * group.world_size, classes), network.job.model.dtype) if group.rank == 0 else None
    for first in range(0, len(samples), rows * group.world_size):
        shares = [_ids(first, rank, rows, len(samples)) for rank in range(group.world_size)]
        x, _ = replica.dataset.gather(shares[group.rank])
        probabilities = replica.network.forward(x, network.params)
        softmax(probabilities)
        counts = [len(share) * classes for share in shares]
        group.gather_into(probabilities.reshape(-1), None if whole is None else whole.reshape(-1), counts)
        received = None if whole is None else whole[: sum(map(len, shares))]
        on_root(group, functools.partial(table.append, received))


def _ids(first: int, rank: int, rows: int, num_samples: int) -> SampleIds:
    start = first + rank * rows
    return np.arange(min(start, num_samples), min(start + rows, num_samples))
