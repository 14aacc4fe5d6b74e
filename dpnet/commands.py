"""What each command does. Every rank runs it."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import numpy as np

from dpnet import checkpoint, prediction, timing, training
from dpnet import tune as tuning
from dpnet.arguments import overrides
from dpnet.arrays import aligned_zeros
from dpnet.assembly import build_plan
from dpnet.checkpoints import resolve
from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.config import file as config_file
from dpnet.config.job import Job
from dpnet.data.dataset import Dataset
from dpnet.errors import ConfigError
from dpnet.inputs import measure_scaling, open_data
from dpnet.nn.gradcheck import MAX_RELATIVE_ERROR, TensorCheck, check
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.tables import checkpoint_table, gradcheck_table

GRADCHECK_ROWS = 32
"""Samples in the loss that `gradcheck` differentiates."""


def _load_job(arguments: argparse.Namespace, group: Group) -> Job:
    return on_root(group, lambda: config_file.load(arguments.job, overrides(arguments)))


def _say(group: Group, text: str) -> None:
    if group.rank == 0:
        print(text, flush=True)


def train(arguments: argparse.Namespace, group: Group) -> int:
    """Train a network."""
    training.train(_load_job(arguments, group), group, resume=arguments.resume)
    return 0


def evaluate(arguments: argparse.Namespace, group: Group) -> int:
    """Print the scores of a trained network."""
    network = prediction.load_network(arguments.checkpoint, group)
    scores = prediction.evaluate(network, arguments.data, group, split=arguments.split, batch_size=arguments.batch_size)
    _say(group, f"accuracy {scores.accuracy:.4%}  loss {scores.loss:.6f}  samples {scores.samples}")
    return 0


def predict(arguments: argparse.Namespace, group: Group) -> int:
    """Write the predictions of a trained network."""
    network = prediction.load_network(arguments.checkpoint, group)
    count = prediction.predict(
        network,
        arguments.data,
        Path(arguments.out),
        group,
        split=arguments.split,
        batch_size=arguments.batch_size,
    )
    _say(group, f"{count} predictions in {arguments.out}")
    return 0


def inspect(arguments: argparse.Namespace, group: Group) -> int:
    """Print what a checkpoint holds."""

    def table() -> str:
        path = resolve(Path(arguments.checkpoint))
        return checkpoint_table(path, checkpoint.read(path))

    _say(group, on_root(group, table))
    return 0


def digest(arguments: argparse.Namespace, group: Group) -> int:
    """Print the sha256 of the parameters of a checkpoint."""
    _say(group, on_root(group, lambda: checkpoint.digest(checkpoint.read(resolve(Path(arguments.checkpoint))).model)))
    return 0


def gradcheck(arguments: argparse.Namespace, group: Group) -> int:
    """Compare the gradients of the job's own network with central differences; exit code 1 if they differ."""
    job = _load_job(arguments, group)
    source = open_data(job.data, group).source
    scaling = measure_scaling(job.data, source, group)

    def work() -> list[TensorCheck]:
        layout = Layout((source.features, *job.model.hidden_layers, source.classes))
        params = aligned_zeros(layout.size, np.float64)
        initialize(layout, job.model.activation, job.train.seed, params)
        ids = build_plan(job.train, len(source.train), 1).batch(0)[:GRADCHECK_ROWS]
        x, labels = Dataset(source.train, scaling, max_rows=len(ids), dtype=np.float64).gather(ids)
        return check(layout, job.model.activation, params, x, labels, seed=job.train.seed)

    results = on_root(group, work)
    _say(group, gradcheck_table(results, MAX_RELATIVE_ERROR))
    return 0 if all(result.ok for result in results) else 1


def time(arguments: argparse.Namespace, group: Group) -> int:
    """Print how fast a job trains."""
    speed = timing.samples_per_s(_load_job(arguments, group), group, arguments.seconds)
    _say(group, f"{speed:,.1f} samples/s")
    return 0


def tune(arguments: argparse.Namespace, group: Group) -> int:
    """Find the best number of ranks and threads for a job."""
    if group.world_size > 1:
        error = ConfigError("dpnet tune starts ranks itself; start it without mpirun or dpnet launch")
        error.agreed = True
        raise error
    job = _load_job(arguments, group)
    words = [*([arguments.job] if arguments.job else []), *(w for s in arguments.overrides for w in ("--set", s))]
    tuning.tune(job, words, arguments.seconds, functools.partial(print, flush=True))
    return 0


def init(arguments: argparse.Namespace, group: Group) -> int:
    """Write a commented job file."""
    on_root(group, lambda: config_file.write_template(Path(arguments.path)))
    _say(group, f"wrote {arguments.path}; train with: dpnet train {arguments.path}")
    return 0


def plot(arguments: argparse.Namespace, group: Group) -> int:
    """Draw learning curves."""

    def work() -> None:
        from dpnet.plot import plot_runs  # Not above: matplotlib is an extra.

        plot_runs([Path(run) for run in arguments.runs], Path(arguments.out))

    on_root(group, work)
    _say(group, f"wrote {arguments.out}")
    return 0
