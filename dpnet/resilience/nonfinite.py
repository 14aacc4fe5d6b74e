"""Numbers that are not finite: where they came from (rank, layer, samples), and what follows.

`origin` is called after a step that met such a number. The step has updated nothing, so every rank can compute its
share of the batch once more, layer by layer, and check the rows. A row is a sample: no other sample influences it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from dpnet.comm.group import Group
from dpnet.compute.arrays import Matrix, SampleIds
from dpnet.errors import DivergenceError
from dpnet.parallel.local_sgd import LocalTrainer
from dpnet.parallel.step import Trainer

SHOWN = 10
"""Samples that are named, at most."""

Reaction = Literal["raise", "skip", "rollback"]
"""End with an error; leave the step out; go back to the last checkpoint."""


def reaction(on_nonfinite: Reaction, *, skipped_in_a_row: int, max_skips: int) -> Reaction:
    """What follows a step whose numbers are not finite.

    Args:
        on_nonfinite: what the configuration asks for.
        skipped_in_a_row: steps in a row that were skipped or rolled back, this one included.
        max_skips: so many of them are allowed.
    """
    return "raise" if skipped_in_a_row > max_skips else on_nonfinite


def origin(trainer: Trainer | LocalTrainer, group: Group, step: int) -> str:
    """In words: the first numbers of step `step` (from 0) that are not finite; collective, the same on every rank.

    The workers of local SGD have kept what was not finite in any step since they met before.
    """
    here = trainer.bad if isinstance(trainer, LocalTrainer) else of_rank(trainer, step)
    found = [(rank, host, texts) for rank, (host, texts) in enumerate(group.allgather((group.host, here))) if texts]
    return "; ".join(f"rank {rank} on {host}: {', '.join(texts)}" for rank, host, texts in found)


def left_out(trainer: Trainer | LocalTrainer, step: int, where: str) -> str:
    """What is said of numbers that were not finite in step `step`, from 1, where the training goes on; see `origin`."""
    if isinstance(trainer, LocalTrainer):
        return f"up to step {step:,} workers have left out steps whose numbers are not finite, first: {where}"
    return f"step {step:,} is not taken, its numbers are not finite: {where}"


def of_rank(trainer: Trainer, step: int) -> list[str]:
    """In words: the first number that is not finite in each shard of this rank in step `step`, from 0."""
    with np.errstate(all="ignore"):
        return [text for shard in trainer.reducer.shards if (text := _of_shard(trainer, step, shard))]


def error(what: str, where: str = "", *, step: int, skipped_in_a_row: int, learning_rate: float) -> DivergenceError:
    """The error that ends a training, the same on every rank.

    Args:
        what: the number that is not finite, "the loss" for instance.
        where: see `origin`; may be empty.
        step: of the number, from 1.
        skipped_in_a_row: steps in a row whose numbers were not finite, this one included.
        learning_rate: optimizer.learning_rate of the configuration.
    """
    again = f", as in {skipped_in_a_row} steps in a row" if skipped_in_a_row > 1 else ""
    return DivergenceError(
        f"{what} of step {step} is not finite{again}{': ' * bool(where)}{where}. Lower "
        f"optimizer.learning_rate ({learning_rate:g}), warm it up (schedule.warmup_steps), limit the "
        "gradient (optimizer.clip_norm), or see resilience.on_nonfinite. Checkpoints are as they were",
        agreed=True,
    )


def _of_shard(trainer: Trainer, step: int, shard: int) -> str:
    layers, reducer = trainer.state.layers, trainer.reducer
    num_samples = trainer.plan.batch_size(step)
    ids = trainer.plan.shard(step, shard)
    first = reducer.first_row(num_samples, shard)
    x, labels = trainer.feed.gather(step, shard, first=first)
    ids = trainer.feed.numbers(ids)
    if text := _rows("input", x, ids):
        return text
    logits = trainer.network.forward(x, layers, first=first)
    for number, (output, (weight, bias)) in enumerate(zip(trainer.network.outputs, layers, strict=True), 1):
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            return f"parameters of layer {number}"
        if text := _rows(f"output of layer {number}", output, ids):
            return text
    trainer.loss(logits, labels, trainer.weights.scale(step), trainer.weights.of_shard(step, shard))
    trainer.network.propagate(logits, reducer.dbiases)
    rows = slice(first, first + len(ids))
    for number, (_, dz) in reversed(list(enumerate(trainer.network.factors(x), 1))):
        if text := _rows(f"gradient of layer {number}", dz[rows], ids):
            return text
    bad = [number for number, dbias in enumerate(reducer.dbiases, 1) if not np.isfinite(dbias).all()]
    return f"sum of the gradients of layer {bad[-1]}" if bad else ""


def _rows(what: str, matrix: Matrix, ids: SampleIds) -> str:
    bad = ids[~np.isfinite(matrix).all(axis=1)]
    if not len(bad):
        return ""
    more = f" and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else ""
    return f"{what}, sample{'s' * (len(bad) > 1)} {', '.join(map(str, bad[:SHOWN]))}{more} of the training data"
