"""Builds a trainer of local SGD: what all workers share, and the workers of this rank. See `parallel.local_sgd`."""

from __future__ import annotations

from typing import NamedTuple

from dpnet.comm import topology
from dpnet.comm.local import LocalGroup
from dpnet.data.sources import DataSource
from dpnet.optim.rule import Optimizer
from dpnet.optim.schedules import Schedule
from dpnet.optim.sgd import Momentum
from dpnet.parallel.feed import Feed
from dpnet.parallel.local_sgd import LocalTrainer
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import REDUCERS, Reducer, choose_reducer
from dpnet.parallel.shards import ShardReducer
from dpnet.parallel.step import Trainer
from dpnet.parallel.workers import Worker, WorkerPlan, WorkerWeights
from dpnet.resilience import nonfinite
from dpnet.state.banks import State
from dpnet.state.update import SliceUpdate
from dpnet.training.setup import Setup
from dpnet.training.shared import SharedParts

OUTER_OPTIMIZER = Momentum
"""The update rule of the steps in which all workers meet."""


class Recipe(NamedTuple):
    """What a trainer is built from.

    Attributes:
        setup: of the job.
        source: of the samples.
        plan: which of them each step uses.
        optimizer: the update rule.
        schedule: learning rate of each step.
        total_steps: of the training.
    """

    setup: Setup
    source: DataSource
    plan: Plan
    optimizer: Optimizer
    schedule: Schedule
    total_steps: int


def build_local(recipe: Recipe, shared: SharedParts) -> LocalTrainer:
    """The trainer; collective.

    Args:
        recipe: of the job.
        shared: what lies in the memory of the node, with the state of the outer optimizer.
    """
    setup, job, dtype = recipe.setup, recipe.setup.job, recipe.setup.job.model.dtype
    reducer = shared.reducer
    assert isinstance(reducer, ShardReducer)
    outer = OUTER_OPTIMIZER(momentum=job.optimizer.outer_momentum, nesterov=True, dtype=dtype)
    return LocalTrainer(
        setup.group,
        plan=recipe.plan,
        shares=setup.group.allgather([*reducer.shards]),
        workers=_workers(recipe, shared),
        reducer=reducer,
        update=SliceUpdate(
            shared.state,
            setup.layout,
            reducer.grad,
            outer,
            setup.backend,
            weight_decay=0.0,
            decay_biases=False,
            clip_norm=0.0,
        ),
        state=shared.state,
        schedule=recipe.schedule,
        sync_every=job.train.sync_every,
        total_steps=recipe.total_steps,
        outer_learning_rate=job.optimizer.outer_learning_rate,
    )


def _workers(recipe: Recipe, shared: SharedParts) -> list[Worker]:
    """The workers of this rank, trainings of one rank. They compute in turn, and share the network's buffers."""
    setup, source, plan, optimizer, schedule, _ = recipe
    alone, rows, replica = topology.apart(LocalGroup()), plan.max_rows(), shared.replica
    layout, dtype, backend = setup.layout, setup.job.model.dtype, setup.backend
    kind = REDUCERS[choose_reducer("auto", 0, layout, alone.nodes, rows)]
    factors = replica.network.factors(replica.dataset.x)
    reducer = kind(alone, plan=WorkerPlan(plan, 0), layout=layout, dtype=dtype, factors=factors, backend=backend)

    def trainer(number: int) -> Trainer:
        mine = WorkerPlan(plan, number)
        state = State(alone.node, alone.memory, layout, optimizer.slots, dtype)
        return Trainer(
            plan=mine,
            weights=WorkerWeights(source.train.weights, plan, number),
            feed=Feed(mine, replica.dataset, setup.dataset(source.train, rows), reducer.shards),
            replica=replica,
            reducer=reducer,
            update=build_update(setup, state, reducer, optimizer),
            state=state,
            schedule=schedule,
        )

    return [Worker(number, trainer(number), nonfinite.of_rank) for number in shared.reducer.shards]


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
