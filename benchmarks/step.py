"""Speed of training steps, against the speed of the matrix products that they contain.

    mpirun -n 2 python benchmarks/step.py [WORKLOAD ...] [--optimizer adamw] [--seconds 1] [--rounds 5]

Steps and bare matrix products take turns in the same run, so both see the same load of the machine. Prints, for each
workload, the median of all rounds.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from dpnet.assembly import Parts, build_parts
from dpnet.comm.connect import connect
from dpnet.comm.group import Group
from dpnet.config.file import from_dict
from dpnet.data.scaling import Scaling
from dpnet.data.sources import DataSource, Split
from dpnet.threads import choose_threads, limit_threads
from dpnet.trainer import Trainer

WORKLOADS = {
    # layer sizes, samples per rank and step
    "tiny": ((64, 64, 10), 32),
    "small": ((784, 256, 128, 10), 128),
    "deep": ((784, 1024, 1024, 1024, 10), 64),
    "wide": ((784, 2048, 2048, 10), 256),
}
OPTIMIZERS = {"sgd": {"name": "sgd", "momentum": 0.9, "learning_rate": 1e-3}, "adamw": {"name": "adamw"}}


def build(workload: str, optimizer: str, group: Group) -> tuple[Parts, int]:
    """A training of the workload on random data in memory, and its samples per step."""
    sizes, rows = WORKLOADS[workload]
    batch = rows * group.world_size
    chance = np.random.default_rng(0)
    inputs = chance.standard_normal((max(batch, 4096), sizes[0]), dtype=np.float32)
    labels = chance.integers(sizes[-1], size=len(inputs))
    labels[: sizes[-1]] = np.arange(sizes[-1])
    source = DataSource("random", Split(inputs, labels, "random", "random"), None)
    job = from_dict(
        {
            "model": {"hidden_layers": list(sizes[1:-1])},
            "train": {"global_batch_size": batch, "steps": 10**9},
            "optimizer": OPTIMIZERS[optimizer],
        },
        where="benchmark",
    )
    none = Scaling(np.zeros(1), np.ones(1))
    return build_parts(job, source, none, group), batch


def products(workload: str) -> Callable[[], None]:
    """All matrix products of one step of one rank, and nothing else."""
    sizes, rows = WORKLOADS[workload]
    chance = np.random.default_rng(0)
    random = [
        chance.standard_normal((outputs, inputs), np.float32) / inputs**0.5
        for inputs, outputs in itertools.pairwise(sizes)
    ]
    layers = [
        (chance.standard_normal((rows, weight.shape[1]), np.float32), weight, np.empty_like(weight))
        for weight in random
    ]
    outputs = [np.empty((rows, size), np.float32) for size in sizes[1:]]
    dinputs = [np.empty((rows, size), np.float32) for size in sizes[:-1]]

    def run() -> None:
        for (x, weight, _), y in zip(layers, outputs, strict=True):
            np.matmul(x, weight.T, out=y)
        for index in reversed(range(len(layers))):
            (x, weight, dweight), dy = layers[index], outputs[index]
            np.matmul(dy.T, x, out=dweight)
            if index > 0:
                np.matmul(dy, weight, out=dinputs[index])

    return run


def take_next(trainer: Trainer, steps: Iterator[int]) -> None:
    """One more step."""
    trainer.step(next(steps))


def time_per_call(call: Callable[[], object], group: Group, seconds: float) -> float:
    """Seconds per call, over at least `seconds` seconds; all ranks together."""
    group.barrier()
    begin = time.perf_counter()
    call()
    calls = max(1, int(seconds / max(time.perf_counter() - begin, 1e-6)))
    calls = group.broadcast(calls)
    group.barrier()
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    group.barrier()
    return (time.perf_counter() - begin) / calls


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    group = connect()
    threads = choose_threads(0, reproducible=False, local_world_size=group.local_world_size)
    limit_threads(threads)
    if group.rank == 0:
        print(f"{group.world_size} ranks of {threads} threads, {options.optimizer}, median of {options.rounds}")
        print("workload   samples/s   step ms   products ms   step / products")
    for workload in options.workloads:
        parts, batch = build(workload, options.optimizer, group)
        step = functools.partial(take_next, parts.trainer, itertools.count())
        bare = products(workload)
        times = []
        for _ in range(options.rounds):
            step_s = time_per_call(step, group, options.seconds)
            times.append((step_s, time_per_call(bare, group, options.seconds)))
        step_s = statistics.median(whole for whole, _ in times)
        bare_s = statistics.median(part for _, part in times)
        ratio = statistics.median(whole / part for whole, part in times)
        if group.rank == 0:
            print(f"{workload:8} {batch / step_s:11,.0f} {step_s * 1e3:9.3f} {bare_s * 1e3:13.3f} {ratio:17.2f}")


if __name__ == "__main__":
    main()
