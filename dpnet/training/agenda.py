"""The agenda: what is due after a step, as pure functions.

`due` and `why_stop` follow from numbers that every rank has, so every rank decides alike. `requests` is what one rank
asks of the others; the requests of all ranks reach every rank in the sums of the step.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import NamedTuple

from dpnet.config.job import Job
from dpnet.errors import INTERRUPTED_EXIT_CODE, Interrupted, Preempted
from dpnet.parallel.step_sums import NOTHING, Requests, Sums
from dpnet.resilience import pace

SIGNAL = "a signal came"


class Intervals(NamedTuple):
    """Intervals: steps from one time to the next; 0: never.

    Attributes:
        report: between rows about steps.
        evaluate: between evaluations.
        save: between checkpoints, as far as they are counted in steps.
        compare_replicas: between replica checks, which compare the parameters of all nodes.
        find_stragglers: between checks for a rank that the others wait for.
        epoch: in a pass over the training data.
    """

    report: int
    evaluate: int
    save: int
    compare_replicas: int
    find_stragglers: int = 0
    epoch: int = 0


class Due(NamedTuple):
    """What is due after a step: see Intervals. `check`: a rank can no longer write checkpoints, and all must know."""

    report: bool
    evaluate: bool
    save: bool
    compare_replicas: bool
    find_stragglers: bool
    epoch: bool
    check: bool


NOTHING_DUE = Due(*[False] * len(Due._fields))


def intervals(job: Job, steps_per_epoch: int, *, evaluates: bool, several_nodes: bool) -> Intervals:
    """The intervals of a job.

    Args:
        job: the configuration.
        steps_per_epoch: of its plan.
        evaluates: there is something to evaluate with.
        several_nodes: there are several nodes, each of which holds the parameters; one has nothing to compare with.
    """
    return Intervals(
        report=job.output.log_every_steps,
        evaluate=job.evaluate.interval_steps(steps_per_epoch) if evaluates else 0,
        save=job.checkpoint.interval_steps(steps_per_epoch),
        compare_replicas=job.resilience.digest_every if several_nodes else 0,
        find_stragglers=pace.EVERY_STEPS,
        epoch=steps_per_epoch,
    )


def due(step: int, total_steps: int, every: Intervals, sums: Sums, span: int = 1) -> Due:
    """What is due after a step, or after some steps, between which nothing could be done.

    Args:
        step: the last step, from 1. After that of all rows, evaluation and checkpoint are due, if they ever are.
        total_steps: of the training.
        every: the intervals.
        sums: of these steps, with what ranks have asked for.
        span: number of these steps.
    """
    for interval in every:
        if interval and step % interval < span:
            break
    else:
        if step != total_steps and not sums.saves and not sums.failures:
            return NOTHING_DUE  # After nearly every step: that must take no time.
    report, evaluate, save, compare, find, epoch = every
    ends = step == total_steps
    return Due(
        report=report > 0 and (ends or step % report < span),
        evaluate=evaluate > 0 and (ends or step % evaluate < span),
        save=(save > 0 and (ends or step % save < span)) or sums.saves > 0,
        compare_replicas=compare > 0 and step % compare < span,
        find_stragglers=find > 0 and step % find < span,
        epoch=epoch > 0 and (ends or step % epoch < span),
        check=sums.failures > 0,
    )


def requests(*, save: bool, stop: bool, fail: bool) -> Requests:
    """What this rank asks of all others in the next step; usually nothing, which is always the same object."""
    return Requests(save, stop, fail) if save or stop or fail else NOTHING


def saves_checkpoints(job: Job, steps_per_epoch: int) -> bool:
    """Whether the job writes checkpoints at all."""
    return bool(job.checkpoint.interval_steps(steps_per_epoch) or job.checkpoint.every_seconds)


def why_stop(sums: Sums, *, restarts: bool, at_checkpoint: bool) -> str:
    """Why the training stops after a step, to be started again; empty: it goes on.

    Args:
        sums: of the step.
        restarts: ranks were lost, and `resilience.after_loss` is "restart".
        at_checkpoint: the step has a checkpoint, or the job writes none.
    """
    if sums.stops:
        return SIGNAL
    if restarts and at_checkpoint:
        return "ranks were lost, and resilience.after_loss is restart"
    return ""


def preempted(why: str, step: int, total_steps: int, exit_code: int, *, signals: Sequence[str]) -> Preempted:
    """The error that ends a training after a step, with a checkpoint.

    Args:
        why: it ends.
        step: after which it ends.
        total_steps: of the training.
        exit_code: of the command, unless it was interrupted.
        signals: the first that each rank got, by name; "" of a rank that got none.
    """
    where = f"stopped after step {step:,} of {total_steps:,}, with a checkpoint"
    if signal.SIGINT.name in signals:
        return Interrupted(where, INTERRUPTED_EXIT_CODE)
    came = f"{next(filter(None, signals), 'a signal')} came"
    return Preempted(f"{came if why == SIGNAL else why}: {where}", exit_code)
