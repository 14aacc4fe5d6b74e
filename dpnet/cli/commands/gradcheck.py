"""`dpnet gradcheck`: every gradient of the job's own network against central differences."""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

from dpnet.cli.commands.shared import load_job
from dpnet.cli.tables import gradcheck_table
from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.compute.arrays import aligned_zeros
from dpnet.nn.gradcheck import MAX_RELATIVE_ERROR, TensorCheck, check
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.training.announce import say
from dpnet.training.build import build_layout, build_plan
from dpnet.training.prepare import open_data, prepare
from dpnet.training.setup import choose_available_backend

ROWS = 32
"""Samples in the loss that is differentiated."""


def run(arguments: argparse.Namespace, group: World) -> int:
    """Print a table; exit code 1 if a gradient is wrong."""
    job = load_job(arguments, group)
    # In float32 the differences of the loss would be nothing but rounding errors.
    job = dataclasses.replace(job, model=dataclasses.replace(job.model, dtype="float64"))
    source = open_data(job, group)
    backend = choose_available_backend(job.train, group, build_layout(job, source).sizes)
    setup = prepare(job, group, source, backend=backend)

    def work() -> list[TensorCheck]:
        layout, backend = Layout(setup.layout.sizes), setup.backend  # Of frozen layers too.
        params = aligned_zeros(layout.size, np.float64)
        initialize(layout, job.model.activation, job.train.seed, params)
        ids = build_plan(job.train, len(source.train), 1).batch(0)[:ROWS]
        replica = setup.training_replica(source.train, len(ids))
        how = job.model.activation, params, *replica.dataset.gather(ids)
        products, loops = backend.products, backend.kernels.loops
        return check(layout, *how, seed=job.train.seed, loss=replica.loss, products=products, loops=loops)

    results = on_root(group, work)
    say(group, gradcheck_table(results, MAX_RELATIVE_ERROR))
    return 0 if all(result.ok for result in results) else 1
