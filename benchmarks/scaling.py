"""Strong and weak scaling over ranks and over threads, as a table and a picture.

    python -m benchmarks.scaling [WORKLOAD ...] [--optimizer sgd|adamw] [--rounds 5] [--out scaling.png]

Weak: every rank has its own batch. Strong: the ranks share one batch, twice that of a rank. All runs take turns, round
by round. Speedups are over 1 rank of 1 thread with the same kind of batch, in the same round.
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks.contestants import Contestant
from benchmarks.picture import picture
from benchmarks.results import keep, machine, summary
from benchmarks.workloads import WORKLOADS, workload_parser
from dpnet.compute.cores.available import available_cores

Speedups = dict[str, dict[int, list[float]]]
"""For each kind of scaling and number of cores, one speedup a round."""


def contestants(most: int) -> dict[str, dict[int, Contestant]]:
    """The programs to measure, by kind of scaling and by number of cores."""
    cores = [2**power for power in range(most.bit_length()) if 2**power <= most]

    def dpnet(ranks: int, threads: int, batch_ranks: int) -> Contestant:
        return Contestant(f"{ranks}x{threads}", "dpnet_train", "dpnet", ranks, threads, batch_ranks=batch_ranks)

    return {
        "ranks, weak": {number: dpnet(number, 1, number) for number in cores},
        "ranks, strong": {number: dpnet(number, 1, 2) for number in cores},
        "threads, strong": {number: dpnet(1, number, 2) for number in cores},
    }


def measure(workload: str, options: argparse.Namespace) -> tuple[dict[str, dict[int, float]], Speedups]:
    """Measure all programs; returns samples per second (medians) and speedups."""
    kinds = contestants(available_cores())
    speeds: Speedups = {kind: {cores: [] for cores in runs} for kind, runs in kinds.items()}
    for _ in range(options.rounds):
        for kind, runs in kinds.items():
            for cores, one in runs.items():
                speeds[kind][cores].append(one.samples_per_s(workload, options.optimizer, options.seconds))
    medians = {kind: {cores: statistics.median(v) for cores, v in runs.items()} for kind, runs in speeds.items()}
    speedups = {
        kind: {cores: [one / base for one, base in zip(v, runs[1], strict=True)] for cores, v in runs.items()}
        for kind, runs in speeds.items()
    }
    return medians, speedups


def draw(results: dict[str, Speedups], path: str) -> None:
    """Draw a picture with one panel for each workload."""
    with picture(results, path, width=4, xlabel="cores", ylabel="speedup over 1 rank of 1 thread") as panels:
        for workload, speedups in results.items():
            panel, most = panels[workload], max(max(runs) for runs in speedups.values())
            panel.plot([1, most], [1, most], color="0.8", label="ideal")
            for kind, runs in speedups.items():
                middle = [statistics.median(values) for values in runs.values()]
                spread = [
                    [m - min(v) for m, v in zip(middle, runs.values(), strict=True)],
                    [max(v) - m for m, v in zip(middle, runs.values(), strict=True)],
                ]
                panel.errorbar(list(runs), middle, yerr=spread, marker="o", capsize=3, label=kind)
                panel.set(xticks=list(runs))


def main() -> None:
    """Measure, print, draw, and keep the rows."""
    parser = workload_parser(__doc__, seconds=1.0, rounds=5)
    parser.add_argument("--out", default="scaling.png")
    options = parser.parse_args()
    results, rows = {}, []
    for workload in options.workloads or WORKLOADS:
        medians, results[workload] = measure(workload, options)
        for kind, runs in medians.items():
            for cores, speed in runs.items():
                speedup = summary(results[workload][kind][cores])
                print(f"{workload:6} {kind:16} {cores:3} cores {speed:12,.0f} samples/s  x{speedup['median']:.2f}")
                what = {"workload": workload, "optimizer": options.optimizer, "kind": kind, "cores": cores}
                rows.append({**what, "samples_per_s": speed, "speedup": speedup})
    draw(results, options.out)
    print(f"{machine()}; kept in {keep('scaling', rows)}; picture in {options.out}")


if __name__ == "__main__":
    main()
