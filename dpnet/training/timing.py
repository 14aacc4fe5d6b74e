"""How fast a job trains: its steps alone, without evaluation, checkpoints or files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dpnet.comm.agree import on_root
from dpnet.comm.group import Group, World
from dpnet.config.job import Job
from dpnet.training.build import build_parts, check_world_size
from dpnet.training.parts import Parts
from dpnet.training.prepare import open_data, prepare

WARM_UP_STEPS = 5
LEAST_S = 0.25
"""Seconds that a measurement must take to tell whether the cores were free."""


class Speed(NamedTuple):
    """A measurement.

    Attributes:
        samples_per_s: of all ranks together.
        contended: sentences on who else took the cores meanwhile, one for each machine where somebody did.
    """

    samples_per_s: float
    contended: Sequence[str]


def measure_speed(job: Job, group: World, seconds: float) -> Speed:
    """Measure how fast a job trains, for about `seconds` seconds; collective.

    Raises:
        DpnetError: see `dpnet.errors`.
    """
    on_root(group, lambda: check_world_size(job.train, group.world_size))
    source = open_data(job, group)
    parts = build_parts(prepare(job, group, source), source)
    with np.errstate(all="ignore"):
        take_steps(parts, group, 0, WARM_UP_STEPS)
        per_step = take_steps(parts, group, WARM_UP_STEPS, WARM_UP_STEPS) / WARM_UP_STEPS
        # Rank 0 decides, so that all take as many steps.
        steps = group.broadcast(max(WARM_UP_STEPS, int(seconds / per_step)))
        first = 2 * WARM_UP_STEPS
        parts.stragglers.contended()  # From here on.
        elapsed = take_steps(parts, group, first, steps)
    samples = parts.plan.samples_before(first + steps) - parts.plan.samples_before(first)
    # The counters of the system are too coarse for less.
    return Speed(samples / elapsed, parts.stragglers.contended() if group.broadcast(elapsed) >= LEAST_S else [])


def take_steps(parts: Parts, group: Group, first: int, steps: int) -> float:
    """Take steps, begun and ended by all of `group` at once; returns the seconds that they took; collective."""
    group.barrier()
    begin_s = time.perf_counter()
    for step in range(first, first + steps):
        parts.trainer.step(step)
    group.barrier()
    return time.perf_counter() - begin_s
