"""Builds the parts of a training from its setup: the one place that knows which class does what.

Every rank builds the same parts, in the same order, because some of the work is collective.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpnet import whereabouts
from dpnet.comm import topology
from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group
from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.compute.shares import ceil_div
from dpnet.config.job import Job, TrainConfig
from dpnet.config.keys import toml_value
from dpnet.config.model import unfit_to_freeze
from dpnet.data.sources import DataSource
from dpnet.errors import ConfigError, SharedMemoryError
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.optim.choose import make_optimizer
from dpnet.optim.rule import Optimizer
from dpnet.optim.schedules import Schedule, make_schedule
from dpnet.parallel.evaluate import Evaluator
from dpnet.parallel.feed import Feed
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import REDUCERS, Reducer, choose_reducer
from dpnet.parallel.replica import Replica
from dpnet.parallel.step import Trainer
from dpnet.parallel.weights import BatchWeights
from dpnet.resilience.pace import Pace
from dpnet.resilience.watchdog import Watchdog
from dpnet.state.banks import State, StateVectors
from dpnet.state.update import SliceUpdate
from dpnet.training.parts import Parts
from dpnet.training.setup import Setup


def build_parts(setup: Setup, source: DataSource, start: StateVectors | None = None) -> Parts:
    """Build everything that takes steps, with the state `start` or, without it, initial parameters; collective."""
    job, layout, group = setup.job, setup.layout, setup.group
    plan = build_plan(job.train, len(source.train), group.world_size)
    optimizer = build_optimizer(job)
    shared, memory = _in_node_memory(
        job.train, group, lambda where: _build_shared(setup, source, plan, optimizer.slots, where)
    )
    state = shared.state
    if start is None:
        start = StateVectors(aligned_zeros(layout.size, job.model.dtype), {}, 0)
        initialize(layout, job.model.activation, job.train.seed, start.params)
    state.load(start)
    total_steps = count_steps(job.train, len(source.train))
    trainer = Trainer(
        plan=plan,
        weights=BatchWeights(source.train.weights, plan),
        feed=shared.feed,
        replica=shared.replica,
        reducer=shared.reducer,
        update=build_update(setup, state, shared.reducer, optimizer),
        state=state,
        schedule=build_schedule(job, plan.steps_per_epoch, total_steps),
    )
    evaluators, where = build_evaluators(setup, source, plan), (shared.board, shared.node_ranks)
    return Parts(trainer, *evaluators, source.eval_split, layout, total_steps, memory, *where, Pace(group))


def build_layout(job: Job, source: DataSource) -> Layout:
    """The layout of the network that the job trains on this data.

    Raises:
        ConfigError: it has not the layers that are to be frozen, or no others; on every rank.
    """
    model = job.model
    if problem := unfit_to_freeze(model.freeze, model.hidden_layers):
        raise ConfigError(f"model.freeze is {toml_value(model.freeze)}; {problem}", agreed=True)
    return Layout((source.features, *model.hidden_layers, source.outputs), model.freeze)


def check_world_size(train: TrainConfig, world_size: int) -> None:
    """Raises ConfigError if there are more ranks than shards."""
    if 0 < train.reproducible_shards < world_size:
        raise ConfigError(
            f"train.reproducible_shards is {train.reproducible_shards}, but there are {world_size} ranks; "
            f"start at most {train.reproducible_shards} ranks, or begin a new training with more shards"
        )


def check_patience(patience: int, source: DataSource) -> None:
    """Raises ConfigError, on every rank, if only test data could end the training by `evaluate.patience`."""
    if patience and source.validation is None:
        raise ConfigError(
            f"evaluate.patience is {patience}, and there are no validation data to watch: test data choose nothing; "
            "set data.validation = 0.1, or to a file of samples, or evaluate.patience = 0, to train to the end",
            agreed=True,
        )


def build_plan(train: TrainConfig, num_samples: int, world_size: int) -> Plan:
    """The plan: one shard per rank, or `reproducible_shards` shards."""
    num_shards = train.reproducible_shards or world_size
    return Plan(num_samples, train.global_batch_size, seed=train.seed, num_shards=num_shards)


def count_steps(train: TrainConfig, num_samples: int) -> int:
    """Steps of a whole training on so many samples."""
    return train.steps or (train.epochs or 0) * count_steps_per_epoch(train, num_samples)


def count_steps_per_epoch(train: TrainConfig, num_samples: int) -> int:
    """Steps of an epoch of so many samples."""
    return ceil_div(num_samples, train.global_batch_size)


@dataclass(frozen=True)
class _Shared:
    """The parts that lie in the memory of a node."""

    state: State
    feed: Feed
    replica: Replica
    reducer: Reducer
    board: Vector
    node_ranks: range


def _in_node_memory(train: TrainConfig, group: Group, build: Callable[[Topology], _Shared]) -> tuple[_Shared, str]:
    """Call `build` with memory that the ranks of a node share; if they cannot share memory, each rank is a node.

    Returns:
        what was built, and which of the two it is, in words.
    """
    why = "there is one rank" if group.world_size == 1 else "train.shared_memory is off"
    if train.shared_memory and group.world_size > 1:
        where = topology.shared(group)
        try:
            shared = everywhere(group, lambda: build(where))
            return shared, "one copy of the parameters for all ranks" + (" of a node" if len(where.nodes) > 1 else "")
        except SharedMemoryError as error:
            why = str(error)
        gc.collect()  # The error kept references to what was mapped before it.
    return build(topology.apart(group)), f"a copy of the parameters for each rank: {why}"


def _build_shared(
    setup: Setup, source: DataSource, plan: Plan, slot_names: tuple[str, ...], where: Topology
) -> _Shared:
    """Build what ranks of a node share; collective on the node, not among nodes: some may have no room for it."""
    job, layout, memory = setup.job, setup.layout, where.memory
    dtype = job.model.dtype
    name = choose_reducer(job.train.reducer, job.train.reproducible_shards, layout, where.nodes, plan.max_rows())
    kind = REDUCERS[name]
    if kind.shares_rows:
        replica = setup.training_replica(source.train, plan.max_rows(len(where.here)), memory.zeros)
    else:
        replica = setup.training_replica(source.train, plan.max_rows())
    factors = replica.network.factors(replica.dataset.x)
    reducer = kind(where, plan=plan, layout=layout, dtype=dtype, factors=factors, backend=setup.backend)
    ahead = setup.dataset(source.train, plan.max_rows())
    num_banks = 2 if where.group.survives_losses else 1
    state = State(where.node, memory, layout, slot_names, dtype, num_banks=num_banks)
    board = memory.zeros(len(where.here) * whereabouts.LENGTH, np.float64)
    return _Shared(state, Feed(plan, replica.dataset, ahead, reducer.shards), replica, reducer, board, where.here)


def build_update(setup: Setup, state: State, reducer: Reducer, optimizer: Optimizer) -> SliceUpdate:
    """The update of the slice that this rank owns."""
    section = setup.job.optimizer
    return SliceUpdate(
        state,
        setup.layout,
        reducer.grad,
        optimizer,
        setup.backend,
        weight_decay=section.weight_decay,
        decay_biases=section.weight_decay_biases,
        clip_norm=section.clip_norm,
    )


def build_evaluators(setup: Setup, source: DataSource, plan: Plan) -> tuple[Evaluator | None, Evaluator | None]:
    """The evaluators of validation data during the training, and of test data at its end: see Parts."""
    section, splits = setup.job.evaluate, source.splits
    if not section.interval_steps(plan.steps_per_epoch):
        return None, None

    def of(name: str) -> Evaluator | None:
        if name not in splits:
            return None
        rows = min(section.batch_size, len(splits[name]))
        return Evaluator(setup.group, setup.replica(splits[name], rows), batch_size=rows)

    return of(source.eval_split), of("test") if source.eval_split == "validation" else None


def build_watchdog(setup: Setup, parts: Parts, folder: Path) -> Watchdog:
    """The watchdog, which reports when this rank or another is stuck; `folder` is the run directory."""
    group, section = setup.group, setup.job.resilience
    return Watchdog(
        folder,
        parts.board,
        rank=group.rank,
        world_size=group.world_size,
        node_ranks=parts.node_ranks,
        host=group.host,
        timeout_s=section.timeout_s,
        end=section.on_hang == "end",
    )


def build_optimizer(job: Job) -> Optimizer:
    """The optimizer that the configuration names."""
    section = job.optimizer
    return make_optimizer(
        section.name,
        momentum=section.momentum,
        nesterov=section.nesterov,
        betas=section.betas,
        eps=section.eps,
        dtype=job.model.dtype,
    )


def build_schedule(job: Job, steps_per_epoch: int, total_steps: int) -> Schedule:
    """The learning rate of each step."""
    return make_schedule(
        job.schedule.name,
        learning_rate=job.optimizer.learning_rate,
        total_steps=total_steps,
        warmup_steps=job.schedule.warmup_steps,
        every_steps=job.schedule.interval_steps(steps_per_epoch),
        factor=job.schedule.factor,
        min_learning_rate=job.schedule.min_learning_rate,
    )
