"""Speed of training steps, against the speed of their matrix products alone.

    mpirun -n 2 python -m benchmarks.step [WORKLOAD ...] [--optimizer sgd|adamw] [--seconds 1] [--rounds 5]

Steps and bare matrix products, on the same library and threads, take turns in the same run, so both meet the same load
of the machine. For each workload the medians of all rounds are printed, and where the time of a step goes on rank 0.
The matrix products are in `forward`, `backward`, `add` and `gradient`; the time that ranks wait for one another is in
`reduce` and `commit`. Rows are kept in benchmarks/results/step.jsonl.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

from dpnet.compute.threads import preset_threads

preset_threads()  # As the command `dpnet` does: before numpy is imported.

import numpy as np

from benchmarks.peers.dpnet_train import build, stepper
from benchmarks.results import keep, machine, summary
from benchmarks.workloads import WORKLOADS, time_steps, workload_parser
from dpnet.comm.connect import connect
from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.products.interface import Products
from dpnet.compute.shares import ceil_div
from dpnet.parallel.step import Trainer
from dpnet.training.build import Parts

PHASES = {
    "gather": ("feed", "gather"),
    "forward": ("network", "forward"),
    "backward": ("network", "propagate"),
    "add": ("reducer", "add"),
    "reduce": ("reducer", "reduce"),
    "update": ("update", "apply"),
    "commit": ("state", "commit"),
}
"""The part of the trainer and its method that make up each phase; the rest of a step is loss, plan and Python."""


def bare_products(workload: str, ranks: int, products: Products) -> Callable[[], None]:
    """A function that computes all matrix products of one step of one rank, and nothing else.

    The rank goes forward and back with its own rows, and computes its share of the weights' gradients over all rows.
    """
    sizes, rows = WORKLOADS[workload].sizes, WORKLOADS[workload].rows
    chance = np.random.default_rng(0)

    def random(*shape: int) -> Any:
        array = aligned_zeros(shape, np.float32)
        array[...] = chance.standard_normal(shape) / shape[-1] ** 0.5
        return array

    forward, backward, gradient = [], [], []
    for i, o in itertools.pairwise(sizes):
        whole_x, whole_dz, weight = random(rows * ranks, i), random(rows * ranks, o), random(i, o)
        share = ceil_div(i, ranks)
        forward.append((whole_x[:rows], weight, random(rows, o)))
        backward.append((whole_dz[:rows], weight, random(rows, i)))
        gradient.append((whole_x[:, :share], whole_dz, random(share, o)))

    calls = [products.bind(*arrays) for arrays in forward]
    calls += [products.bind(*arrays, transpose_b=True) for arrays in backward[:0:-1]]
    calls += [products.bind(*arrays, transpose_a=True) for arrays in gradient]

    def run() -> None:
        for call in calls:
            call()

    return run


def time_phases(trainer: Trainer, step: Callable[[], object], calls: int) -> dict[str, float]:
    """Measure the seconds of each phase per step."""
    seconds = dict.fromkeys([*PHASES, "gradient"], 0.0)

    def timed(phase: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            result = method(*arguments, **named)
            seconds[phase] += time.perf_counter() - begin
            return result

        return call

    for phase, (part, name) in PHASES.items():
        owner = getattr(trainer, part)
        setattr(owner, name, timed(phase, getattr(owner, name)))
    # The gradient is computed within the update, tile by tile.
    tiles = trainer.update._tiles
    trainer.update._tiles = [(timed("gradient", prepare), apply) for prepare, apply in tiles]
    begin = time.perf_counter()
    for _ in range(calls):
        step()
    whole = time.perf_counter() - begin
    for part, name in PHASES.values():
        delattr(getattr(trainer, part), name)
    trainer.update._tiles = tiles
    seconds["update"] -= seconds["gradient"]  # The gradient was computed within the update.
    seconds["rest"] = whole - sum(seconds.values())
    return {phase: value / calls for phase, value in seconds.items()}


def measure(
    parts: Parts, bare: Callable[[], None], options: argparse.Namespace, group: Any
) -> list[tuple[float, float]]:
    """Measure a step, and its products alone; returns the seconds of both in each round."""
    step = stepper(parts)
    return [
        (
            time_steps(step, group.barrier, options.seconds, group.broadcast),
            time_steps(bare, group.barrier, options.seconds, group.broadcast),
        )
        for _ in range(options.rounds)
    ]


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = workload_parser(__doc__, seconds=1.0, rounds=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--blas", choices=("auto", "numpy", "onednn", "mkl"), default="auto")
    parser.add_argument("--kernels", choices=("auto", "numpy", "numba"), default="auto")
    options = parser.parse_args()
    group, rows = connect(), []
    train = {"threads": options.threads, "blas": options.blas, "kernels": options.kernels}
    for workload in options.workloads or WORKLOADS:
        batch = WORKLOADS[workload].rows * group.world_size
        parts, backend = build(workload, options.optimizer, batch, group, **train)
        times = measure(parts, bare_products(workload, group.world_size, backend.products), options, group)
        calls = group.broadcast(max(10, int(options.seconds / times[0][0])))  # Every rank measured other times.
        phases = time_phases(parts.trainer, stepper(parts), calls)
        if group.rank == 0:
            ratio = summary([whole / bare for whole, bare in times])
            step_s, bare_s = (statistics.median(column) for column in zip(*times, strict=True))
            how = f"{group.world_size}x{backend.threads}, {backend.products.name}, {backend.kernels.name}"
            print(f"{workload}, {options.optimizer}, {how}: {batch / step_s:,.0f} samples/s; {step_s * 1e3:.3f} ms")
            print(f"  {ratio['median']:.2f} times its products ({ratio['least']:.2f} to {ratio['greatest']:.2f})")
            print("  " + ", ".join(f"{phase} {value / sum(phases.values()):.1%}" for phase, value in phases.items()))
            rows.append(
                {"workload": workload, "optimizer": options.optimizer, "ranks": group.world_size}
                | {"threads": backend.threads, "blas": backend.products.name, "kernels": backend.kernels.name}
                | {"samples_per_s": batch / step_s, "step_s": step_s, "products_s": bare_s, "ratio": ratio}
                | {"phases_s": phases}
            )
    if group.rank == 0:
        print(f"{machine()}; kept in {keep('step', rows)}")


if __name__ == "__main__":
    main()
