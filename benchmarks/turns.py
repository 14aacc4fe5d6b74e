"""The cost of data parallelism, apart from the effect of cores on one another: all in turns, in the same processes.

    mpirun -n 2 python -m benchmarks.turns [WORKLOAD ...] [--optimizer sgd|adamw] [--seconds 0.5] [--rounds 15]

Every round has a turn of each of these, with the same number of samples for a rank:

    alone           rank 0 trains a network of its own, and the other ranks sleep
    separate        every rank trains a network of its own
    together        all ranks train one network
    reproducible    the same, with as many `reproducible_shards` as ranks

So "separate" against "alone" is what the machine allows, and "together" against "separate" is what dpnet makes of it.
"together" has one advantage: each rank updates only its share of the parameters, where a separate rank updates all.
Rows are kept in benchmarks/results/turns.jsonl.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from dpnet.compute.threads import preset_threads

preset_threads()  # As the command `dpnet` does: before numpy is imported.

from benchmarks.peers.dpnet_train import build, stepper
from benchmarks.results import keep, machine, summary
from benchmarks.workloads import WORKLOADS, workload_parser
from dpnet.comm.connect import connect
from dpnet.comm.group import Group
from dpnet.comm.local import LocalGroup
from dpnet.comm.mpi import MPI

RATIOS = {
    "2 ranks / 2 x 1 rank": ("alone", "together"),
    "2 ranks / two separate at once": ("separate", "together"),
    "two separate at once / 2 x 1 rank": ("alone", "separate"),
    "time with reproducible_shards / without": ("reproducible", "together"),
}
"""The ratios of seconds per step that are printed."""


def kinds(workload: str, optimizer: str, group: Group) -> dict[str, Callable[[], object]]:
    """The kinds of training that take turns, each as a function that takes a step."""
    rows, ranks = WORKLOADS[workload].rows, group.world_size
    together, _ = build(workload, optimizer, rows * ranks, group, threads=1)
    reproducible, _ = build(workload, optimizer, rows * ranks, group, threads=1, reproducible_shards=ranks)
    own, _ = build(workload, optimizer, rows, LocalGroup(), threads=1)
    separate = stepper(own)
    steppers = {"alone": separate, "separate": separate}
    return steppers | {"together": stepper(together), "reproducible": stepper(reproducible)}


def turn(kind: str, step: Callable[[], object], calls: int, group: Group) -> float:
    """Seconds per step, as the mean over the ranks that took steps."""
    _sleep_until_all_are_here()
    begin = time.perf_counter()
    if kind != "alone" or group.rank == 0:
        for _ in range(calls):
            step()
    seconds = (time.perf_counter() - begin) / calls
    _sleep_until_all_are_here()
    times = group.allgather(seconds)
    return times[0] if kind == "alone" else statistics.fmean(times)


def _sleep_until_all_are_here() -> None:
    # A barrier would keep a core busy.
    here = MPI.COMM_WORLD.Ibarrier()
    while not here.Test():
        time.sleep(0.001)


def measure(workload: str, options: argparse.Namespace, group: Group) -> dict[str, list[float]]:
    """Measure all kinds; returns the seconds per step of each, in each round."""
    steps = kinds(workload, options.optimizer, group)
    calls = {}
    for kind, step in steps.items():
        turn(kind, step, 5, group)  # Warm up.
        calls[kind] = group.broadcast(max(3, int(options.seconds / turn(kind, step, 5, group))))
    found: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(options.rounds):
        for kind, step in steps.items():
            found[kind].append(turn(kind, step, calls[kind], group))
    return found


def main() -> None:
    """Measure, print, and keep the rows."""
    options = workload_parser(__doc__, seconds=0.5, rounds=15).parse_args()
    group, rows = connect(), []
    for workload in options.workloads or ("small", "wide"):
        found = measure(workload, options, group)
        if group.rank > 0:
            continue
        times = ", ".join(f"{kind} {statistics.median(values) * 1e3:.3f} ms" for kind, values in found.items())
        print(f"{workload}, {options.optimizer}, {group.world_size} ranks: {times}")
        for name, (above, below) in RATIOS.items():
            values = sorted(one / other for one, other in zip(found[above], found[below], strict=True))
            low, high = values[len(values) // 4], values[-1 - len(values) // 4]
            print(f"  {name:42} {statistics.median(values):6.3f} (quartiles {low:.3f} to {high:.3f})")
            what = {"workload": workload, "optimizer": options.optimizer, "name": name, "unit": "ratio"}
            rows.append({**what, **summary(values), "quartiles": [low, high]})
    if group.rank == 0:
        print(f"{machine()}; kept in {keep('turns', rows)}")


if __name__ == "__main__":
    main()
