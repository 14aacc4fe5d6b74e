"""A case: a job on some number of nodes, and what one of them has to compute."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dpnet.compute.shares import ceil_div
from dpnet.config.train import TrainConfig
from dpnet.parallel.deal import deal
from dpnet.parallel.plan import Plan
from dpnet.text import counted
from dpnet.training.build import build_plan


class Load(NamedTuple):
    """What the node that has most to do computes in a step, which is a training of its own.

    Attributes:
        local: whether its shards are workers of local SGD.
        shards: of the node; 0: one for each rank.
        samples: of the node.
    """

    local: bool
    shards: int
    samples: int

    @property
    def kind(self) -> tuple[bool, int]:
        """Loads of a kind differ in the number of samples alone, or in that of shards of so many rows."""
        return self.local, ceil_div(self.samples, self.shards) if self.shards else 0

    def of_one_rank(self, ranks: int) -> Load:
        """What one of its ranks computes."""
        return Load(self.local, ceil_div(self.shards, ranks), ceil_div(self.samples, ranks))

    def train(self, train: TrainConfig) -> TrainConfig:
        """The settings with which a node alone takes as long as it takes here, but for what nodes exchange."""
        return dataclasses.replace(
            train,
            global_batch_size=self.samples,
            workers=self.shards if self.local else 0,
            reproducible_shards=0 if self.local else self.shards,
            reducer="auto" if self.local else train.reducer,
            wire="float32",
            exchange="auto",
        )


@dataclass(frozen=True)
class Case:
    """A job on some nodes.

    Attributes:
        train: its settings; the batch is that of all nodes.
        nodes: how many.
        ranks: of each node.
        num_samples: of the training data.
    """

    train: TrainConfig
    nodes: int
    ranks: int
    num_samples: int

    @property
    def obstacle(self) -> str:
        """Why no training does so; empty: it can."""
        world_size, train = self.nodes * self.ranks, self.train
        if train.global_batch_size > self.num_samples:
            return f"a step of {counted(train.global_batch_size, 'sample')}, and there are only {self.num_samples:,}"
        if train.global_batch_size < world_size:
            return f"{counted(world_size, 'rank')} for {counted(train.global_batch_size, 'sample')} a step"
        if 0 < train.fixed_shards < world_size:
            key = "workers" if train.workers else "reproducible_shards"
            return f"{counted(world_size, 'rank')} for train.{key} = {train.fixed_shards}"
        return ""

    @cached_property
    def plan(self) -> Plan:
        """Which samples each step uses, and in how many shards."""
        return build_plan(self.train, self.num_samples, self.nodes * self.ranks)

    @cached_property
    def of_nodes(self) -> Sequence[range]:
        """The ranks of every node."""
        return [range(first, first + self.ranks) for first in range(0, self.nodes * self.ranks, self.ranks)]

    @cached_property
    def shares(self) -> Sequence[range]:
        """The shards of every rank."""
        return deal(self.plan, self.of_nodes)

    @cached_property
    def load(self) -> Load:
        """What the node computes whose ranks have the most shards."""
        train, plan = self.train, self.plan
        shards = self.ranks * max(map(len, self.shares))
        samples = ceil_div(plan.global_batch_size * shards, plan.num_shards)
        return Load(bool(train.workers), shards if train.fixed_shards else 0, samples)
