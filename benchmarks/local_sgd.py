"""Local SGD against synchronous training: what meeting in every 16th step alone costs in accuracy, on MNIST.

    python -m benchmarks.local_sgd [--optimizer sgd|adamw] [--workers 4] [--sync-every 16] [--epochs 10] [--seeds 1]

Each way trains the same network on the same batches, with each learning rate of one grid, and with several seeds:

    synchronous     one gradient of the whole batch in every step
    DiLoCo          K workers, the outer Nesterov momentum of dpnet's defaults
    averaging       K workers, whose parameters are averaged

Prints the test accuracy at the end for every rate, and of the best rate of each way the difference to the synchronous
one in points. MNIST comes from DPNET_DATA. Rows are kept in benchmarks/results/local_sgd.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.results import keep
from dpnet.comm.local import LocalGroup
from dpnet.config.file import from_dict
from dpnet.data.sources import open_source
from dpnet.training.run import train

RATES = {"sgd": [0.003, 0.01, 0.03, 0.1], "adamw": [5e-4, 1e-3, 2e-3, 4e-3]}
"""The grid of each optimizer; sgd has a momentum of 0.9."""
WAYS: dict[str, dict[str, float] | None] = {
    "synchronous": None,
    "DiLoCo": {},
    "averaging": {"outer_learning_rate": 1.0, "outer_momentum": 0.0},
}
"""Settings of the outer optimizer."""


def mnist() -> dict[str, Any]:
    """All digits, as arrays."""
    source = open_source(os.path.join(os.environ.get("DPNET_DATA", "../shared/data"), "mnist"))
    assert source.test is not None
    train_split, test_split = source.train, source.test
    return {
        "x_train": train_split.inputs,
        "y_train": train_split.labels,
        "x_test": test_split.inputs,
        "y_test": test_split.labels,
    }


def accuracy(way: str, rate: float, seed: int, data: dict[str, Any], arguments: argparse.Namespace) -> float:
    """Test accuracy at the end of one training."""
    outer = WAYS[way]
    optimizer: dict[str, Any] = {"name": arguments.optimizer, "learning_rate": rate, **(outer or {})}
    if arguments.optimizer == "sgd":
        optimizer["momentum"] = 0.9
    local = {} if outer is None else {"workers": arguments.workers, "sync_every": arguments.sync_every}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        job = from_dict(
            {
                "model": {"hidden_layers": arguments.hidden},
                "train": {"epochs": arguments.epochs, "seed": seed, "global_batch_size": 128, "threads": 1, **local},
                "optimizer": optimizer,
                "schedule": {"name": "cosine"},
                "evaluate": {"every_epochs": arguments.epochs},
                "checkpoint": {"every_epochs": 0},
                "output": {"dir": str(Path(folder) / "run"), "progress": "none"},
            },
            where="the benchmark",
        )
        return float(train(job, LocalGroup(), data=data, resume="never")["eval_accuracy"])


def measure(way: str, data: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """A row of results: the accuracy of every rate, and which is the best; prints it."""
    begin_s, found = time.perf_counter(), {}
    for rate in RATES[arguments.optimizer]:
        values = [accuracy(way, rate, seed, data, arguments) for seed in range(arguments.seeds)]
        found[rate] = statistics.mean(values)
    best = max(found, key=lambda rate: found[rate])
    shown = " | ".join(f"{value:.2%}" for value in found.values())
    print(f"| {way} | {shown} | {found[best]:.2%} at {best:g} |", flush=True)
    settings = {
        key: getattr(arguments, key) for key in ("optimizer", "workers", "sync_every", "epochs", "seeds", "hidden")
    }
    accuracies = {f"{rate:g}": value for rate, value in found.items()}
    seconds = round(time.perf_counter() - begin_s, 1)
    return {"way": way, **settings, "accuracy": accuracies, "best_rate": best, "best": found[best], "seconds": seconds}


def main() -> None:
    """Measure, print a table, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", choices=RATES, default="sgd")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--sync-every", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128])
    arguments = parser.parse_args()
    data = mnist()
    print(f"| {arguments.optimizer} | {' | '.join(map(str, RATES[arguments.optimizer]))} | best |", flush=True)
    print("|---" * (len(RATES[arguments.optimizer]) + 2) + "|")
    rows = [measure(way, data, arguments) for way in WAYS]
    for row in rows[1:]:
        print(f"{row['way']} - synchronous, each at its best rate: {100 * (row['best'] - rows[0]['best']):+.2f} points")
    print(f"\nrows are in {keep('local_sgd', rows)}")


if __name__ == "__main__":
    main()
