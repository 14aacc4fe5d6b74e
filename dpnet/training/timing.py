"""How fast a job trains: its steps alone, without evaluation, checkpoints and files."""

from __future__ import annotations

import time

import numpy as np

from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.config.job import Job
from dpnet.training.build import Parts, build_parts, check_world_size, rehearse
from dpnet.training.prepare import choose_backend, measure_scaling, open_data

WARM_UP_STEPS = 5


def samples_per_s(job: Job, group: Group, seconds: float) -> float:
    """Samples per second of all ranks together, in steps that take about `seconds` seconds; called by every rank.

    Raises:
        DpnetError: see `dpnet.errors`.
    """
    on_root(group, lambda: check_world_size(job.train, group.world_size))
    backend = choose_backend(job.train, group)
    source = open_data(job.data, group).source
    scaling = measure_scaling(job.data, source, group)
    rehearse(job, source, group, backend)
    parts = build_parts(job, source, scaling, group, backend)
    with np.errstate(all="ignore"):
        _take(parts, group, 0, WARM_UP_STEPS)
        per_step = _take(parts, group, WARM_UP_STEPS, WARM_UP_STEPS) / WARM_UP_STEPS
        # Rank 0 decides, so that all take as many steps.
        steps = group.broadcast(max(WARM_UP_STEPS, int(seconds / per_step)))
        first = 2 * WARM_UP_STEPS
        elapsed = _take(parts, group, first, steps)
    return (parts.plan.samples_before(first + steps) - parts.plan.samples_before(first)) / elapsed


def _take(parts: Parts, group: Group, first: int, steps: int) -> float:
    """Take steps, and return how long it took."""
    group.barrier()
    begin_s = time.perf_counter()
    for step in range(first, first + steps):
        parts.trainer.step(step)
    group.barrier()
    return time.perf_counter() - begin_s
