"""`dpnet estimate` against the truth: on hosts with links of several speeds, what it says and what a step takes.

    python -m benchmarks.estimate [WORKLOAD ...] [--hosts 2 4] [--links 100mbit 1gbit off]

The hosts are those of benchmarks.nodes: of this machine, whose cores they share, so only root may make them. Estimate
and training run in turns, one rank a host, with the same network, samples and batch. The estimate measures what hosts
compute, and the links between them; it never sees a training on several hosts. A ratio is estimated by measured time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nodes import PROGRAMS, Race
from benchmarks.peers.dpnet_train import RULES
from benchmarks.results import keep, machine, summary
from benchmarks.workloads import WORKLOADS, random_data, workload_parser
from dpnet.config.keys import toml_value
from tests.helpers.hosts import Hosts, obstacle

TRAINING = next(program for program in PROGRAMS if program.name == "dpnet")


def write_job(folder: Path, workload: str, hosts: int, optimizer: str) -> Path:
    """The job that benchmarks.peers.dpnet_train trains on these hosts, as a file, with its data."""
    one = WORKLOADS[workload]
    data, path = folder / f"{workload}.npz", folder / f"{workload}-{hosts}.toml"
    if not data.exists():
        inputs, labels = random_data(one)
        np.savez(data, x_train=inputs, y_train=labels)
    sections: dict[str, dict[str, Any]] = {
        "data": {"source": str(data), "scale": "none"},
        "model": {"hidden_layers": list(one.sizes[1:-1])},
        "train": {"global_batch_size": one.rows * hosts, "threads": 1},
        "optimizer": RULES[optimizer],
    }
    lines = [
        line
        for name, keys in sections.items()
        for line in (f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in keys.items()))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def estimated_ms(race: Race, job: Path, hosts: int, seconds: float) -> tuple[float, str]:
    """Milliseconds of a step, and what would be exchanged, as `dpnet estimate` says on these hosts."""
    options = ["--nodes", str(hosts), "--seconds", str(seconds), "--json"]
    done = race.mpirun([sys.executable, "-m", "dpnet", "estimate", str(job), *options])
    found = next((json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")), None)
    if done.returncode or found is None:
        raise RuntimeError(f"dpnet estimate failed with {done.returncode}: {done.stderr[-2000:]}")
    row = found["nodes"][0]
    rate = f"{found['bandwidth_bytes_s'] / 1e6:,.0f} MB/s"
    parts = f"{1e3 * row['compute_s']:.1f} + {1e3 * row['exchange_s']:.1f} ms"
    return 1e3 * row["step_s"], f"{row['exchange']}, {parts}, {rate}"


def measure(workload: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of a workload, on all numbers of hosts and links."""
    with tempfile.TemporaryDirectory() as folder, Hosts(Path(folder), max(options.hosts)) as hosts:
        for number in options.hosts:
            race, job = Race(hosts, number, options), write_job(Path(folder), workload, number, options.optimizer)
            for link in options.links:
                for name in hosts.names:
                    hosts.shape(name, "" if link == "off" else link)
                row = {"workload": workload, "optimizer": options.optimizer, "hosts": number, "link": link}
                yield row | _compared(race, job, workload, number, options)


def _compared(race: Race, job: Path, workload: str, hosts: int, options: argparse.Namespace) -> dict[str, Any]:
    said, true, told = [], [], ("", "")
    for _ in range(options.rounds):
        estimate, expected = estimated_ms(race, job, hosts, options.seconds)
        seen, chosen = race.step_ms(TRAINING, workload)
        said.append(estimate)
        true.append(seen)
        told = expected, chosen
    print(f"    estimated: {told[0]}\n    trained: {told[1]}", flush=True)
    ratios = [one / other for one, other in zip(said, true, strict=True)]
    return {"estimated_ms": summary(said), "measured_ms": summary(true), "ratio": summary(ratios)}


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = workload_parser(__doc__, seconds=1.0, rounds=3)
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--links", nargs="+", default=["100mbit", "1gbit", "off"])
    parser.add_argument("--least", type=int, default=3, help="fewest steps that are timed")
    options = parser.parse_args()
    if why := obstacle():
        parser.error(why)
    rows = []
    for workload in options.workloads or ["small", "wide"]:
        for row in measure(workload, options):
            rows.append(row)
            said, true, ratio = (row[name]["median"] for name in ("estimated_ms", "measured_ms", "ratio"))
            where = f"{workload:6} {row['hosts']} hosts {row['link']:8}"
            print(f"{where} estimated {said:9.1f} ms  measured {true:9.1f} ms  ratio {ratio:5.2f}", flush=True)
    worst = max((abs(np.log(row["ratio"]["median"])) for row in rows), default=0.0)
    print(f"largest deviation: a factor of {np.exp(worst):.2f}")
    print(f"{machine()}; kept in {keep('estimate', rows)}")


if __name__ == "__main__":
    main()
