"""The samples that a trained network is applied to: those of its own training again, or others."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

from dpnet.comm.agree import everywhere
from dpnet.comm.alike import check_alike
from dpnet.comm.group import Group
from dpnet.config.data import MEMORY, DataConfig
from dpnet.data.converted.reader import Converted
from dpnet.data.finite import check_scaled_targets
from dpnet.data.hold_out import cut
from dpnet.data.identity import first_index_in
from dpnet.data.memory.given import Memory, in_memory
from dpnet.data.parts.again import changes, contents, has_inputs
from dpnet.data.sources import Split, open_source, open_split
from dpnet.data.split import Indices, UnknownLabels
from dpnet.errors import DataError
from dpnet.inference.network import Network
from dpnet.text import words
from dpnet.training.announce import aside
from dpnet.training.verify import verify_inputs


def open_samples(
    network: Network, source: Any, split: str | None, group: Group, *, unknown: UnknownLabels | None
) -> Split:
    """Open the samples that a network is applied to, with their labels numbered as the network's classes; collective.

    A part of the training data is what the training had as that part. Of other data without named splits, all samples
    are taken.

    Args:
        network: the network.
        source: of the samples; None: that of the training. Or data in memory.
        split: "test", "train" or "validation"; None: "test", and of data without named splits all samples.
        group: all ranks.
        unknown: what follows from a label that is none of the classes, see `Split.numbered_as`; None: labels are not
            needed, and left out.

    Raises:
        DataError: they cannot be read, or have another number of features, or labels that the network cannot give; or
            the training had no such part, or its data have changed.
    """
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    lies_in_memory = not (source is None or isinstance(source, str))
    again = source is None or (split is not None and _is_cut(network, MEMORY if lies_in_memory else source, split))
    part = split or "test"

    def work() -> Split:
        given = network.job.data.source if source is None else source
        if lies_in_memory:
            schema = network.schema
            given = (
                in_memory(source) if schema is None else in_memory(source, schema.targets, schema.weight or "weight")
            )
        return _as_trained(network, given, part, unknown) if again else _open(network, given, split, unknown)

    samples = everywhere(group, work)
    verify_inputs(samples, group)
    if lies_in_memory and group.world_size > 1:
        check_alike(group, everywhere(group, lambda: contents({part: samples})))
    seen = [] if again or lies_in_memory else _seen(network, source, part, samples)
    if source is None:
        seen = [f"the {part} samples of the training: {len(samples):,} of {samples.inputs_file}"]
    for remark in (*samples.remarks, *seen):
        aside(group, f"note: {remark}")
    return samples


def _is_cut(network: Network, source: str, split: str) -> bool:
    """Whether a source is that of the training, and the training had other samples as this part than a reader has."""
    data = network.job.data
    paths = {os.path.realpath(os.path.expanduser(path)) for path in (source, data.source)}
    by_column = data.split is not None and network.schema is not None
    return len(paths) == 1 and bool(by_column or _shares(data) or isinstance(getattr(data, split, None), str))


def _shares(data: DataConfig) -> list[float]:
    """The shares of the samples that are held out."""
    return [share for share in (data.test, data.validation) if isinstance(share, float)]


def _as_trained(network: Network, source: str | Memory, part: str, unknown: UnknownLabels | None) -> Split:
    """What a training had as its "train", "validation" or "test" samples, without the weights of classes."""
    job = network.job
    section = dataclasses.replace(job.data, class_weights=None, unknown_labels=unknown or job.data.unknown_labels)
    memory, path = (source, MEMORY) if isinstance(source, Memory) else (None, source)
    found = open_source(path, section, seed=job.train.seed, task=job.model.task, memory=memory).splits
    if part not in found:
        ways = words([f"--split={other}" for other in found], "or")
        raise DataError(f"the training had no {part} samples; {ways} takes others that it had, --data other data.")
    samples, recorded = found[part], network.data.get("arrays")
    if isinstance(recorded, dict):  # An older dpnet recorded none.
        recorded = {name: array for name, array in recorded.items() if name[0] != "w" or job.data.class_weights is None}
        weighed = samples if job.data.class_weights is None else dataclasses.replace(samples, weights=None)
        if other := changes(part, weighed, recorded):
            raise DataError(
                f"{samples.inputs_file}: the data have changed since the training: {'; '.join(other)}. Under "
                "another path, without --split, they are other data."
            )
    return _checked(network, samples, unknown)


def _open(network: Network, source: str | Memory, split: str | None, unknown: UnknownLabels | None) -> Split:
    """Other samples, or those of the training that have the name of a split in their source."""
    samples = open_split(
        source,
        split or "test",
        network.schema,
        labelled=unknown is not None,
        section=network.job.data,
        indices=Indices(network.layout.sizes[0], first_index_in(network.data)),
        task=network.job.model.task,
        column=None if split is None else network.job.data.split,
    )
    return _checked(network, samples, unknown)


def _checked(network: Network, samples: Split, unknown: UnknownLabels | None) -> Split:
    """Samples that the network can be applied to, with their labels numbered as its classes."""
    features, seen, expected = network.layout.sizes[0], samples.outputs, network.layout.sizes[-1]
    if samples.features != features:
        raise DataError(f"{samples.inputs_file} has {samples.features} features a sample; the network takes {features}")
    if unknown is None:
        return dataclasses.replace(samples, labels=None)
    if samples.kind.in_rows and seen != expected:
        what = samples.kind.words
        raise DataError(f"{samples.labels_file} has {seen} {what} for a sample; the network gives {expected}")
    check_scaled_targets([samples], network.scaling)
    return samples.numbered_as(network.classes, of="the network", unknown=unknown, way="--unknown-labels=ignore")


def _seen(network: Network, source: str, split: str, samples: Split) -> list[str]:
    """A sentence where the samples are the data that the network was trained on, or a part of them, wherever they lie.

    Of arrays nothing is said of all training samples by their name: these were asked for.
    """
    if Converted().fits(os.path.expanduser(source)):
        recorded = network.data.get("arrays")
        again = split != "train" and isinstance(recorded, dict) and has_inputs(samples, recorded.get("x_train"))
        return [f"{source}: the {split} samples are those that the network was trained on"] if again else []
    data = network.job.data
    shares = _shares(data)
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
    held = [part for part in ("validation", "test") if _was_scored(network, part) and _is_cut(network, source, part)]
    ways = f"; {words([f'--split={part}' for part in held], 'or')} takes what was held out" if held else ""
    return [f"{source} is the training data: the network was trained on {rows}{ways}"]


def _was_scored(network: Network, part: str) -> bool:
    """Whether the training had samples of this part."""
    arrays = network.data.get("arrays")
    return isinstance(arrays, dict) and f"x_{part}" in arrays


def _has_training_inputs(network: Network, samples: Split) -> bool:
    """Whether the inputs of the training are among the samples, by the sums in the checkpoint."""
    arrays, job = network.data.get("arrays"), network.job
    if not isinstance(arrays, dict):
        return False
    if not _shares(job.data):
        return has_inputs(samples, arrays.get("x_train"))
    if samples.labels is None:
        return False  # They say which rows were held out.
    try:
        rows = cut(samples.labels, job.data, file=samples.labels_file, seed=job.train.seed)["train"]
    except DataError:
        return False  # Of so few rows none would be held out.
    return has_inputs(samples.part(rows), arrays.get("x_train"))
