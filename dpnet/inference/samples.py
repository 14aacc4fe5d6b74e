"""The samples that a trained network is applied to: those of its own training again, or others."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from dpnet.comm.agree import everywhere
from dpnet.comm.alike import check_alike
from dpnet.comm.group import World
from dpnet.comm.once import once_per_node
from dpnet.config.data import MEMORY
from dpnet.data.class_weights import weigh_classes
from dpnet.data.converted.reader import Converted
from dpnet.data.finite import check_scaled_targets
from dpnet.data.identity import first_index_in
from dpnet.data.memory.given import Memory, in_memory
from dpnet.data.numbering import have_columns, numbered_as
from dpnet.data.parts.again import changes, contents
from dpnet.data.readers.choose import READERS, SPLIT_READERS, choose_reader
from dpnet.data.sources import Split, open_split, open_splits
from dpnet.data.split import SPLITS, Indices, UnknownLabels, check_split
from dpnet.data.tables.encoding import Gaps
from dpnet.data.tables.schema import Schema
from dpnet.errors import DataError
from dpnet.inference.network import Network
from dpnet.inference.seen import is_cut, is_source, seen_in_training, was_scored
from dpnet.text import words
from dpnet.training.announce import aside
from dpnet.training.hosts import compare_hosts
from dpnet.training.verify import verify_inputs


def open_samples(
    network: Network,
    source: Any,
    split: str | None,
    group: World,
    *,
    unknown: UnknownLabels | None,
    gaps: Gaps = "apply",
) -> Split:
    """Open the samples that a network is applied to, with their labels numbered as the network's classes; collective.

    A part of the training data is what the training had as that part. Of other data without named splits, all samples
    are taken.

    Args:
        network: the network.
        source: of the samples; None: that of the training. Or data in memory.
        split: "test", "train" or "validation"; None: "test", and of data without named splits all samples.
        group: all ranks.
        unknown: what follows from a label that is none of the classes, see `numbered_as`; None: labels are not
            needed, and left out.
        gaps: of a table, see `encoding.encode`.

    Raises:
        DataError: they cannot be read, or have another number of features, or labels that the network cannot give; or
            the training had no such part, or its data have changed.
    """
    check_split(split)
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    lies_in_memory = not (source is None or isinstance(source, str))
    part = split or "test"

    def work() -> tuple[Split, bool]:
        given = network.job.data.source if source is None else source
        if lies_in_memory:
            schema = network.schema
            given = (
                in_memory(source) if schema is None else in_memory(source, schema.targets, schema.weight or "weight")
            )
        again = source is None or _is_asked_again(network, given, split)
        opened = _as_trained(network, given, part, unknown) if again else _open(network, given, split, unknown, gaps)
        return opened, again

    shares = network.job.train.shared_memory and not lies_in_memory
    data = network.job.data
    reads = (data.source, data.test, data.validation) if source is None else (source,)
    samples, again = once_per_node(group, work, reads=reads, shares_memory=shares)
    verify_inputs(samples, group)
    odd = compare_hosts(group, {part: samples}, samples.inputs_file)
    if lies_in_memory and group.world_size > 1:
        check_alike(group, everywhere(group, lambda: contents({part: samples})))
    # Predictions of training data are nothing odd in a program.
    silent = again or (lies_in_memory and unknown is None)
    seen = [] if silent else seen_in_training(network, None if lies_in_memory else source, part, samples)
    if source is None:
        seen = [f"the {part} samples of the training: {len(samples):,} of {samples.inputs_file}"]
    for remark in (*samples.remarks, *seen, *odd):
        aside(group, f"note: {remark}")
    return samples


def _is_asked_again(network: Network, source: str | Memory, split: str | None) -> bool:
    """Whether a part of the training data is asked for that its source alone does not have as such."""
    if isinstance(source, Memory):
        # What has no name of its own is a part of the training data, or is not what was asked for.
        is_part = is_source(network, MEMORY) and not source.has(split or "test") and is_cut(network, split or "test")
        return split is not None and (source.is_alone or is_part)
    if not is_source(network, source):
        return False
    data = network.job.data
    if split is None and network.schema is None and isinstance(data.test, float):
        is_named = not data.features and choose_reader(source, SPLIT_READERS)[1] in READERS
        split = "test" if is_named else None  # The test samples are meant where samples have the names of splits.
    return split is not None and is_cut(network, split)


def _as_trained(network: Network, source: str | Memory, part: str, unknown: UnknownLabels | None) -> Split:
    """What a training had as its "train", "validation" or "test" samples, without the weights of classes.

    What the checkpoint recorded of them tells whether they are the same.
    """
    job, recorded = network.job, network.data.get("arrays")
    samples, schema = _part(network, source, part)
    if samples is None or not was_scored(network, part):
        there = [other for other in SPLITS if other != part and was_scored(network, other)]
        ways = words([f"--split={other}" for other in there], "or")
        raise DataError(f"the training had no {part} samples; {ways} takes others that it had, --data other data.")
    labelled = _checked(network, samples, unknown or job.data.unknown_labels)
    weighed = weigh_classes(labelled, job.data.class_weights) if part == "train" else labelled
    other = changes(part, weighed, recorded) if isinstance(recorded, dict) else []  # An older dpnet recorded none.
    if other and schema is not None and schema.record() != network.data.get("schema"):
        other = ["the columns become other inputs, as the training rows are others", *other]
    if other:
        way = "Under another path, without --split, they are other data."
        if isinstance(source, Memory):
            way = "Without split= they are taken as they are, all of them."
        raise DataError(f"{samples.inputs_file}: the data have changed since the training: {'; '.join(other)}. {way}")
    return labelled if unknown is not None else dataclasses.replace(labelled, labels=None)


def _part(network: Network, source: str | Memory, part: str) -> tuple[Split | None, Schema | None]:
    """A part of the data as a training has it, labels numbered by themselves, and the schema of a table."""
    job = network.job
    memory, path = (source, MEMORY) if isinstance(source, Memory) else (None, source)
    is_named = memory is None and network.schema is None and not is_cut(network, part)
    if is_named and was_scored(network, part) and path != MEMORY:
        return _split(network, path, part, None, labelled=True), None
    opened = open_splits(path, job.data, job.train.seed, job.model.task, memory, network.schema, network.fills)
    return opened.splits.get(part), opened.schema


def _open(
    network: Network, source: str | Memory, split: str | None, unknown: UnknownLabels | None, gaps: Gaps
) -> Split:
    """Other samples, or those of the training that have the name of a split in their source."""
    column = None if split is None else network.job.data.split
    samples = _split(network, source, split or "test", column, labelled=unknown is not None, gaps=gaps)
    is_table = (
        isinstance(source, str) and network.schema is not None and not Converted().fits(os.path.expanduser(source))
    )
    if split is not None and column is None and is_table:
        told = f"{samples.inputs_file} has no parts (--split={split}): all its rows are taken"
        samples = dataclasses.replace(samples, remarks=(*samples.remarks, told))
    return _checked(network, samples, unknown)


def _split(
    network: Network, source: str | Memory, split: str, column: str | None, *, labelled: bool, gaps: Gaps = "apply"
) -> Split:
    """A split of a source, read as the data of the training were."""
    return open_split(
        source,
        split,
        network.schema,
        labelled=labelled,
        section=network.job.data,
        indices=Indices(network.features, first_index_in(network.data)),
        task=network.job.model.task,
        column=column,
        gaps=gaps,
        fills=network.fills,
    )


def _checked(network: Network, samples: Split, unknown: UnknownLabels | None) -> Split:
    """Samples that the network can be applied to, with their labels numbered as its classes."""
    features, seen, expected = network.layout.sizes[0], samples.outputs, network.layout.sizes[-1]
    if samples.features != features:
        raise DataError(f"{samples.inputs_file} has {samples.features} features a sample; the network takes {features}")
    if unknown is None:
        return dataclasses.replace(samples, labels=None)
    if have_columns(samples) and seen != expected:
        what = samples.kind.words
        raise DataError(f"{samples.labels_file} has {seen} {what} for a sample; the network gives {expected}")
    check_scaled_targets([samples], network.scaling)
    return numbered_as(samples, network.classes, of="the network", unknown=unknown, way="--unknown-labels=ignore")
