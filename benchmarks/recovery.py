"""The cost of surviving a loss: seconds until it is noticed and until training goes on, and the cost of two banks.

    python -m benchmarks.recovery [--kills 20] [--ranks 4]        kills ranks of real jobs, one after the other
    mpirun -n 2 python -m benchmarks.recovery --banks [WORKLOAD ...] [--seconds 1] [--rounds 7]

The second compares steps that write the next state into another bank with steps that update it in place, in turns in
the same processes. Rows are kept in benchmarks/results/recovery.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dpnet.compute.threads import preset_threads

preset_threads()  # As the command `dpnet` does: before numpy is imported.

import numpy as np

from benchmarks.peers.dpnet_train import build, stepper
from benchmarks.results import keep, machine, summary
from benchmarks.workloads import WORKLOADS, time_steps, workload_parser
from dpnet.comm.connect import connect

SETTINGS = ("train.steps=1000000", "train.global_batch_size=256", "evaluate.every_steps=0", "checkpoint.every_steps=0")
"""Settings of the jobs that lose ranks: steps of a millisecond, for ever."""


def losses(ranks: int, chance: random.Random) -> list[dict[str, Any]]:
    """Start a job and kill all of its ranks but one, one after the other; returns its rows about losses."""
    folder = Path(tempfile.mkdtemp(prefix="dpnet-recovery-"))
    arguments = [part for setting in SETTINGS for part in ("--set", setting)]
    command = [sys.executable, "-m", "dpnet", "launch", "-n", str(ranks), "--", "train", *arguments]
    environ = {**os.environ, "DPNET_RECOVERY": str(folder)}
    with subprocess.Popen([*command, "--output", str(folder / "run")], env=environ, stdout=subprocess.DEVNULL) as job:
        for lost in range(ranks - 1):
            _wait_for_steps(folder, more_than=lost)
            time.sleep(0.3 + chance.random() * 0.1)
            os.kill(chance.choice(_pids(str(folder))), signal.SIGKILL)
        _wait_for_steps(folder, more_than=ranks - 1)
        rows = _rows(folder)
        job.send_signal(signal.SIGTERM)
    shutil.rmtree(folder)
    return [row for row in rows if row.get("event") == "ranks_lost"]


def _wait_for_steps(folder: Path, *, more_than: int) -> None:
    """Wait until so many losses were reported, and steps after the last of them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows = _rows(folder)
        if rows and "loss" in rows[-1] and sum(len(row.get("ranks", ())) for row in rows) >= more_than:
            return
        time.sleep(0.02)
    raise SystemExit("the job does not go on")


def _rows(folder: Path) -> list[dict[str, Any]]:
    try:
        lines = (folder / "run/metrics.jsonl").read_text().splitlines(keepends=True)
    except OSError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _pids(tag: str) -> list[int]:
    """The processes of a job's ranks."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            variables = Path(f"/proc/{entry}/environ").read_bytes()
            command = Path(f"/proc/{entry}/cmdline").read_bytes()
        except OSError:
            continue
        if tag.encode() in variables and b"_COMM_WORLD_RANK=" in variables and b"dpnet\0train" in command:
            found.append(int(entry))
    return found


def kill(options: argparse.Namespace) -> None:
    """Measure detection and recovery."""
    chance, rows = random.Random(0), []
    while len(rows) < options.kills:
        rows += losses(options.ranks, chance)
        print(f"{len(rows)} losses", flush=True)
    row = {"ranks": options.ranks, "losses": len(rows)}
    for key in ("detect_s", "recover_s"):
        seconds = [row[key] for row in rows]
        row |= {key: {"median": statistics.median(seconds), "95 %": float(np.quantile(seconds, 0.95))}}
        print(f"{key}: median {row[key]['median']:.3f} s, 95 % {row[key]['95 %']:.3f} s")
    print(f"{machine()}; kept in {keep('recovery', [row])}")


def compare_banks(options: argparse.Namespace) -> None:
    """Measure the cost of the second bank."""
    group, rows = connect(), []
    for workload in options.workloads or WORKLOADS:
        batch = WORKLOADS[workload].rows * group.world_size
        steps = []
        for banks in (1, 2):
            group.survives_losses = banks == 2  # type: ignore[misc]  # It decides the number of banks.
            parts, _ = build(workload, options.optimizer, batch, group)
            steps.append(stepper(parts))
        times = [
            [time_steps(step, group.barrier, options.seconds, group.broadcast) for step in steps]
            for _ in range(options.rounds)
        ]
        if group.rank == 0:
            price = summary([two / one for one, two in times])
            one_s, two_s = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"{workload}, {options.optimizer}, {group.world_size} ranks: {one_s * 1e3:.3f} ms in place,", end=" ")
            print(f"{two_s * 1e3:.3f} ms with two banks; ratio {price['median']:.3f}", end=" ")
            print(f"({price['least']:.3f} to {price['greatest']:.3f})", flush=True)
            rows.append(
                {"workload": workload, "optimizer": options.optimizer, "ranks": group.world_size}
                | {"in_place_s": one_s, "two_banks_s": two_s, "ratio": price}
            )
    if group.rank == 0:
        print(f"{machine()}; kept in {keep('recovery', rows)}")


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = workload_parser(__doc__, seconds=1.0, rounds=7)
    parser.add_argument("--banks", action="store_true")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=4)
    options = parser.parse_args()
    if options.banks:
        compare_banks(options)
    else:
        kill(options)


if __name__ == "__main__":
    main()
