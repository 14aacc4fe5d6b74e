"""A step on the side before the first one, so that no step of the training waits for a compiler."""

from __future__ import annotations

import dataclasses

import numpy as np

from dpnet.comm.local import LocalGroup
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.nn.layout import Layout
from dpnet.training.announce import doing
from dpnet.training.build import build_parts
from dpnet.training.setup import Setup


def rehearse(setup: Setup, source: DataSource) -> None:
    """Take a step of a small network, so that all kernels are compiled; collective on a node.

    The first rank of a node compiles them; the others then find them in the cache of numba.
    """
    if not setup.backend.kernels.rules:
        return
    job, node = setup.job, setup.group.node
    hidden_layers = (2,) if job.model.hidden_layers else ()
    train = dataclasses.replace(job.train, workers=min(job.train.workers, 1), sync_every=1, reproducible_shards=0)
    small = dataclasses.replace(
        setup,
        job=dataclasses.replace(
            job,
            model=dataclasses.replace(job.model, hidden_layers=hidden_layers),
            train=dataclasses.replace(train, global_batch_size=1),
            evaluate=dataclasses.replace(job.evaluate, batch_size=1),
        ),
        group=LocalGroup(),
        layout=Layout((source.features, *hidden_layers, source.outputs)),
        scaling=dataclasses.replace(UNSCALED, targets=setup.scaling.targets),
    )
    with doing(setup.group, "loading compiled loops (compiled once, at the first start)"):
        for first in (True, False):
            if (node.rank == 0) == first:
                with np.errstate(all="ignore"):
                    build_parts(small, source).trainer.step(0)
            node.barrier()
