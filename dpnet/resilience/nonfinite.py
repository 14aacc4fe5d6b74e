"""Where a number that is not finite came from: which rank, which layer, which samples.

Called when a step has met one. Nothing was updated, so every rank goes through its share of the batch once more, layer
by layer, and looks at the rows. A row is a sample: what is in it concerns no other sample.
"""

from __future__ import annotations

import numpy as np

from dpnet.comm.group import Group
from dpnet.compute.arrays import Matrix, SampleIds
from dpnet.config.job import Job
from dpnet.errors import DivergenceError
from dpnet.training.build import Parts
from dpnet.training.progress import Progress

SHOWN = 10
"""Samples that are named, at most."""


def origin(parts: Parts, group: Group, step: int) -> str:
    """In words: the first numbers of step `step` (from 0) that are not finite; collective, the same on every rank."""
    with np.errstate(all="ignore"):
        here = [text for shard in parts.trainer.reducer.shards if (text := _of_shard(parts, step, shard))]
    found = [(rank, host, texts) for rank, (host, texts) in enumerate(group.allgather((group.host, here))) if texts]
    return "; ".join(f"rank {rank} on {host}: {', '.join(texts)}" for rank, host, texts in found)


def error(job: Job, progress: Progress, what: str, where: str) -> DivergenceError:
    """The error that ends a training, the same on every rank.

    Args:
        job: its configuration.
        progress: how far it is.
        what: is not finite.
        where: see `origin`; may be empty.
    """
    again = f", as in {progress.skipped_in_a_row} steps in a row" if progress.skipped_in_a_row > 1 else ""
    found = DivergenceError(
        f"{what} of step {progress.step} is not finite{again}{': ' * bool(where)}{where}. Lower "
        f"optimizer.learning_rate ({job.optimizer.learning_rate:g}), warm it up (schedule.warmup_steps), limit the "
        "gradient (optimizer.clip_norm), or see resilience.on_nonfinite. The last checkpoint is as it was"
    )
    found.agreed = True
    return found


def _of_shard(parts: Parts, step: int, shard: int) -> str:
    trainer, layers = parts.trainer, parts.state.layers
    num_samples = parts.plan.batch_size(step)
    ids = parts.plan.shard(step, shard)
    first = trainer.reducer.first_row(num_samples, shard)
    x, labels = trainer.feed.gather(step, shard, first=first)
    if text := _rows("input", x, ids):
        return text
    logits = trainer.network.forward(x, layers, first=first)
    for number, (output, (weight, bias)) in enumerate(zip(trainer.network.outputs, layers, strict=True), 1):
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            return f"parameters of layer {number}"
        if text := _rows(f"output of layer {number}", output, ids):
            return text
    trainer.loss(logits, labels, 1.0 / num_samples)
    dbiases = trainer.reducer.dbiases
    trainer.network.propagate(logits, dbiases)
    factors = trainer.network.factors(x)
    rows = slice(first, first + len(ids))
    for number, (_, dz) in reversed(list(enumerate(factors, 1))):
        if text := _rows(f"gradient of layer {number}", dz[rows], ids):
            return text
    bad = [number for number, dbias in enumerate(dbiases, 1) if not np.isfinite(dbias).all()]
    return f"sum of the gradients of layer {bad[-1]}" if bad else ""


def _rows(what: str, matrix: Matrix, ids: SampleIds) -> str:
    bad = ids[~np.isfinite(matrix).all(axis=1)]
    if not len(bad):
        return ""
    more = f" and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else ""
    return f"{what}, sample{'s' * (len(bad) > 1)} {', '.join(map(str, bad[:SHOWN]))}{more} of the training data"
