"""dpnet against what users would otherwise run on the same node: one table.

    python -m benchmarks [WORKLOAD ...] [--optimizer sgd|adamw] [--rounds 5] [--seconds 1]

All programs take turns, round by round, so that all meet the same load of the machine. A ratio compares two programs
in the same round; the table has its median, least and greatest. Rows are kept in benchmarks/results/compare.jsonl.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from benchmarks.contestants import DPNET, PEERS, REPRODUCIBLE, WEAK, Contestant
from benchmarks.results import commit, keep, machine, summary
from benchmarks.workloads import OPTIMIZERS, WORKLOADS

Speeds = dict[str, list[float]]
"""Samples per second of each contestant, one number a round."""


def measure(contestants: Sequence[Contestant], workload: str, optimizer: str, *, rounds: int, seconds: float) -> Speeds:
    """Let all contestants take turns."""
    speeds: Speeds = {one.name: [] for one in contestants}
    for _ in range(rounds):
        for one in contestants:
            speeds[one.name].append(one.samples_per_s(workload, optimizer, seconds))
    return speeds


def best_of(speeds: Speeds, names: Sequence[str]) -> str:
    """The contestant with the highest median."""
    return max(names, key=lambda name: statistics.median(speeds[name]))


def ratios(speeds: Speeds) -> dict[str, list[float]]:
    """The ratios that are claimed, round by round."""
    two_ranks, weak, reproducible = speeds["dpnet 2x1"], speeds[WEAK.name], speeds[REPRODUCIBLE.name]
    best = speeds[best_of(speeds, [one.name for one in DPNET])]
    found = {}
    for peer in PEERS:
        if peer.name in speeds:
            ours = two_ranks if peer.ranks == 2 else best
            found[("dpnet 2x1" if peer.ranks == 2 else "best dpnet") + " / " + peer.name] = _divided(
                ours, speeds[peer.name]
            )
    found["2 ranks / 2 x 1 rank (weak scaling)"] = [ratio / 2 for ratio in _divided(two_ranks, weak)]
    found["time with reproducible_shards / without"] = _divided(two_ranks, reproducible)
    return found


def _divided(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def show(workload: str, optimizer: str, speeds: Speeds) -> None:
    """Print speeds and ratios."""
    print(f"\n{workload}, {optimizer}")
    for name, values in speeds.items():
        print(f"  {name:42} {statistics.median(values):12,.0f} samples/s  ({min(values):,.0f} to {max(values):,.0f})")
    for name, values in ratios(speeds).items():
        print(f"  {name:42} {statistics.median(values):12.2f}            ({min(values):.2f} to {max(values):.2f})")


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", choices=[[], *WORKLOADS], metavar="WORKLOAD")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, help="default: both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run, after its warm-up (default: 1)")
    options = parser.parse_args()
    print(f"{machine()}, commit {commit()}; ranks x threads; medians of {options.rounds} rounds")
    contestants = [*DPNET, WEAK, REPRODUCIBLE]
    for peer in PEERS:
        if peer.missing:
            print(f"{peer.name} is left out: {peer.missing}")
        else:
            contestants.append(peer)
    for workload in options.workloads or WORKLOADS:
        for optimizer in [options.optimizer] if options.optimizer else OPTIMIZERS:
            speeds = measure(contestants, workload, optimizer, rounds=options.rounds, seconds=options.seconds)
            show(workload, optimizer, speeds)
            what = {"workload": workload, "optimizer": optimizer}
            rows = [{**what, "name": name, "unit": "samples/s", **summary(speeds[name])} for name in speeds]
            rows += [{**what, "name": name, "unit": "ratio", **summary(v)} for name, v in ratios(speeds).items()]
            keep("compare", rows)


if __name__ == "__main__":
    main()
