"""The start of a training: seconds from the launch to the first step, and the file system calls of every rank.

    python -m benchmarks.startup [--ranks 1 2 4 8] [--rounds 5] [--set train.kernels=numpy ...] [--calls]

The data are as large as MNIST, and gzip-compressed in its format. Phases are those of PHASES in
`benchmarks.peers.startup_rank`; "launch" is what goes before Python's first line: `dpnet launch`, mpirun and Python
itself. A table shows the mean over the ranks of what each phase took by the clock, waiting for others included, and of
the processor; the total is that of the last rank. With `--calls` a start of each number of ranks is traced by strace:
the system calls with a path, of a node's first rank, and the most of any other one.

Rows are kept in benchmarks/results/startup.jsonl.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.startup_rank import FIRST_STEP, IMPORTS, MARK, PHASES, TRACE
from benchmarks.results import keep, machine, summary
from dpnet.launch.flags import find_mpirun, is_open_mpi

ROOT = Path(__file__).parents[1]
SETTINGS = ("train.steps=1", "evaluate.every_steps=0", "checkpoint.every_steps=0", "data.scale=unit")
SAMPLES = {"train": 60_000, "t10k": 10_000}
TIMEOUT_S = 300
LAUNCH = "launch"
NAMES = [LAUNCH, *dict.fromkeys([IMPORTS, *PHASES.values(), FIRST_STEP])]


def write_data(folder: Path) -> None:
    """Files as those of MNIST: as many pixels, of which as many are 0, and as large when they are compressed."""
    chance = np.random.default_rng(0)
    for word, samples in SAMPLES.items():
        images = np.zeros((samples, 28, 28), np.uint8)
        shown = chance.random((samples, 16, 16)) < 0.6
        images[:, 6:22, 6:22] = chance.integers(0, 256, shown.shape, dtype=np.uint8) * shown
        labels = chance.integers(0, 10, samples, dtype=np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            with gzip.open(folder / f"{word}-{name}-ubyte.gz", "wb", compresslevel=1) as file:
                file.write(head + array.tobytes())


def start(ranks: int, data: Path, settings: list[str], *, trace: bool = False) -> Path:
    """Start a training of so many ranks; returns the folder of what they wrote down."""
    folder = Path(tempfile.mkdtemp(prefix="dpnet-startup-"))
    survives = ["--ft"] if ranks > 1 and is_open_mpi(find_mpirun()) else []
    program = [sys.executable, "-m", "benchmarks.peers.startup_rank", str(folder), repr(time.monotonic())]
    options = [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]
    command = [sys.executable, "-m", "dpnet", "launch", *survives, "-n", str(ranks), "--", *program, *options]
    command += ["--set", f"data.source={data}", "--output", str(folder / "run")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **({TRACE: "1"} if trace else {})}
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if len(list(folder.glob("rank-*.json"))) != ranks:
        raise RuntimeError(f"the training failed with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return folder


def times(ranks: int, data: Path, settings: list[str]) -> dict[str, float]:
    """Start once: seconds to the first step, and in each phase, the mean over ranks; "cpu" before a phase: its own."""
    folder = start(ranks, data, settings)
    rows = [json.loads(path.read_text()) for path in folder.glob("rank-*.json")]
    shutil.rmtree(folder)
    found = {"total": max(row["total_s"] for row in rows), LAUNCH: statistics.fmean(row["start_s"] for row in rows)}
    for name in NAMES[1:]:
        spent = [row["phases"].get(name, {"s": 0.0, "cpu_s": 0.0}) for row in rows]
        found |= {name: statistics.fmean(one["s"] for one in spent)}
        found |= {f"cpu {name}": statistics.fmean(one["cpu_s"] for one in spent)}
    return found


def calls(ranks: int, data: Path, settings: list[str]) -> list[Counter[str]]:
    """Start once, traced: how many system calls with a path each rank made in each phase, the first rank first."""
    folder = start(ranks, data, settings, trace=True)
    order = {json.loads(path.read_text())["pid"]: path.stem for path in folder.glob("rank-*.json")}
    found = []
    for process in sorted(order, key=order.__getitem__):
        counts, phase = Counter[str](), LAUNCH
        for line in (folder / f"calls.{process}").read_text(errors="replace").splitlines():
            if MARK in line:
                phase = line.partition(MARK)[2].partition('"')[0]
            else:
                counts[phase] += 1
        found.append(counts)
    shutil.rmtree(folder)
    return found


def show_times(ranks: int, runs: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Print what so many starts took; returns rows of results."""
    print(f"\n{ranks} ranks: {statistics.median(run['total'] for run in runs):.2f} s to the first step", end=" ")
    print(f"({min(run['total'] for run in runs):.2f} to {max(run['total'] for run in runs):.2f})")
    for name in NAMES:
        own = [run.get(f"cpu {name}", 0.0) for run in runs]
        print(f"  {name:20} {statistics.median(run[name] for run in runs):6.2f} s, processor", end=" ")
        print(f"{statistics.median(own):6.2f} s", flush=True)
    return [{"ranks": ranks, "name": name, "unit": "s", **summary([run[name] for run in runs])} for name in runs[0]]


def show_calls(ranks: int, counts: list[Counter[str]]) -> list[dict[str, Any]]:
    """Print how many calls ranks made; returns a row of results."""
    most = max(counts[1:] or counts, key=Counter.total)
    print(f"\n{ranks} ranks: system calls with a path: {counts[0].total():,} of the first rank", end=", ")
    print(f"at most {most.total():,} of another one")
    for name in NAMES:
        print(f"  {name:20} {counts[0][name]:6,} {most[name]:6,}", flush=True)
    return [{"ranks": ranks, "name": "calls", "first": dict(counts[0]), "other": dict(most)}]


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--calls", action="store_true", help="count system calls instead of seconds; needs strace")
    options = parser.parse_args()
    library = "Open MPI" if is_open_mpi(find_mpirun()) else "MPICH"
    print(f"{machine()}; {library}; medians of {options.rounds} rounds")
    rows = []
    with tempfile.TemporaryDirectory(prefix="dpnet-mnist-") as folder:
        data = Path(folder)
        write_data(data)
        for ranks in options.ranks:
            times(ranks, data, options.settings)  # What is compiled once is compiled now.
            if options.calls:
                rows += show_calls(ranks, calls(ranks, data, options.settings))
            else:
                rows += show_times(ranks, [times(ranks, data, options.settings) for _ in range(options.rounds)])
    rows = [{"mpi": library, "settings": options.settings, **row} for row in rows]
    print(f"kept in {keep('startup', rows)}")


if __name__ == "__main__":
    main()
