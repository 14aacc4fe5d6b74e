"""Builds the parts of a training from its configuration: the one place that knows which class does what.

Every rank builds the same parts, in the same order, as some of it is collective.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from dpnet.arrays import aligned_zeros
from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.comm.shared import SharedMemory
from dpnet.config import job as config
from dpnet.data import statistics
from dpnet.data.dataset import Dataset
from dpnet.data.identity import identity
from dpnet.data.scaling import Scaling, fit
from dpnet.data.sources import DataSource, Split, check_classes, open_source
from dpnet.errors import ConfigError, SharedMemoryError
from dpnet.evaluator import Evaluator
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout, Views
from dpnet.nn.loss import SoftmaxNLL
from dpnet.nn.mlp import MLP
from dpnet.optim.optimizers import Optimizer, make_optimizer
from dpnet.optim.schedules import Schedule, make_schedule
from dpnet.plan import Plan, bounds
from dpnet.reduce.exchange import MakeExchange, MessageExchange, SharedExchange
from dpnet.reduce.reducer import TreeReducer
from dpnet.state import PrivateState, SharedState, State
from dpnet.trainer import NUM_WORDS, Trainer
from dpnet.update import SliceUpdate


@dataclass(frozen=True)
class Data:
    """The data of a training.

    Attributes:
        source: training and test samples.
        identity: what tells this training data from other data.
    """

    source: DataSource
    identity: dict[str, Any]


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
    """

    layout: Layout
    slot_names: tuple[str, ...]
    state: State
    memory: str
    plan: Plan
    total_steps: int
    trainer: Trainer
    evaluator: Evaluator | None


def open_data(section: config.Data, group: Group) -> Data:
    """Open the data on every rank.

    Raises:
        DataError: the data cannot be read, or cannot be trained on.
    """
    source = everywhere(group, lambda: check_classes(open_source(section.source)))
    return Data(source, on_root(group, lambda: identity(source)))


def measure_scaling(section: config.Data, source: DataSource, group: Group) -> Scaling:
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
    mine = chunks[slice(*bounds(len(chunks), group.rank, group.world_size))]
    measured = everywhere(group, lambda: [statistics.measure(split, chunk, check=check) for chunk in mine])
    return statistics.combine([part for share in group.allgather(measured) for part in share])


def check_world_size(train: config.Train, world_size: int) -> None:
    """Raises ConfigError if there are more ranks than shards."""
    if 0 < train.reproducible_shards < world_size:
        raise ConfigError(
            f"train.reproducible_shards is {train.reproducible_shards}, but there are {world_size} ranks; "
            f"start at most {train.reproducible_shards} ranks, or begin a new training with more shards"
        )


def build_plan(train: config.Train, num_samples: int, world_size: int) -> Plan:
    """The plan: one shard per rank, or `reproducible_shards` of them."""
    num_shards = train.reproducible_shards or world_size
    return Plan(num_samples, train.global_batch_size, seed=train.seed, num_shards=num_shards)


def build_parts(job: config.Job, source: DataSource, scaling: Scaling, group: Group) -> Parts:
    """Build everything that takes steps, with initialised parameters."""
    dtype = job.model.dtype
    plan = build_plan(job.train, len(source.train), group.world_size)
    layout = Layout((source.features, *job.model.hidden_layers, source.classes))
    optimizer = build_optimizer(job)
    state, reducer, memory = build_memory(job, group, layout, plan.num_shards, optimizer.slots)
    initial = aligned_zeros(layout.size, dtype)
    initialize(layout, job.model.activation, job.train.seed, initial)
    state.load(initial, {})
    total_steps = job.train.steps or (job.train.epochs or 0) * plan.steps_per_epoch
    trainer = Trainer(
        plan=plan,
        data=Dataset(source.train, scaling, max_rows=plan.max_shard_rows, dtype=dtype),
        model=MLP(layout, job.model.activation, max_rows=plan.max_shard_rows, dtype=dtype),
        loss=SoftmaxNLL(plan.max_shard_rows, source.classes, dtype),
        reducer=reducer,
        update=build_update(job.optimizer, group, layout, state, optimizer),
        state=state,
        schedule=build_schedule(job, plan.steps_per_epoch, total_steps),
    )
    evaluator = None
    if source.test is not None and job.evaluate.interval_steps(plan.steps_per_epoch):
        evaluator = build_evaluator(job.model, source.test, scaling, layout, group, job.evaluate.batch_size)
    return Parts(layout, optimizer.slots, state, memory, plan, total_steps, trainer, evaluator)


def build_memory(
    job: config.Job, group: Group, layout: Layout, num_shards: int, slot_names: tuple[str, ...]
) -> tuple[State, TreeReducer[Views], str]:
    """State and reducer in memory that the ranks of a node share; in memory of each rank where that is not to be had.

    Returns:
        both, and in words which it is.
    """

    def reducer(state: State, exchange: MakeExchange) -> TreeReducer[Views]:
        return TreeReducer(
            group,
            num_shards=num_shards,
            slices=state.slices,
            dtype=job.model.dtype,
            views=layout.views,
            num_words=NUM_WORDS,
            exchange=exchange,
        )

    why = "there is one rank" if group.world_size == 1 else "train.shared_memory is off"
    if job.train.shared_memory and group.world_size > 1:
        try:
            memory = SharedMemory(group)
            shared = SharedState(memory, group, layout, slot_names, job.model.dtype)
            return (
                shared,
                reducer(shared, functools.partial(SharedExchange, memory)),
                "one copy of the parameters for all ranks",
            )
        except SharedMemoryError as error:
            why = str(error)
    private = PrivateState(group, layout, slot_names, job.model.dtype)
    return private, reducer(private, MessageExchange), f"a copy of the parameters for each rank: {why}"


def build_optimizer(job: config.Job) -> Optimizer:
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


def build_update(
    section: config.Optimizer, group: Group, layout: Layout, state: State, optimizer: Optimizer
) -> SliceUpdate:
    """What applies the optimizer."""
    return SliceUpdate(
        group,
        layout,
        state,
        optimizer,
        weight_decay=section.weight_decay,
        decay_biases=section.weight_decay_biases,
        clip_norm=section.clip_norm,
    )


def build_schedule(job: config.Job, steps_per_epoch: int, total_steps: int) -> Schedule:
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


def build_evaluator(
    model: config.Model, split: Split, scaling: Scaling, layout: Layout, group: Group, batch_size: int
) -> Evaluator:
    """What computes scores on a split that has labels."""
    rows = min(batch_size, len(split.inputs))
    return Evaluator(
        group,
        Dataset(split, scaling, max_rows=rows, dtype=model.dtype),
        MLP(layout, model.activation, max_rows=rows, dtype=model.dtype),
        SoftmaxNLL(rows, layout.sizes[-1], model.dtype),
        batch_size=rows,
    )
