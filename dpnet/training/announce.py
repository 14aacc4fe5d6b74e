"""What a training prints before it takes its first step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dpnet.about import __version__
from dpnet.comm.group import Group
from dpnet.compute.backend import NUMPY
from dpnet.compute.cores.available import core_set
from dpnet.compute.cores.usage import others_text
from dpnet.compute.loops.choose import remark
from dpnet.compute.shares import ceil_div
from dpnet.config.data import MEMORY
from dpnet.config.job import EvaluateConfig, Job
from dpnet.config.keys import toml_value
from dpnet.config.model import METRICS
from dpnet.data.remarks import remarks
from dpnet.data.sources import DataSource
from dpnet.environment import loss_obstacle
from dpnet.nn.layout import Layout
from dpnet.output.screen import current
from dpnet.output.screen import doing as screen_doing
from dpnet.text import complain, counted
from dpnet.training.progress import Progress

if TYPE_CHECKING:
    from dpnet.training.parts import Parts
    from dpnet.training.prepare import TrainingData
    from dpnet.training.setup import Setup


def say(group: Group, text: str) -> None:
    """Print a line, once for all ranks."""
    if group.rank == 0:
        current().say(text)


def doing(group: Group, what: str) -> contextlib.AbstractContextManager[None]:
    """Tell what all ranks are doing, if the block takes long."""
    return screen_doing(what) if group.rank == 0 else contextlib.nullcontext()


def complete_already(path: Path, progress: Progress, total_steps: int, evaluate: EvaluateConfig) -> str:
    """What is said of a training that has no step left to take."""
    if progress.step >= total_steps:
        return f"{path} is complete already, {counted(progress.step, 'step')}; to train anew: --resume never"
    return (
        f"{path} is complete already: evaluate.patience = {evaluate.patience} stopped it after {progress.step:,} of "
        f"{total_steps:,} steps, with no improvement in {progress.evaluations_waited} evaluations; a larger "
        "evaluate.patience goes on; to train anew: --resume never"
    )


def aside(group: Group, text: str) -> None:
    """Print a line that is no part of a command's output, once for all ranks: on the standard error."""
    if group.rank == 0:
        complain(text)


def announce(setup: Setup, data: TrainingData, parts: Parts, step: int) -> None:
    """Print what is about to be trained, where, from which step on, and what is odd about it; collective."""
    group, source = setup.group, data.source
    num_hosts = len(set(group.allgather(group.host)))
    say(group, training_text(setup, source, parts, group.world_size, num_hosts, step))
    if group.world_size > 1:
        obstacle = loss_obstacle()
        say(group, f"a lost rank ends the job: {obstacle}" if obstacle else "lost ranks are survived")
    if group.rank == 0 and (text := remark(setup.job.train.kernels, setup.backend.kernels)):
        say(group, text)
    if group.rank == 0:
        odd = remarks(source, data.moments, data.identity["arrays"])
        for text in [*odd, *_without_effect(setup.job, source, parts, group.world_size), *_on_busy_cores(setup)]:
            say(group, f"note: {text}")
    if step:
        say(group, f"going on from the checkpoint of step {step:,}")


def _without_effect(job: Job, source: DataSource, parts: Parts, world_size: int) -> Iterator[str]:
    """What has no effect in this training, as only its data tell."""
    total_steps = parts.total_steps
    if job.schedule.warmup_steps >= total_steps:
        yield (
            f"schedule.warmup_steps is {job.schedule.warmup_steps:,}, and the training has "
            f"{counted(total_steps, 'step')}: it ends before the learning rate has grown to optimizer.learning_rate"
        )
    if job.train.workers and job.train.sync_every >= total_steps > 1:
        yield (
            f"train.sync_every is {job.train.sync_every:,}, and the training has {counted(total_steps, 'step')}: the "
            "workers meet once, at the end"
        )
    if not parts.chooses and job.evaluate.metric != METRICS[job.model.task][0]:
        yield (
            f"evaluate.metric is {toml_value(job.evaluate.metric)}, which chooses nothing without validation data "
            "(data.validation): it is only shown"
        )
    if job.train.wire != "float32" and len(parts.node_ranks) == world_size:
        yield f"train.wire is {toml_value(job.train.wire)}, which has no effect: all ranks share the memory of one node"
    if parts.evaluator is None and source.validation is not None:
        yield f"{counted(len(source.validation), 'validation sample')} without a use: evaluations are turned off"


