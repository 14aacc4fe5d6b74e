"""The setup of a job: what takes samples to their loss, the same for a training, a gradient check and a prediction."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group, World
from dpnet.compute import threads
from dpnet.compute.arrays import Zeros, aligned_zeros
from dpnet.compute.backend import NUMPY, Backend, Libraries, choose_libraries, make_backend
from dpnet.compute.cores.available import core_set
from dpnet.compute.shares import ceil_div
from dpnet.config.job import Job
from dpnet.config.train import TrainConfig
from dpnet.data.dataset import Dataset
from dpnet.data.scaling import Scaling
from dpnet.data.split import Split
from dpnet.environment import CROWDED
from dpnet.errors import ConfigError
from dpnet.nn.layout import Layout
from dpnet.parallel.replica import Replica, build_dataset, build_replica
from dpnet.text import counted
from dpnet.training.announce import aside


@dataclass(frozen=True)
class Setup:
    """What all ranks have agreed on before the first sample is computed.

    Attributes:
        job: the configuration.
        group: all ranks.
        backend: matrix products, loops and threads of this rank.
        layout: of the network's parameters.
        scaling: of its input.
        pretrained: what the training began with, see `Pretrained.record`; None: initial parameters.
    """

    job: Job
    group: World
    backend: Backend
    layout: Layout
    scaling: Scaling
    pretrained: Mapping[str, Any] | None = None

    def dataset(self, split: Split, rows: int) -> Dataset:
        """Scaled samples of a split, up to `rows` at a time."""
        return build_dataset(self.job.model, split, self.scaling, rows, self.backend)

    def replica(self, split: Split, rows: int) -> Replica:
        """What takes up to `rows` samples of a split at a time to their scores."""
        return build_replica(self.job.model, split, self.scaling, self.layout, rows, self.backend)

    def training_replica(self, split: Split, rows: int, zeros: Zeros = aligned_zeros) -> Replica:
        """What takes up to `rows` samples of a split at a time to the loss that is minimized.

        Args:
            split: the samples.
            rows: of all buffers.
            zeros: makes the buffers: a vector of zeros, of a given length and dtype.
        """
        sizes = self.scaling, self.layout, rows
        smoothing = self.job.train.label_smoothing
        return build_replica(self.job.model, split, *sizes, self.backend, zeros, label_smoothing=smoothing)


def choose_backend(train: TrainConfig, group: Group, widths: Sequence[int]) -> Backend:
    """The backend that the configuration asks for; limits the threads of this process's BLAS. Collective.

    The number of threads follows from the node and, where nobody has set it, from the work of a step. Products and
    kernels are the same on every rank: where "auto" would choose differently on two ranks, all take numpy. A sum of
    results of two libraries would have the bits of neither, and a node whose ranks had different kernels would wait for
    ever at the barriers of `rehearsal.rehearse`.

    Args:
        train: the configuration.
        group: all ranks.
        widths: of the network, from its inputs to its outputs.

    Raises:
        ConfigError: what the configuration asks for is not installed.
    """
    core_sets = group.node.allgather(core_set())
    libraries = everywhere(group, lambda: choose_libraries(train.blas, train.kernels))
    products, kernels = (set(names) for names in zip(*group.allgather(libraries), strict=True))
    agreed = Libraries(
        libraries.products if len(products) == 1 else NUMPY.products,
        libraries.kernels if len(kernels) == 1 else NUMPY.kernels,
    )
    rows = ceil_div(train.global_batch_size, group.world_size)
    num_threads = threads_of_rank(train, agreed.products, rows, widths, group.node.world_size, core_sets)
    _tell_if_crowded(group, num_threads, core_sets)
    return everywhere(group, lambda: make_backend(agreed, num_threads))


def threads_of_rank(
    train: TrainConfig,
    products: str,
    rows: int,
    widths: Sequence[int],
    ranks: int,
    core_sets: Sequence[frozenset[int]],
) -> int:
    """Threads of each rank of a node.

    Args:
        train: the configuration.
        products: name of the library for them.
        rows: samples of a rank in a step.
        widths: of the network, from its inputs to its outputs.
        ranks: of the node.
        core_sets: see `threads.choose_threads`.
    """
    num_threads = threads.choose_threads(
        train.threads, reproducible=bool(train.fixed_shards), local_world_size=ranks, core_sets=core_sets
    )
    if products == NUMPY.products and not train.threads and not threads.threads_from_user():
        return threads.worth(num_threads, rows, widths)
    return num_threads


def _tell_if_crowded(group: Group, num_threads: int, core_sets: Sequence[frozenset[int]]) -> None:
    """Tell that there are more ranks or threads than cores, unless `dpnet launch` has done so; collective."""
    ranks, text = group.node.world_size, ""
    if CROWDED not in os.environ and (text := threads.too_many(ranks, num_threads, core_sets)):
        text += f": {threads.what_is_faster(ranks, num_threads, core_sets)}"
    text = text or threads.bound_together(core_sets)
    hosts = dict(group.allgather((group.host, text)))
    crowded = [(host, text) for host, text in hosts.items() if text]
    if crowded:
        host, text = crowded[0]
        more = f" and {counted(len(crowded) - 1, 'more host')}" if len(crowded) > 1 else ""
        aside(group, f"note: {text}" if len(hosts) == 1 else f"note: on {host}{more}: {text}")


def choose_available_backend(train: TrainConfig, group: Group, widths: Sequence[int]) -> Backend:
    """As `choose_backend`; but if a library is asked for by name, and is not installed, "auto" chooses. Collective."""
    try:
        return choose_backend(train, group, widths)
    except ConfigError:
        return choose_backend(dataclasses.replace(train, blas="auto", kernels="auto"), group, widths)
