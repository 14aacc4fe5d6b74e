"""Preparation: all ranks together open, check and measure the data, and make the setup.

A training, `dpnet time`, `dpnet gradcheck` and the benchmarks are all prepared here. Inference takes its scaling and
its layout from a checkpoint, and makes its `Setup` itself.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group, World
from dpnet.comm.local import LocalGroup
from dpnet.compute.backend import Backend
from dpnet.compute.shares import share
from dpnet.config.job import DataConfig, Job, TrainConfig
from dpnet.data import statistics
from dpnet.data.identity import identity
from dpnet.data.scaling import UNSCALED, Scaling, fit
from dpnet.data.sources import DataSource, Split, check_classes, open_source
from dpnet.errors import ConfigError
from dpnet.nn.layout import Layout
from dpnet.training.build import build_parts
from dpnet.training.setup import Setup, choose_backend


@dataclass(frozen=True)
class TrainingData:
    """The data of a training.

    Attributes:
        source: training and test samples.
        identity: what tells this training data from other data.
    """

    source: DataSource
    identity: dict[str, Any]


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
        DataError: an input is not finite.
    """
    backend = backend or choose_backend(job.train, group)
    scaling = scaling or measure_scaling(job.data, source, group)
    setup = Setup(job, group, backend, build_layout(job, source), scaling)
    rehearse(setup, source)
    return setup


def open_data(section: DataConfig, group: Group) -> TrainingData:
    """Open the data on every rank; collective.

    Raises:
        DataError: the data cannot be read, or cannot be trained on.
    """
    source = everywhere(group, lambda: check_classes(open_source(section.source)))
    return TrainingData(source, on_root(group, lambda: identity(source)))


def build_layout(job: Job, source: DataSource) -> Layout:
    """The layout of the network that the job trains on this data."""
    return Layout((source.features, *job.model.hidden_layers, source.classes))


def check_world_size(train: TrainConfig, world_size: int) -> None:
    """Raises ConfigError if there are more ranks than shards."""
    if 0 < train.reproducible_shards < world_size:
        raise ConfigError(
            f"train.reproducible_shards is {train.reproducible_shards}, but there are {world_size} ranks; "
            f"start at most {train.reproducible_shards} ranks, or begin a new training with more shards"
        )


def measure_scaling(section: DataConfig, source: DataSource, group: Group) -> Scaling:
    """Check all inputs, and find the scaling that suits those of the training data; collective.

    Raises:
        DataError: an input is not finite.
    """
    measured = measure(source.train, group, check=section.check)
    if source.test is not None and section.check:
        measure(source.test, group, check=True)
    return everywhere(group, lambda: fit(section.scale, measured))


def measure(split: Split, group: Group, *, check: bool) -> statistics.Moments:
    """Measure a split: statistics with the same bits for every world_size. Each rank reads a share of it; collective.

    Raises:
        DataError: an input is not finite, and `check` is set.
    """
    chunks = statistics.chunks(len(split))
    mine = chunks[slice(*share(len(chunks), group.rank, group.world_size))]
    measured = everywhere(group, lambda: [statistics.measure(split, chunk, check=check) for chunk in mine])
    return statistics.combine([part for parts in group.allgather(measured) for part in parts])


def rehearse(setup: Setup, source: DataSource) -> None:
    """Take a step of a small network, so that all kernels are compiled; collective on a node.

    The first rank of a node compiles them; the others then find them in the cache of numba.
    """
    if not setup.backend.kernels.rules:
        return
    job, node = setup.job, setup.group.node
    hidden_layers = (2,) if job.model.hidden_layers else ()
    small = dataclasses.replace(
        setup,
        job=dataclasses.replace(
            job,
            model=dataclasses.replace(job.model, hidden_layers=hidden_layers),
            train=dataclasses.replace(job.train, global_batch_size=1, reproducible_shards=0),
            evaluate=dataclasses.replace(job.evaluate, batch_size=1),
        ),
        group=LocalGroup(),
        layout=Layout((source.features, *hidden_layers, source.classes)),
        scaling=UNSCALED,
    )
    for first in (True, False):
        if (node.rank == 0) == first:
            with np.errstate(all="ignore"):
                build_parts(small, source).trainer.step(0)
        node.barrier()