def _on_busy_cores(setup: Setup) -> Iterator[str]:
    """That other programs are on the cores of a rank of several threads.

    Threads of numpy's BLAS wait for each other at every product. Where another program has the core of one of them, a
    step takes as many times as long as the scheduler lets that program run.
    """
    backend = setup.backend
    if setup.group.world_size > 1 or backend.threads == 1 or setup.job.train.threads:
        return
    if backend.products.name == NUMPY.products and (others := others_text(core_set())):
        yield f"{others}; threads then wait for each other at every step: train.threads=1 is faster, or dpnet launch"


def training_text(
    setup: Setup, source: DataSource, parts: Parts, world_size: int, num_hosts: int, step: int = 0
) -> str:
    """What is about to be trained, and where, from which step on."""
    job, backend, layout = setup.job, setup.backend, setup.layout
    name = "in memory" if job.data.source == MEMORY else source.name
    others = [f"{len(split):,} {name} samples" for name, split in source.splits.items() if split is not source.train]
    if source.test is None:
        others.append("no test samples")
    size = parts.plan.global_batch_size
    share = " or ".join(map(str, sorted({size // world_size, ceil_div(size, world_size)}))) + " on each rank"
    if job.train.workers:
        share = f"in {counted(job.train.workers, 'part')}"
    elif job.train.reproducible_shards:  # These need not be shared out evenly: see `parallel.deal`.
        share = counted(parts.plan.num_shards, "shard")
    lines = [
        f"dpnet {__version__}: {counted(world_size, 'rank')} on {counted(num_hosts, 'host')}, "
        f"{counted(backend.threads, 'thread')} a rank; matrix products by {backend.products.name}, "
        f"loops by {backend.kernels.name}",
        f"network {'-'.join(map(str, layout.sizes))}, {job.model.activation}, {layout.num_params:,} parameters; "
        f"{job.optimizer.name}",
        *frozen_text(layout, trained=setup.pretrained is not None or step > 0),
        ", ".join([f"data {name}: {len(source.train):,} training samples", *others]),
        *_workers_text(job, parts),
        f"{counted(parts.total_steps, 'step')} of {size} samples, {share}; {job.output.dir}",
    ]
    if world_size > 1:
        between = [f"between nodes: {parts.exchange.text}"] if parts.exchange.text else []
        lines[2:2] = [f"memory {parts.memory}", *between]
    return "\n".join(lines)


def _workers_text(job: Job, parts: Parts) -> list[str]:
    """A line on the workers of local SGD; none without them."""
    train, optimizer = job.train, job.optimizer
    if not train.workers:
        return []
    met = ceil_div(parts.total_steps, train.sync_every)
    return [
        f"local SGD: {counted(train.workers, 'worker')}, each with parameters of its own, synchronised every "
        f"{counted(train.sync_every, 'step')}, {counted(met, 'time')} in all; outer learning rate "
        f"{optimizer.outer_learning_rate:g}, outer momentum {optimizer.outer_momentum:g}"
    ]


def frozen_text(layout: Layout, *, trained: bool) -> list[str]:
    """A line on what is not trained; none if all is. It was `trained` before, or may have been."""
    if not layout.frozen:
        return []
    number = sum(tensor.stop - tensor.start for tensor in layout.tensors if not tensor.is_frozen)
    names = ", ".join(str(2 * layer) for layer in sorted(layout.frozen))
    verb = "layer {} is" if len(layout.frozen) == 1 else "layers {} are"
    never = "" if trained else " with initial parameters, which nothing has trained"
    return [f"{verb.format(names)} frozen{never}: {number:,} of {layout.num_params:,} parameters are trained"]
