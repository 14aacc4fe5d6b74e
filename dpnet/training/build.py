"""Builds the parts of a training from its configuration: the one place that knows which class does what.

Every rank builds the same parts, in the same order, as some of it is collective.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dpnet import whereabouts
from dpnet.comm import topology
from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group
from dpnet.comm.local import LocalGroup
from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Vector, Zeros, aligned_zeros
from dpnet.compute.backend import Backend
from dpnet.config.job import Job, TrainConfig
from dpnet.data.scaling import Scaling
from dpnet.data.sources import DataSource
from dpnet.errors import ConfigError, SharedMemoryError
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.optim.schedules import Schedule, make_schedule
from dpnet.optim.sgd import Optimizer, make_optimizer
from dpnet.parallel.evaluate import Evaluator
from dpnet.parallel.feed import Feed
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import REDUCERS, Reducer, choose_reducer
from dpnet.parallel.replica import Replica, build_dataset, build_replica
from dpnet.parallel.step import Trainer
from dpnet.state.banks import State, StateVectors
from dpnet.state.update import SliceUpdate


@dataclass(frozen=True)
class Parts:
    """The parts of a training.

    Attributes:
        layout: of the flat vectors.
        slot_names: the optimizer's vectors.
        state: parameters (initialised) and optimizer vectors.
        memory: where these lie, in words.
        plan: samples of each step.
        total_steps: of the training.
        trainer: takes steps.
        evaluator: None where evaluation is off or there is no test data.
        board: the whereabouts of this node's ranks, in memory that they share.
        here: these ranks.
    """

    layout: Layout
    slot_names: tuple[str, ...]
    state: State
    memory: str
    plan: Plan
    total_steps: int
    trainer: Trainer
    evaluator: Evaluator | None
    board: Vector
    here: range


def check_world_size(train: TrainConfig, world_size: int) -> None:
    """Raises ConfigError if there are more ranks than shards."""
    if 0 < train.reproducible_shards < world_size:
        raise ConfigError(
            f"train.reproducible_shards is {train.reproducible_shards}, but there are {world_size} ranks; "
            f"start at most {train.reproducible_shards} ranks, or begin a new training with more shards"
        )


def build_plan(train: TrainConfig, num_samples: int, world_size: int) -> Plan:
    """The plan: one shard per rank, or `reproducible_shards` of them."""
    num_shards = train.reproducible_shards or world_size
    return Plan(num_samples, train.global_batch_size, seed=train.seed, num_shards=num_shards)


def build_layout(job: Job, source: DataSource) -> Layout:
    """The layout of the network."""
    return Layout((source.features, *job.model.hidden_layers, source.classes))


def build_parts(
    job: Job,
    source: DataSource,
    scaling: Scaling,
    group: Group,
    backend: Backend,
    start: StateVectors | None = None,
) -> Parts:
    """Build everything that takes steps, with the state `start`, else with initialised parameters."""
    plan = build_plan(job.train, len(source.train), group.world_size)
    layout = build_layout(job, source)
    optimizer = build_optimizer(job)
    build = functools.partial(_build_core, job, source, scaling, backend, plan, layout, optimizer.slots)
    core, memory = _in_node_memory(job.train, group, build)
    state = core.state
    if start is None:
        start = StateVectors(aligned_zeros(layout.size, job.model.dtype), {}, 0)
        initialize(layout, job.model.activation, job.train.seed, start.params)
    state.load(start)
    total_steps = job.train.steps or (job.train.epochs or 0) * plan.steps_per_epoch
    trainer = Trainer(
        plan=plan,
        feed=core.feed,
        replica=core.replica,
        reducer=core.reducer,
        update=SliceUpdate(
            state,
            layout,
            core.reducer.grad,
            optimizer,
            backend,
            weight_decay=job.optimizer.weight_decay,
            decay_biases=job.optimizer.weight_decay_biases,
            clip_norm=job.optimizer.clip_norm,
        ),
        state=state,
        schedule=build_schedule(job, plan.steps_per_epoch, total_steps),
    )
    evaluator = None
    if source.test is not None and job.evaluate.interval_steps(plan.steps_per_epoch):
        rows = min(job.evaluate.batch_size, len(source.test))
        replica = build_replica(job.model, source.test, scaling, layout, rows, backend)
        evaluator = Evaluator(group, replica, batch_size=rows)
    parts = (layout, optimizer.slots, state, memory, plan, total_steps, trainer, evaluator)
    return Parts(*parts, core.board, core.here)


@dataclass(frozen=True)
class _Core:
    """The parts that lie in memory of a node."""

    state: State
    feed: Feed
    replica: Replica
    reducer: Reducer
    board: Vector
    here: range


def _in_node_memory(train: TrainConfig, group: Group, build: Callable[[Topology], _Core]) -> tuple[_Core, str]:
    """What `build` makes in memory that the ranks of a node share; where that is not to be had, each rank is a node.

    Returns:
        it, and in words which it is.
    """
    why = "there is one rank" if group.world_size == 1 else "train.shared_memory is off"
    if train.shared_memory and group.world_size > 1:
        shared = topology.shared(group)
        try:
            core = everywhere(group, lambda: build(shared))
            return core, "one copy of the parameters for all ranks" + (" of a node" if len(shared.nodes) > 1 else "")
        except SharedMemoryError as error:
            why = str(error)
        gc.collect()  # The error held on to what was mapped before it.
    return build(topology.apart(group)), f"a copy of the parameters for each rank: {why}"


def _build_core(
    job: Job,
    source: DataSource,
    scaling: Scaling,
    backend: Backend,
    plan: Plan,
    layout: Layout,
    slot_names: tuple[str, ...],
    where: Topology,
) -> _Core:
    """State, network and reducer on a node; collective on it, but not among nodes: some may have no room for it."""
    dtype, memory, rows = job.model.dtype, where.memory, plan.max_rows()
    train = job.train
    how = REDUCERS[choose_reducer(train.reducer, train.reproducible_shards, layout, where.nodes, rows)]
    zeros: Zeros = memory.zeros if how.shares_rows else aligned_zeros
    room = plan.max_rows(len(where.here)) if how.shares_rows else rows
    replica = build_replica(job.model, source.train, scaling, layout, room, backend, zeros)
    factors = replica.network.factors(replica.dataset.x)
    reducer = how(where, plan=plan, layout=layout, dtype=dtype, factors=factors, backend=backend)
    ahead = build_dataset(job.model, source.train, scaling, rows, backend)
    num_banks = 2 if where.group.survives_losses else 1
    state = State(where.node, memory, layout, slot_names, dtype, num_banks=num_banks)
    board = memory.zeros(len(where.here) * whereabouts.LENGTH, np.float64)
    feed = Feed(plan, replica.dataset, ahead, reducer.shards)
    return _Core(state, feed, replica, reducer, board, where.here)


def rehearse(job: Job, source: DataSource, group: Group, backend: Backend) -> None:
    """Take a step of a small network, so that all kernels are compiled: by the first rank of a node, then the others.

    What the first rank compiles the others find in its cache.
    """
    if not backend.kernels.rules:
        return
    small = dataclasses.replace(
        job,
        model=dataclasses.replace(job.model, hidden_layers=(2,) if job.model.hidden_layers else ()),
        train=dataclasses.replace(job.train, global_batch_size=1, reproducible_shards=0),
        evaluate=dataclasses.replace(job.evaluate, batch_size=1),
    )
    none = Scaling(np.zeros(1), np.ones(1))
    for first in (True, False):
        if (group.node.rank == 0) == first:
            with np.errstate(all="ignore"):
                build_parts(small, source, none, LocalGroup(), backend).trainer.step(0)
        group.node.barrier()


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
