"""Measures what nodes compute and exchange: on every node by itself, on all of them at the same time."""

from __future__ import annotations

import dataclasses
import gc
import statistics
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from dpnet.comm import topology
from dpnet.comm.group import World
from dpnet.compute.backend import Libraries, make_backend
from dpnet.compute.cores.available import core_set
from dpnet.compute.shares import ceil_div, round_up
from dpnet.data.sources import DataSource
from dpnet.parallel import exchange
from dpnet.training.announce import doing
from dpnet.training.build import build_parts
from dpnet.training.estimate.case import Load
from dpnet.training.estimate.model import Network, Point
from dpnet.training.setup import Setup, threads_of_rank
from dpnet.training.timing import LEAST_S, take_steps

WARM_UP_STEPS = 2
"""Twice: after the first ones it is known how long steps take. A step of a large batch takes seconds."""
ROUNDS = 3
"""Measurements of each load; the median counts."""


class Measured(NamedTuple):
    """What was measured.

    Attributes:
        points: one for each load, of the slowest node.
        network: between the nodes; None: there is one.
        contended: sentences on who else took the cores, one for each load of which somebody did.
    """

    points: dict[Load, Point]
    network: Network | None
    contended: Sequence[str]


def measure(setup: Setup, source: DataSource, loads: Sequence[Load], seconds: float, ranks: int) -> Measured:
    """Measure how long a step takes with each load; collective.

    Args:
        setup: of the job, with the ranks of all nodes.
        source: the data.
        loads: of a node.
        seconds: how long to measure each, about.
        ranks: that share a load; more than this node has where this one rank is to stand for all of them.
    """
    points, network, contended = {}, [], list[str]()
    where = topology.shared(setup.group, setup.job.train.wire)
    shared_by = ranks // len(where.here)
    for load in loads:
        rows = ceil_div(load.samples, max(load.shards, ranks))
        with doing(setup.group, f"measuring steps of {load.samples:,} samples on a node"):
            setup = _with_threads(setup, load, rows, ranks)
            step_s, who = _step_s(setup, source, load.of_one_rank(shared_by), seconds)
            contended += who[:1]
            speeds = exchange.measure(where, setup.layout, setup.job.model.dtype, rows, setup.backend)
        points[load] = Point(load.samples, step_s, speeds.flops)
        network.append(Network(speeds.bytes_s, speeds.latency_s))
    between = Network(*(statistics.median(values) for values in zip(*network, strict=True)))
    return Measured(points, between if len(where.nodes) > 1 else None, contended)


def _with_threads(setup: Setup, load: Load, rows: int, ranks: int) -> Setup:
    """The setup, with the threads that ranks have which compute this load; collective on a node."""
    train, backend = load.train(setup.job.train), setup.backend
    core_sets = setup.group.node.allgather(core_set())
    number = threads_of_rank(train, backend.products.name, rows, setup.layout.sizes, ranks, core_sets)
    if number == backend.threads:
        return setup
    libraries = Libraries(backend.products.name, backend.kernels.name)
    return dataclasses.replace(setup, backend=make_backend(libraries, number))


def _step_s(setup: Setup, source: DataSource, load: Load, seconds: float) -> tuple[float, Sequence[str]]:
    """Seconds of a step of this node's ranks alone, while all nodes take steps; of the slowest node."""
    group, job = setup.group, setup.job
    alone = dataclasses.replace(
        job, train=load.train(job.train), evaluate=dataclasses.replace(job.evaluate, every_epochs=None, every_steps=0)
    )
    # Only the end of a training needs more than a Group.
    node = cast(World, group.node)
    parts = build_parts(dataclasses.replace(setup, job=alone, group=node), source)
    # All steps from one synchronisation of workers to the next belong together.
    whole = job.train.sync_every if load.local else 1
    warm_up = round_up(WARM_UP_STEPS, whole)
    with np.errstate(all="ignore"):
        take_steps(parts, group, 0, warm_up)
        per_step = take_steps(parts, group, warm_up, warm_up) / warm_up
        # Rank 0 decides, so that all take as many steps.
        steps = group.broadcast(round_up(max(1, int(seconds / ROUNDS / per_step)), whole))
        parts.stragglers.contended()  # From here on.
        taken = [take_steps(parts, group, 2 * warm_up + number * steps, steps) for number in range(ROUNDS)]
    contended = parts.stragglers.contended()
    slowest = [max(times) for times in zip(*group.allgather(taken), strict=True)]
    told = group.broadcast(sum(slowest)) >= LEAST_S
    found = [text for texts in group.allgather(contended) for text in texts if told]
    del parts
    gc.collect()  # The next load needs the memory.
    return statistics.median(slowest) / steps, found
