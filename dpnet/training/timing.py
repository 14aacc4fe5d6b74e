"""How fast a job trains: its steps alone, without evaluation, checkpoints or files."""

from __future__ import annotations

import time

import numpy as np

from dpnet.comm.agree import on_root
from dpnet.comm.group import Group, World
from dpnet.config.job import Job
from dpnet.training.build import build_parts
from dpnet.training.parts import Parts
from dpnet.training.prepare import check_world_size, open_data, prepare

WARM_UP_STEPS = 5


def samples_per_s(job: Job, group: World, seconds: float) -> float:
    """Samples per second of all ranks together, measured for about `seconds` seconds; collective.

    Raises:
        DpnetError: see `dpnet.errors`.
    """
    on_root(group, lambda: check_world_size(job.train, group.world_size))
    source = open_data(job.data, group)
    parts = build_parts(prepare(job, group, source), source)
    with np.errstate(all="ignore"):
        _take(parts, group, 0, WARM_UP_STEPS)
        per_step = _take(parts, group, WARM_UP_STEPS, WARM_UP_STEPS) / WARM_UP_STEPS
        # Rank 0 decides, so that all take as many steps.
        steps = group.broadcast(max(WARM_UP_STEPS, int(seconds / per_step)))
        first = 2 * WARM_UP_STEPS
        elapsed = _take(parts, group, first, steps)
    return (parts.plan.samples_before(first + steps) - parts.plan.samples_before(first)) / elapsed


def _take(parts: Parts, group: Group, first: int, steps: int) -> float:
    """Take steps; returns the seconds that they took."""
    group.barrier()
    begin_s = time.perf_counter()
    for step in range(first, first + steps):
        parts.trainer.step(step)
    group.barrier()
    return time.perf_counter() - begin_s
