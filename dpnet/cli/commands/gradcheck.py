"""`dpnet gradcheck`: every gradient of the job's own network against central differences."""

from __future__ import annotations

import argparse

import numpy as np

from dpnet.cli.commands.shared import load_job, say
from dpnet.cli.tables import gradcheck_table
from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.compute.arrays import aligned_zeros
from dpnet.data.dataset import Dataset
from dpnet.nn.gradcheck import MAX_RELATIVE_ERROR, TensorCheck, check
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.training.build import build_plan
from dpnet.training.prepare import measure_scaling, open_data

ROWS = 32
"""Samples in the loss that is differentiated."""


def run(arguments: argparse.Namespace, group: Group) -> int:
    """Print a table; exit code 1 if a gradient is wrong."""
    job = load_job(arguments, group)
    source = open_data(job.data, group).source
    scaling = measure_scaling(job.data, source, group)

    def work() -> list[TensorCheck]:
        layout = Layout((source.features, *job.model.hidden_layers, source.classes))
        params = aligned_zeros(layout.size, np.float64)
        initialize(layout, job.model.activation, job.train.seed, params)
        ids = build_plan(job.train, len(source.train), 1).batch(0)[:ROWS]
        x, labels = Dataset(source.train, scaling, max_rows=len(ids), dtype=np.float64).gather(ids)
        return check(layout, job.model.activation, params, x, labels, seed=job.train.seed)

    results = on_root(group, work)
    say(group, gradcheck_table(results, MAX_RELATIVE_ERROR))
    return 0 if all(result.ok for result in results) else 1
