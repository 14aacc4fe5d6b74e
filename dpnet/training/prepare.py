"""Preparation: all ranks together open, check and measure the data, and make the setup.

A training, `dpnet time`, `dpnet gradcheck` and the benchmarks are prepared here. Inference makes its `Setup` itself.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dpnet.comm.agree import everywhere
from dpnet.comm.alike import check_alike
from dpnet.comm.group import Group, World
from dpnet.comm.once import once_per_node
from dpnet.compute.backend import Backend
from dpnet.compute.shares import share
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.data import statistics
from dpnet.data.finite import check_scaled, check_scaled_targets, may_overflow
from dpnet.data.identity import ChunkHasher, Sums, checked_sums, identity
from dpnet.data.missing.fills import Fills
from dpnet.data.parts.again import contents
from dpnet.data.scaling import Scaling, fit, fit_targets
from dpnet.data.sources import DataSource, Split, require_labels
from dpnet.data.statistics import Moments
from dpnet.data.tables.schema import Schema
from dpnet.data.too_many_classes import check_classes
from dpnet.text import counted
from dpnet.training.build import build_layout
from dpnet.training.memory import open_given
from dpnet.training.rehearsal import rehearse
from dpnet.training.setup import Setup, choose_backend
from dpnet.training.verify import verify_inputs

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingData:
    """The data of a training.

    Attributes:
        source: training, validation and test samples.
        identity: what tells these data from others.
        moments: statistics of the inputs of every split that was measured.
        pretrained: what its parameters begin with, see `Pretrained.record`; None: initial parameters.
    """

    source: DataSource
    identity: dict[str, Any]
    moments: dict[str, Moments]
    pretrained: Mapping[str, Any] | None = None


def prepare(
    job: Job, group: World, source: DataSource, *, backend: Backend | None = None, scaling: Scaling | None = None
) -> Setup:
    """Make the setup of a job; collective.

    Args:
        job: the configuration.
        group: all ranks.
        source: the data.
        backend: the backend, if it was chosen before; None: choose it.
        scaling: of the input, from a checkpoint; None: measure the training data.

    Raises:
        ConfigError: what the job asks for is not installed.
        DataError: an input is not finite, or a target too large.
    """
    backend = backend or choose_backend(job.train, group, build_layout(job, source).sizes)
    scaling = scaling or measure_scaling(job, source, group)
    setup = Setup(job, group, backend, build_layout(job, source), scaling)
    everywhere(group, lambda: check_scaled_targets(source.splits.values(), setup.scaling))
    rehearse(setup, source)
    return setup


def open_data(
    job: Job, group: Group, data: Any = None, schema: Schema | None = None, fills: Fills | None = None
) -> DataSource:
    """Open the data, those in memory or those that the job names; collective. Files are read by one rank of a node.

    Args:
        job: the configuration.
        group: all ranks.
        data: see `run.train`.
        schema: see `sources.open_source`.
        fills: likewise.

    Raises:
        DataError: the data cannot be read, or cannot be trained on.
        ConfigError: ranks found data of other shapes there, or hold other data in memory.
    """
    # Arrays that every rank was given lie in its memory already.
    is_read = data is None or isinstance(data, str | os.PathLike)
    shares = job.train.shared_memory and is_read
    reads = job.data.source, job.data.test, job.data.validation, data
    source = once_per_node(
        group, lambda: check_classes(open_given(job, data, schema, fills)), reads=reads, shares_memory=shares
    )
    check_alike(group, _shapes(source), of_hosts=True)
    if data is not None and group.world_size > 1:
        check_alike(group, everywhere(group, lambda: contents(source.splits, source.schema)))
    return source


def _shapes(source: DataSource) -> dict[str, str | None]:
    """The shapes of the data, as an error shows them."""
    classes = source.train.classes
    named = f"{source.outputs:,}: {classes.text()}" if len(classes) else f"{source.outputs:,} {source.kind.words}"
    shapes: dict[str, str | None] = {f"the {source.kind.words}": named}
    for name, split in (("training", source.train), ("validation", source.validation), ("test", source.test)):
        text = "without samples" if split is None else f"{counted(len(split), 'sample')} x {split.features}"
        shapes[f"the {name} data of {source.name}"] = text
    return shapes


def identify(section: DataConfig, source: DataSource, group: Group, *, measure: bool) -> TrainingData:
    """Read all data once, hash and, with `measure`, check and measure them; raises DataError; collective."""
    read = {
        name: _read(split, group, measure=measure and (split is source.train or section.check), check=section.check)
        for name, split in source.splits.items()
    }
    if source.train.rows is not None:
        verify_inputs(source.train, group)  # What was read are some of the rows that were converted.
    found = {name: moments for name, (moments, _) in read.items() if moments is not None}
    return TrainingData(source, identity(source, {name: sums for name, (_, sums) in read.items()}), found)


def _read(split: Split, group: Group, *, measure: bool, check: bool) -> tuple[Moments | None, list[Sums]]:
    """The moments, if asked for, and the sums of all chunks, of which each rank reads a share; collective."""

    def read(chunk: tuple[int, int]) -> tuple[Moments | None, Sums]:
        hasher = ChunkHasher(split, chunk)
        if not measure:
            hasher.read()
            return None, hasher.sums()
        return statistics.measure(split, chunk, check=check, see=hasher.see), hasher.sums()

    parts = _on_all_chunks(split, group, read)
    measured = [moments for moments, _ in parts if moments is not None]
    return statistics.combine(measured) if measured else None, checked_sums(split, [sums for _, sums in parts])


def measure_scaling(job: Job, source: DataSource, group: Group, kept: Scaling | None = None) -> Scaling:
    """Check all inputs, and find the scaling that suits those of the training data, see `fit_scaling`; collective.

    Raises:
        DataError: an input is not finite, as it was read or once it is scaled.
    """
    check = job.data.check
    measured = {
        name: measure(split, group, check=check)
        for name, split in source.splits.items()
        if split is source.train or check
    }
    return fit_scaling(job, source, measured, group, kept)


def fit_scaling(
    job: Job, source: DataSource, measured: Mapping[str, Moments], group: Group, kept: Scaling | None = None
) -> Scaling:
    """The scaling that suits training data with these moments; collective.

    Args:
        job: the configuration.
        source: the data.
        measured: moments of the training inputs, and of those of the other splits where they are to be checked.
        group: all ranks.
        kept: of the inputs, and perhaps of the targets, that pretrained parameters bring; None: none.

    Raises:
        DataError: the values are too far apart, or one of them is not finite once it is scaled.
    """
    scaling = everywhere(group, lambda: _fit(job, source.train, measured["train"], kept))
    for name, split in source.splits.items():
        if job.data.check and name in measured:
            check_range(split, measured[name], scaling, job.model.dtype, group)
    return scaling


def _fit(job: Job, train: Split, moments: Moments, kept: Scaling | None) -> Scaling:
    """The scaling of the inputs, and of the targets if these are numbers."""
    scaling = kept or fit(job.data.scale, moments)
    if not train.kind.are_scaled or scaling.targets is not None:
        return scaling
    return dataclasses.replace(scaling, targets=fit_targets(require_labels(train), train.weights, train.labels_file))


def check_range(split: Split, measured: Moments, scaling: Scaling, dtype: str, group: Group) -> None:
    """Check that no input is too large for the network; collective.

    The smallest and the largest of all inputs almost always prove it. If not, the inputs are read once more.

    Raises:
        DataError: an input, scaled, is beyond `dtype`.
    """

    def work(chunk: tuple[int, int]) -> None:
        for first, raw in statistics.tiles(split, chunk):
            check_scaled(raw, split.in_file(first, first + len(raw)), split.inputs_file, scaling, dtype)

    if may_overflow(measured.low, measured.high, scaling, dtype):
        _on_all_chunks(split, group, work)


def measure(split: Split, group: Group, *, check: bool) -> Moments:
    """Measure a split: statistics with the same bits for every world_size. Each rank reads a share of it; collective.

    Raises:
        DataError: an input is not finite, and `check` is set.
    """
    return statistics.combine(_on_all_chunks(split, group, lambda chunk: statistics.measure(split, chunk, check=check)))


def _on_all_chunks(split: Split, group: Group, work: Callable[[tuple[int, int]], T]) -> list[T]:
    """What `work` makes of each chunk of a split, in order; each rank works on a share of them; collective."""
    chunks = statistics.chunks(len(split))
    mine = chunks[slice(*share(len(chunks), group.rank, group.world_size))]
    done = everywhere(group, lambda: [work(chunk) for chunk in mine])
    return [result for results in group.allgather(done) for result in results]
