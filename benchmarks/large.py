"""Data larger than memory: how fast they are converted, and how much memory a rank takes for it, and to train.

    python -m benchmarks.large [--gb 20] [--ranks 4] [--kind npy|hdf5|...] [--steps 2000] [--folder DIR]

Writes random float32 samples of that size, copies them (and waits for the disk), converts them on that many ranks, and
trains a 784-256-128-10 network on what came of it: the start of a training reads, hashes and measures all samples, and
some steps follow. Sampled 20 times a second on every rank: its anonymous memory (RssAnon in /proc), which is all that a
rank takes for itself alone, Python's and the libraries' included, and while it converts that of the processes that read
for it; mapped files, and what the ranks of a node share, are none of it. What files have in memory is dropped before
each measurement where the system lets this program, as it lets root. Twice the size must be free in the folder. Rows
are kept in benchmarks/results/large.jsonl.

Kinds: npy, a folder; hdf5 in one piece, gzip in compressed chunks; npz, deflated, an .npz file without and with
compression; svm, svmlight text in which one value of 20 is not 0, and svm.gz; csv and parquet, tables with a column of
text as well. Of text the size is that of the numbers as float32, not of the file.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.large_sources import KINDS, TARGET, write_source
from benchmarks.results import keep

HIDDEN = (256, 128)
SAMPLE_S = 0.05
TABLES = (".csv", ".parquet")


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
    """The most anonymous memory that this process has had, sampled by a thread; `look` says how much there is."""

    def __init__(self, look: Callable[[], int]) -> None:
        self.peak, self._look = 0, look
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, self._look())
            time.sleep(SAMPLE_S)


def anonymous_bytes(process: str = "self") -> int:
    """Anonymous memory of a process."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise OSError("this system does not tell RssAnon")


def with_helpers() -> int:
    """Anonymous memory of this process and of those that it has started."""
    found = [anonymous_bytes()]
    for path in Path("/proc/self/task").glob("*/children"):
        for process in path.read_text().split():
            with contextlib.suppress(OSError):
                found.append(anonymous_bytes(process))
    return sum(found)


def converter(source: str, dest: str, results: str) -> None:
    """Convert on one of the ranks, and write what it took."""
    from dpnet.cli.main import run

    imported, memory = anonymous_bytes(), Memory(with_helpers)
    keys = ["--set", f"data.target={TARGET}", "--set", "data.missing=mean"] if source.endswith(TABLES) else []
    if code := run(["data", "convert", source, dest, *keys]):
        sys.exit(code)
    found = {"peak": memory.peak, "imported": imported}
    (Path(results) / f"convert-{os.getpid()}.json").write_text(json.dumps(found))


def rank(source: str, results: str, steps: int) -> None:
    """Train on one of the ranks, and write what it took."""
    memory = Memory(anonymous_bytes)
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
    (Path(results) / f"train-{os.getpid()}.json").write_text(json.dumps(found))


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All measurements, in a folder that is emptied on the way."""
    source = write_source(folder / "source", arguments.gb, arguments.features, arguments.kind)
    dropped = drop_caches()
    copied_s = copy_s(source, folder / "copy")
    for path in folder.glob("copy*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    drop_caches()
    program = ("python", "-m", "benchmarks.large", "--convert", str(source), str(folder / "data"), str(folder))
    converted_s = dpnet(arguments.ranks, program=program)
    begin_s = time.monotonic()
    os.sync()
    converted_s += time.monotonic() - begin_s
    shutil.rmtree(folder / "source")
    drop_caches()
    program = ("python", "-m", "benchmarks.large", "--rank", str(folder / "data"), str(folder), str(arguments.steps))
    trained_s = dpnet(arguments.ranks, program=program)
    converters = [json.loads(path.read_text()) for path in folder.glob("convert-*.json")]
    ranks = [json.loads(path.read_text()) for path in folder.glob("train-*.json")]
    num_params = sum((a + 1) * b for a, b in zip((arguments.features, *HIDDEN), (*HIDDEN, 10), strict=True))
    return {
        "gb": arguments.gb,
        "kind": arguments.kind,
        "ranks": arguments.ranks,
        "features": arguments.features,
        "caches_dropped": dropped,
        "copy_s": copied_s,
        "convert_s": converted_s,
        "convert_peak_mb": sorted(one["peak"] / 1e6 for one in converters),
        "convert_imported_mb": sorted(one["imported"] / 1e6 for one in converters),
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
    parser.add_argument("--kind", choices=KINDS, default="npy", help="of the source")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where there is room for twice the size")
    parser.add_argument("--rank", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--convert", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.convert:
        converter(*arguments.convert)
        return
    if arguments.rank:
        rank(arguments.rank[0], arguments.rank[1], int(arguments.rank[2]))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        row = measure(Path(folder), arguments)
    print(f"copied in {row['copy_s']:.1f} s, converted in {row['convert_s']:.1f} s", end=": ")
    print(f"{row['copy_s'] / row['convert_s']:.2f} of the speed of a copy")
    print(f"most memory of its own a rank took to convert, in MB: {row['convert_peak_mb']}")
    print(f"trained {row['samples_per_s']:,.0f} samples/s; most memory of its own a rank took, in MB: {row['peak_mb']}")
    keep("large", [row])


if __name__ == "__main__":
    main()
