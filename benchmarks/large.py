"""Data larger than memory: how fast they are converted, and how much memory of its own a rank takes to train on them.

    python -m benchmarks.large [--gb 20] [--ranks 4] [--kind npy|hdf5] [--steps 2000] [--folder DIR]

Writes random float32 samples of that size, copies them (and waits for the disk), converts them on that many ranks, and
trains a 784-256-128-10 network on what came of it: the start of a training reads, hashes and measures all samples, and
some steps follow. Sampled 20 times a second on every rank: its anonymous memory (RssAnon in /proc), which is all that a
rank takes for itself alone, Python's and the libraries' included; mapped files, and what the ranks of a node share, are
none of it. What files have in memory is dropped before each measurement where the system lets this program, as it lets
root. Twice the size must be free in the folder. Rows are kept in benchmarks/results/large.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import keep

BLOCK = 1 << 14
HIDDEN = (256, 128)
SAMPLE_S = 0.05


def write_source(folder: Path, gigabytes: float, features: int, kind: str) -> Path:
    """A source of random samples; returns what is to be converted."""
    rows = int(gigabytes * 1e9 / (4 * features))
    chance = np.random.default_rng(0)
    some, labels = chance.standard_normal((BLOCK, features), np.float32), chance.integers(0, 10, rows)
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        if kind == "hdf5":
            import h5py

            file = stack.enter_context(h5py.File(folder / "d.h5", "w"))
            x: Any = file.create_dataset("x_train", (rows, features), np.float32)
            file["y_train"] = labels
        else:
            path = folder / "x_train.npy"
            x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, features))
            np.save(folder / "y_train.npy", labels)
        for first in range(0, rows, BLOCK):
            part = some[: min(BLOCK, rows - first)]
            part[:, 0] = np.arange(first, first + len(part))  # No two samples are the same.
            x[first : first + len(part)] = part
    return folder / "d.h5" if kind == "hdf5" else folder


def drop_caches() -> bool:
    """Whether what files have in memory could be dropped."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def copy_s(source: Path, target: Path) -> float:
    """Seconds that a copy takes, until the disk has it."""
    begin_s = time.monotonic()
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    os.sync()
    return time.monotonic() - begin_s


def dpnet(ranks: int, *arguments: str, program: tuple[str, ...] = ()) -> float:
    """Seconds that a command takes on some ranks."""
    start = [sys.executable, "-m", "dpnet", "launch", "-n", str(ranks), "--", *program, *arguments]
    begin_s = time.monotonic()
    subprocess.run(start, check=True)
    return time.monotonic() - begin_s


class Memory:
    """The most anonymous memory that this process has had, sampled by a thread."""

    def __init__(self) -> None:
        self.peak = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, anonymous_bytes())
            time.sleep(SAMPLE_S)


def anonymous_bytes() -> int:
    """Anonymous memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise OSError("this system does not tell RssAnon")


def rank(source: str, results: str, steps: int) -> None:
    """Train on one of the ranks, and write what it took."""
    memory = Memory()
    import dpnet as package

    job = {
        "model": {"hidden_layers": list(HIDDEN)},
        "data": {"source": source},
        "train": {"steps": steps, "global_batch_size": 512},
        "checkpoint": {"every_epochs": 0},
        "output": {"dir": os.path.join(results, "run"), "progress": "none"},
    }
    begin_s, imported = time.monotonic(), anonymous_bytes()
    summary = package.train(job)
    found = {"peak": memory.peak, "imported": imported, "seconds": time.monotonic() - begin_s}
    found |= {"samples_per_s": summary["samples_per_s"], "steps_s": summary["seconds"]}
    (Path(results) / f"{os.getpid()}.json").write_text(json.dumps(found))


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All measurements, in a folder that is emptied on the way."""
    source = write_source(folder / "source", arguments.gb, arguments.features, arguments.kind)
    dropped = drop_caches()
    copied_s = copy_s(source, folder / "copy")
    for path in folder.glob("copy*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    drop_caches()
    converted_s = dpnet(arguments.ranks, "data", "convert", str(source), str(folder / "data"))
    begin_s = time.monotonic()
    os.sync()
    converted_s += time.monotonic() - begin_s
    shutil.rmtree(folder / "source")
    drop_caches()
    program = ("python", "-m", "benchmarks.large", "--rank", str(folder / "data"), str(folder), str(arguments.steps))
    trained_s = dpnet(arguments.ranks, program=program)
    ranks = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    num_params = sum((a + 1) * b for a, b in zip((arguments.features, *HIDDEN), (*HIDDEN, 10), strict=True))
    return {
        "gb": arguments.gb,
        "kind": arguments.kind,
        "ranks": arguments.ranks,
        "features": arguments.features,
        "caches_dropped": dropped,
        "copy_s": copied_s,
        "convert_s": converted_s,
        "start_and_train_s": trained_s,
        "steps_s": max(one["steps_s"] for one in ranks),
        "samples_per_s": ranks[0]["samples_per_s"],
        "peak_mb": sorted(one["peak"] / 1e6 for one in ranks),
        "imported_mb": sorted(one["imported"] / 1e6 for one in ranks),
        "network_mb": 4 * num_params / 1e6,
    }


def main() -> None:
    """Measure, print, and keep the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=20, help="size of the inputs, in 1e9 bytes (default: 20)")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--features", type=int, default=784)
    parser.add_argument("--steps", type=int, default=2000, help="steps to train (default: 2000)")
    parser.add_argument("--kind", choices=("npy", "hdf5"), default="npy", help="of the source")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where there is room for twice the size")
    parser.add_argument("--rank", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank:
        rank(arguments.rank[0], arguments.rank[1], int(arguments.rank[2]))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        row = measure(Path(folder), arguments)
    print(f"copied in {row['copy_s']:.1f} s, converted in {row['convert_s']:.1f} s", end=": ")
    print(f"{row['copy_s'] / row['convert_s']:.2f} of the speed of a copy")
    print(f"trained {row['samples_per_s']:,.0f} samples/s; most memory of its own a rank took, in MB: {row['peak_mb']}")
    keep("large", [row])


if __name__ == "__main__":
    main()
