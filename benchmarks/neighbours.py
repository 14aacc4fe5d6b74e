"""Trainings on a machine that is not theirs alone: beside 0, 1, 2 and 4 busy processes per core.

    python -m benchmarks.neighbours [WORKLOAD ...] [--optimizer sgd|adamw] [--rounds 3] [--seconds 1]
                                    [--busy 0 1 2 4] [--out neighbours.png]

dpnet, PyTorch DDP and JAX take turns, round by round, at every load. The busy processes run before a training starts
and while it runs, as other programs would, and are not bound to cores. The fair share of a core beside N busy processes
is 1 / (N + 1). In the rounds without them, dpnet also trains on four times as many ranks as cores. Rows are kept in
benchmarks/results/neighbours.jsonl.

With 3 rounds of 1 second, both default workloads take a quarter of an hour on 2 cores.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.contestants import DPNET, PEERS, Contestant
from benchmarks.picture import picture
from benchmarks.results import commit, keep, machine, summary
from benchmarks.workloads import WORKLOADS, workload_parser
from dpnet.compute.cores.available import available_cores

Speeds = dict[str, dict[int, list[float]]]
"""Samples per second of each contestant at each number of busy processes per core, one number a round."""

DPNET_2X1, DDP = DPNET[0], PEERS[0]
PROGRAMS = [DPNET_2X1, DDP, next(peer for peer in PEERS if peer.needs == "jax")]
CROWDED = [
    Contestant("dpnet 8x1", "dpnet_train", "dpnet", 8, 1),
    Contestant("dpnet 8x1, 4 times the batch", "dpnet_train", "dpnet", 8, 1, batch_ranks=8),
]
"""More ranks than cores: with the batch of 2 ranks, and with as many samples a rank."""
SETTLE_S = 0.5


@contextlib.contextmanager
def neighbours(per_core: int) -> Iterator[None]:
    """Keep so many processes per core busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(per_core * available_cores())]
    try:
        time.sleep(SETTLE_S)
        yield
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            process.wait()


def programs() -> list[Contestant]:
    """What can be measured here; says what cannot."""
    for one in PROGRAMS:
        if one.missing:
            print(f"{one.name} is left out: {one.missing}")
    return [one for one in PROGRAMS if not one.missing]


def measure(workload: str, options: argparse.Namespace, contestants: list[Contestant]) -> Speeds:
    """Let all contestants take turns at every load."""
    speeds: Speeds = {one.name: {} for one in [*contestants, *CROWDED]}
    for _ in range(options.rounds):
        for per_core in options.busy:
            with neighbours(per_core):
                for one in contestants + ([] if per_core else CROWDED):
                    speed = one.samples_per_s(workload, options.optimizer, options.seconds)
                    speeds[one.name].setdefault(per_core, []).append(speed)
    return speeds


def ratios(speeds: Speeds) -> dict[tuple[str, int], list[float]]:
    """What is claimed, round by round, at every load: the share of the quiet speed, and dpnet against DDP."""
    found = {}
    ours = speeds[DPNET_2X1.name]
    for name, runs in speeds.items():
        for per_core, values in runs.items():
            if 0 in runs:
                found[f"{name}: share of quiet speed", per_core] = divided(values, runs[0])
            if name == DDP.name:
                found[f"{DPNET_2X1.name} / {name}", per_core] = divided(ours[per_core], values)
    for one in CROWDED:
        for per_core, values in speeds[one.name].items():
            found[f"{one.name} / {DPNET_2X1.name}", per_core] = divided(values, ours[per_core])
    return {key: values for key, values in found.items() if "share" not in key[0] or key[1]}


def divided(ours: list[float], theirs: list[float]) -> list[float]:
    """The ratios, round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def show(workload: str, speeds: Speeds) -> None:
    """Print speeds and ratios."""
    print(f"\n{workload}")
    for name, runs in speeds.items():
        for per_core, values in runs.items():
            print(f"  {name:40} {per_core} busy {statistics.median(values):12,.0f} samples/s")
    for (name, per_core), values in ratios(speeds).items():
        spread = f"({min(values):.2f} to {max(values):.2f})"
        print(f"  {name:40} {per_core} busy {statistics.median(values):12.2f} {spread}", flush=True)


def draw(results: dict[str, Speeds], path: str) -> None:
    """Draw the share of the quiet speed, with one panel for each workload."""
    labels = {"xlabel": "busy processes per core", "ylabel": "share of the quiet speed"}
    with picture(results, path, width=4.5, **labels) as panels:
        for workload, speeds in results.items():
            panel, loads = panels[workload], sorted({load for runs in speeds.values() for load in runs})
            panel.plot(loads, [1 / (load + 1) for load in loads], color="0.7", label="fair share")
            for name, runs in speeds.items():
                if len(runs) > 1 and 0 in runs:
                    shares = [statistics.median(divided(values, runs[0])) for values in runs.values()]
                    panel.plot(list(runs), shares, marker="o", label=name)
            panel.set(xticks=loads, ylim=(0, None))


def main() -> None:
    """Measure, print, draw, and keep the rows."""
    parser = workload_parser(__doc__, seconds=1.0, rounds=3)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2, 4], help="busy processes per core")
    parser.add_argument("--out", default="neighbours.png")
    options = parser.parse_args()
    print(f"{machine()}, commit {commit()}; ranks x threads; medians of {options.rounds} rounds")
    contestants, results = programs(), {}
    for workload in options.workloads or ("small", "wide"):
        assert workload in WORKLOADS, f"workloads are {', '.join(WORKLOADS)}"
        results[workload] = speeds = measure(workload, options, contestants)
        show(workload, speeds)
        what = {"workload": workload, "optimizer": options.optimizer}
        rows = [
            {**what, "name": name, "busy_per_core": load, "unit": "samples/s", **summary(values)}
            for name, runs in speeds.items()
            for load, values in runs.items()
        ]
        rows += [
            {**what, "name": name, "busy_per_core": load, "unit": "ratio", **summary(values)}
            for (name, load), values in ratios(speeds).items()
        ]
        print(f"kept in {keep('neighbours', rows)}")
    if any(len(runs) > 1 for speeds in results.values() for runs in speeds.values()):
        draw(results, options.out)
        print(f"picture in {options.out}")


if __name__ == "__main__":
    main()
