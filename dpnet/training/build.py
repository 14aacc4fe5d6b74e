"""Builds the parts of a training from its setup: the one place that knows which class does what.

Every rank builds the same parts, in the same order, because some of the work is collective.
"""

from __future__ import annotations

from pathlib import Path

from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.shares import ceil_div
from dpnet.config.job import Job
from dpnet.config.keys import toml_value
from dpnet.config.model import unfit_to_freeze
from dpnet.config.train import TrainConfig
from dpnet.data.sources import DataSource
from dpnet.errors import ConfigError
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.optim.choose import make_optimizer
from dpnet.optim.rule import Optimizer
from dpnet.optim.schedules import Schedule, make_schedule
from dpnet.parallel.evaluate import Evaluator
from dpnet.parallel.local_sgd import LocalTrainer, vector_names
from dpnet.parallel.plan import Plan
from dpnet.parallel.step import Trainer
from dpnet.parallel.weights import BatchWeights
from dpnet.resilience.pace import Pace
from dpnet.resilience.watchdog import Watchdog
from dpnet.state.banks import StateVectors
from dpnet.training.local import OUTER_OPTIMIZER, Recipe, build_local, build_update
from dpnet.training.parts import Parts
from dpnet.training.setup import Setup
from dpnet.training.shared import build_shared


def build_parts(setup: Setup, source: DataSource, start: StateVectors | None = None) -> Parts:
    """Build everything that takes steps, with the state `start` or, without it, initial parameters; collective."""
    job, layout, group = setup.job, setup.layout, setup.group
    plan = build_plan(job.train, len(source.train), group.world_size)
    total_steps = count_steps(job.train, len(source.train))
    optimizer, schedule = build_optimizer(job), build_schedule(job, plan.steps_per_epoch, total_steps)
    shared = build_shared(setup, source, plan, OUTER_OPTIMIZER.slots if job.train.workers else optimizer.slots)
    trainer: Trainer | LocalTrainer
    if job.train.workers:
        trainer = build_local(Recipe(setup, source, plan, optimizer, schedule, total_steps), shared)
    else:
        trainer = Trainer(
            plan=plan,
            weights=BatchWeights(source.train.weights, plan),
            feed=shared.feed,
            replica=shared.replica,
            reducer=shared.reducer,
            update=build_update(setup, shared.state, shared.reducer, optimizer),
            state=shared.state,
            exchange=shared.rows,
            schedule=schedule,
        )
    if start is None:
        start = StateVectors(aligned_zeros(layout.size, job.model.dtype), {}, 0)
        initialize(layout, job.model.activation, job.train.seed, start.params)
    trainer.load(start)
    evaluators, where = build_evaluators(setup, source, plan), (shared.board, shared.node_ranks)
    told = shared.memory, shared.exchange
    return Parts(trainer, *evaluators, source.eval_split, layout, total_steps, *told, *where, Pace(group))


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
    """Raises ConfigError if there are more ranks than workers, or than shards."""
    if 0 < train.workers < world_size:
        raise ConfigError(
            f"train.workers is {train.workers}, but there are {world_size} ranks, and each needs a worker; "
            f"start at most {train.workers} ranks, or begin a new training with more workers"
        )
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
    """The plan: one shard per rank, or as many as the job says."""
    return Plan(
        num_samples,
        train.global_batch_size,
        seed=train.seed,
        num_shards=train.fixed_shards or world_size,
        reproducible=bool(train.fixed_shards),
        exchange_every=train.sync_every if train.workers else 1,
    )


def count_steps(train: TrainConfig, num_samples: int) -> int:
    """Steps of a whole training on so many samples."""
    return train.steps or (train.epochs or 0) * count_steps_per_epoch(train, num_samples)


def count_steps_per_epoch(train: TrainConfig, num_samples: int) -> int:
    """Steps of an epoch of so many samples."""
    return ceil_div(num_samples, train.global_batch_size)


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


def names_of_vectors(job: Job) -> tuple[str, ...]:
    """The names of all that a checkpoint of the job holds beside the parameters."""
    slots = build_optimizer(job).slots
    if not job.train.workers:
        return slots
    return vector_names(OUTER_OPTIMIZER.slots, slots, range(job.train.workers))


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
