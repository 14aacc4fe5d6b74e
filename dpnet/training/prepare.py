"""The data of a training: opened, checked and measured, by all ranks together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dpnet import environment
from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.compute import threads
from dpnet.compute.backend import Backend
from dpnet.compute.loops.choose import choose_kernels
from dpnet.compute.pool import Pool
from dpnet.compute.products.choose import PRODUCTS, choose_products
from dpnet.compute.products.numpy import warm_up
from dpnet.compute.shares import share
from dpnet.config.job import DataConfig, TrainConfig
from dpnet.data import statistics
from dpnet.data.identity import identity
from dpnet.data.scaling import Scaling, fit
from dpnet.data.sources import DataSource, Split, check_classes, open_source


@dataclass(frozen=True)
class Data:
    """The data of a training.

    Attributes:
        source: training and test samples.
        identity: what tells this training data from other data.
    """

    source: DataSource
    identity: dict[str, Any]


def open_data(section: DataConfig, group: Group) -> Data:
    """Open the data on every rank.

    Raises:
        DataError: the data cannot be read, or cannot be trained on.
    """
    source = everywhere(group, lambda: check_classes(open_source(section.source)))
    return Data(source, on_root(group, lambda: identity(source)))


def measure_scaling(section: DataConfig, source: DataSource, group: Group) -> Scaling:
    """Check all inputs, and find the scaling that suits those of the training data.

    Raises:
        DataError: an input is not finite.
    """
    measured = measure(source.train, group, check=section.check)
    if source.test is not None and section.check:
        measure(source.test, group, check=True)
    return everywhere(group, lambda: fit(section.scale, measured))


def measure(split: Split, group: Group, *, check: bool) -> statistics.Moments:
    """Statistics of a split, the same bits for every world_size; every rank reads a share of it.

    Raises:
        DataError: an input is not finite, and `check` is set.
    """
    chunks = statistics.chunks(len(split))
    mine = chunks[slice(*share(len(chunks), group.rank, group.world_size))]
    measured = everywhere(group, lambda: [statistics.measure(split, chunk, check=check) for chunk in mine])
    return statistics.combine([part for share in group.allgather(measured) for part in share])


def choose_backend(train: TrainConfig, group: Group) -> Backend:
    """What the configuration asks for; limits the threads of this process's BLAS. Called by every rank.

    Raises:
        ConfigError: it is not installed.
    """
    num_threads = threads.choose_threads(
        train.threads,
        reproducible=bool(train.reproducible_shards),
        local_world_size=group.node.world_size,
        core_sets=group.node.allgather(environment.core_set()),
    )
    name = everywhere(group, lambda: choose_products(train.blas))
    if len(set(group.allgather(name))) > 1:
        name = (
            "numpy"  # "auto" on nodes that differ: a sum of products of two libraries would have the bits of neither.
        )
    products = everywhere(group, lambda: PRODUCTS[name](num_threads))
    threads.limit_threads(num_threads)
    warm_up(num_threads)
    kernels = everywhere(group, lambda: choose_kernels(train.kernels))
    return Backend(num_threads, products, kernels, Pool(num_threads))
