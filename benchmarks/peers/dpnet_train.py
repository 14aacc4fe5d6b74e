"""dpnet: the steps of `dpnet train`, on several ranks under mpirun, or on one."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

from dpnet.compute.threads import preset_threads

preset_threads()  # As the command `dpnet` does: before numpy is imported.


from benchmarks.workloads import (
    LEARNING_RATE,
    MOMENTUM,
    WEIGHT_DECAY,
    WORKLOADS,
    peer_arguments,
    random_data,
    time_steps,
)
from dpnet.comm.connect import connect
from dpnet.comm.group import World
from dpnet.compute.backend import Backend
from dpnet.config.file import from_dict
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.training.build import build_parts
from dpnet.training.parts import Parts
from dpnet.training.prepare import prepare
from dpnet.whereabouts import HERE, row_of

RULES = {
    "sgd": {"name": "sgd", "momentum": MOMENTUM, "learning_rate": LEARNING_RATE},
    "adamw": {"name": "adamw", "weight_decay": WEIGHT_DECAY, "learning_rate": LEARNING_RATE},
}


def build(workload: str, optimizer: str, batch: int, group: World, **train: object) -> tuple[Parts, Backend]:
    """Build a training of a workload; `train` are settings of the section [train]."""
    sizes = WORKLOADS[workload].sizes
    inputs, labels = random_data(WORKLOADS[workload])
    source = DataSource("random", make_split(inputs, labels, "random", "random"), None)
    job = from_dict(
        {
            "model": {"hidden_layers": list(sizes[1:-1])},
            "train": {"global_batch_size": batch, "steps": 10**9, **train},
            "optimizer": RULES[optimizer],
        },
        where="benchmark",
    )
    setup = prepare(job, group, source, scaling=UNSCALED)
    return build_parts(setup, source), setup.backend


def stepper(parts: Parts) -> Callable[[], object]:
    """A function that takes the next step."""
    numbers = itertools.count()
    # As the training loop does: in memory that the ranks share, for the watchdog.
    HERE.relocate(row_of(parts.board.data, parts.state.node.rank))

    def take() -> None:
        step = next(numbers)
        parts.trainer.step(step)
        HERE.step_done(step + 2)

    return take


def main() -> None:
    options = peer_arguments(__doc__)
    group = connect()
    settings = {"threads": options.threads, "reproducible_shards": options.shards, "exchange": options.exchange}
    parts, _ = build(options.workload, options.optimizer, options.batch, group, **settings)
    seconds = time_steps(stepper(parts), group.barrier, options.seconds, group.broadcast, options.least)
    if group.rank == 0:
        print(parts.exchange.text, file=sys.stderr)
        print(options.batch / seconds)


if __name__ == "__main__":
    main()
