"""The samples that a trained network is applied to."""

from __future__ import annotations

import dataclasses
import math
import os

from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group
from dpnet.data.finite import check_scaled_targets
from dpnet.data.hold_out import cut
from dpnet.data.identity import first_index_in, has_inputs
from dpnet.data.sources import Split, open_split
from dpnet.data.split import Indices, UnknownLabels
from dpnet.errors import DataError
from dpnet.inference.network import Network
from dpnet.training.announce import aside


def open_samples(network: Network, source: str, split: str, group: Group, *, unknown: UnknownLabels | None) -> Split:
    """Open the samples that a network is applied to, with their labels numbered as the network's classes; collective.

    Args:
        network: the network.
        source: of the samples.
        split: "test", "train" or "validation".
        group: all ranks.
        unknown: what follows from a label that is none of the classes, see `Split.numbered_as`; None: labels are not
            needed, and left out.

    Raises:
        DataError: they cannot be read, or have another number of features, or labels that the network cannot give.
    """

    def work() -> Split:
        task = network.job.model.task
        features = network.layout.sizes[0]
        samples = open_split(
            source,
            split,
            network.schema,
            labelled=unknown is not None,
            section=network.job.data,
            indices=Indices(features, first_index_in(network.data)),
            task=task,
        )
        if samples.features != features:
            raise DataError(
                f"{samples.inputs_file} has {samples.features} features a sample; the network takes {features}"
            )
        if unknown is None:
            return dataclasses.replace(samples, labels=None)
        seen, expected = samples.outputs, network.layout.sizes[-1]
        if task == "regression" and samples.labels is not None and seen != expected:
            raise DataError(f"{samples.labels_file} has {seen} targets for a sample; the network gives {expected}")
        check_scaled_targets([samples], network.scaling)
        return samples.numbered_as(network.classes, of="the network", unknown=unknown, way="--unknown-labels=ignore")

    samples = everywhere(group, work)
    for remark in (*samples.remarks, *_seen(network, source, split, samples)):
        aside(group, f"note: {remark}")
    return samples


def _seen(network: Network, source: str, split: str, samples: Split) -> list[str]:
    """A sentence where the samples are the data that the network was trained on, or a part of them, wherever they lie.

    Of arrays nothing is said of all training samples by their name: these were asked for.
    """
    data = network.job.data
    shares = [share for share in (data.test, data.validation) if isinstance(share, float)]
    paths = {os.path.realpath(os.path.expanduser(path)) for path in (source, data.source)}
    if network.schema is None and split == "train" and not shares:
        return []
    # Of arrays a file has samples of several kinds: only these samples tell.
    if (len(paths) > 1 or network.schema is None) and not _has_training_inputs(network, samples):
        return []
    left = math.prod(1 - share for share in shares)
    rows = f"{left:.0%} of these rows" if shares else "these rows"
    if data.split is not None and network.schema is not None:
        rows = f"a part of these rows, as column {data.split!r} (data.split) says"
    return [f"{source} is the training data: the network was trained on {rows}"]


def _has_training_inputs(network: Network, samples: Split) -> bool:
    """Whether the inputs of the training are among the samples, by the sums in the checkpoint."""
    arrays, job = network.data.get("arrays"), network.job
    if not isinstance(arrays, dict):
        return False
    if not any(isinstance(share, float) for share in (job.data.test, job.data.validation)):
        return has_inputs(samples, arrays.get("x_train"))
    if samples.labels is None:
        return False  # They say which rows were held out.
    try:
        rows = cut(samples.labels, job.data, file=samples.labels_file, seed=job.train.seed)["train"]
    except DataError:
        return False  # Of so few rows none would be held out.
    return has_inputs(samples.part(rows), arrays.get("x_train"))
