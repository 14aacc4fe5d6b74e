"""What is to be estimated: numbers of nodes, changes of the job, and so what has to be measured."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dpnet.config.job import Job
from dpnet.config.train import FIT_FOR_BFLOAT16, MAX_WORKERS, TrainConfig
from dpnet.errors import ConfigError
from dpnet.text import counted
from dpnet.training.estimate.case import Case, Load

MOST_NODES = 1024
"""Of those that are taken where nobody says how many."""
MOST_LOADS = 8
"""Loads of a kind that are measured; between them the time is interpolated."""


@dataclass(frozen=True)
class Wanted:
    """What a user asks for.

    Attributes:
        nodes: numbers of nodes; empty: powers of two.
        ranks: of each node; None: as many as were started on one.
        bytes_s: see `model.Network`; None: measure it.
        latency_s: likewise.
        weak: the batch grows with the nodes.
        seconds: how long to measure a load.
        banks: see `footprint.Vectors`.
    """

    nodes: Sequence[int] = ()
    ranks: int | None = None
    bytes_s: float | None = None
    latency_s: float | None = None
    weak: bool = False
    seconds: float = 1.0
    banks: int = 1


class Cases(NamedTuple):
    """What is estimated.

    Attributes:
        base: one node.
        rows: the job on the numbers of nodes that were asked for, the fewest first.
        changes: the job on the most nodes, with other settings, by what is changed.
        left_out: numbers of nodes that cannot train it, and why.
    """

    base: Case
    rows: Sequence[Case]
    changes: Mapping[str, Case]
    left_out: Mapping[int, str]

    def loads(self) -> list[Load]:
        """What is to be measured, the most samples first."""
        cases = [self.base, *self.rows, *self.changes.values()]
        found = sorted({case.load for case in cases}, reverse=True)
        kinds = dict.fromkeys(load.kind for load in found)
        return [load for kind in kinds for load in _some([one for one in found if one.kind == kind])]


def choose_cases(job: Job, num_samples: int, ranks: int, wanted: Wanted) -> Cases:
    """The cases of a job.

    Args:
        job: to be estimated.
        num_samples: of its training data.
        ranks: of a node.
        wanted: see Wanted.

    Raises:
        ConfigError: no number of nodes can train it; on every rank.
    """

    def case(settings: TrainConfig, nodes: int) -> Case:
        batch = settings.global_batch_size * (nodes if wanted.weak else 1)
        return Case(dataclasses.replace(settings, global_batch_size=batch), nodes, ranks, num_samples)

    train = job.train if wanted.weak else _capped(job.train, num_samples)
    base = case(train, 1)
    asked = [case(train, nodes) for nodes in sorted(set(wanted.nodes) or _powers_of_two())]
    possible = [one for one in asked if not one.obstacle]
    if base.obstacle or not possible:
        fewest = base if base.obstacle else asked[0]
        on = f"{counted(fewest.nodes, 'node')} of {counted(ranks, 'rank')}"
        raise ConfigError(
            f"{on}: {fewest.obstacle}; ask for fewer --nodes or --ranks-per-node, or a larger train.global_batch_size",
            agreed=True,
        )
    left_out = {one.nodes: one.obstacle for one in asked if one.obstacle and wanted.nodes}
    most = possible[-1]
    changed = {name: case(settings, most.nodes) for name, settings in changes(train, job.model.dtype, most)}
    return Cases(base, possible, {name: one for name, one in changed.items() if not one.obstacle}, left_out)


def changes(train: TrainConfig, dtype: str, most: Case) -> Iterator[tuple[str, TrainConfig]]:
    """Other settings, with their names: those that would change what nodes exchange, or how much they compute."""
    world_size, several = most.nodes * most.ranks, most.nodes > 1
    if several and not train.fixed_shards:
        exact = dataclasses.replace(train, wire="float32")
        fits = dtype == "float32" and train.reducer in FIT_FOR_BFLOAT16["train.reducer"]
        if train.wire == "bfloat16":
            yield 'wire = "float32"', exact
        elif fits:
            yield 'wire = "bfloat16"', dataclasses.replace(train, wire="bfloat16", exchange="auto")
        for name in ("gradients", "factors", "recompute") if train.reducer in ("auto", "joint") else ():
            if name != train.exchange:
                yield f'exchange = "{name}"', dataclasses.replace(exact, exchange=name)
    for times in (2, 4):
        batch = times * train.global_batch_size
        told = batch * (most.train.global_batch_size // train.global_batch_size)
        yield f"global_batch_size = {told}", dataclasses.replace(train, global_batch_size=batch)
    if several and train.workers:
        every = 4 * train.sync_every
        yield f"sync_every = {every}", dataclasses.replace(train, sync_every=every)
    elif several and not train.fixed_shards and world_size <= MAX_WORKERS:
        plain = dataclasses.replace(train, wire="float32", reducer="auto", exchange="auto")
        what = f"workers = {world_size}, sync_every = {train.sync_every}"
        yield what, dataclasses.replace(plain, workers=world_size)


def _capped(train: TrainConfig, num_samples: int) -> TrainConfig:
    """The same, with no more samples in a step than there are."""
    return dataclasses.replace(train, global_batch_size=min(train.global_batch_size, num_samples))


def _powers_of_two() -> Iterable[int]:
    return itertools.takewhile(lambda nodes: nodes <= MOST_NODES, (2**power for power in itertools.count()))


def _some(loads: Sequence[Load]) -> list[Load]:
    """The loads themselves if they are few; else some of them, the first and the last included."""
    if len(loads) <= MOST_LOADS:
        return list(loads)
    steps = (len(loads) - 1) / (MOST_LOADS - 1)
    return [loads[round(number * steps)] for number in range(MOST_LOADS)]
