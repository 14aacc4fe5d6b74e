"""Initial parameters: dpnet's, PyTorch's and scikit-learn's defaults, each at the start of the same trainings.

    python -m benchmarks.initial [SET ...] [--hidden 256,128] [--epochs 12 60] [--splits 8]

Everything else is dpnet's: the same batches, optimizer and evaluation, and its defaults. Every split of a set, 70 % to
train and 30 % to test with, begins with another seed. Prints test accuracy and, against dpnet, the mean difference in
points with its standard error. The sets come from scikit-learn; MNIST from DPNET_DATA. Rows are kept in
benchmarks/results/initial.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.results import keep
from dpnet.comm.local import LocalGroup
from dpnet.compute.arrays import Vector
from dpnet.config.file import from_dict
from dpnet.data.sources import open_source
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.training.run import train

Variance = Callable[[int, int], float]
Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def uniform(variance: Variance, *, biases: bool = True) -> Callable[[Layout, str, int, Vector], None]:
    """Initial parameters of one rule for every layer: variances from (fan_in, fan_out), and biases like weights."""

    def draw(layout: Layout, activation: str, seed: int, params: Vector) -> None:
        params[:] = 0
        chance = np.random.default_rng(seed)
        for weight, bias in layout.views(params):
            limit = math.sqrt(3 * variance(*weight.shape))
            weight[...] = chance.uniform(-limit, limit, weight.shape)
            if biases:
                bias[...] = chance.uniform(-limit, limit, bias.shape)

    return draw


WAYS = {
    "dpnet": initialize,
    "PyTorch": uniform(lambda fan_in, fan_out: 1 / (3 * fan_in)),
    "scikit-learn": uniform(lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    "He": uniform(lambda fan_in, fan_out: 2 / fan_in, biases=False),
}


def words() -> Arrays:
    """1,200 bags of 80 words out of 2,000, in 8 classes: few of the many inputs say anything."""
    chance = np.random.default_rng(0)
    common, own = chance.dirichlet(np.full(2000, 0.05)), chance.dirichlet(np.full(2000, 0.02), size=8)
    labels = chance.integers(8, size=1200)
    return np.array([chance.multinomial(80, 0.85 * common + 0.15 * own[label]) for label in labels]), labels


def mnist() -> Arrays:
    """The first 2,000 digits of MNIST."""
    split = open_source(os.path.join(os.environ.get("DPNET_DATA", "../shared/data"), "mnist")).train
    assert split.labels is not None
    return split.inputs[:2000], split.labels[:2000]


def sets() -> dict[str, Callable[[], Arrays]]:
    """Data sets by name; each function returns inputs and labels."""
    from sklearn import datasets

    return {
        "iris": lambda: datasets.load_iris(return_X_y=True),
        "wine": lambda: datasets.load_wine(return_X_y=True),
        "cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
        "classification": lambda: datasets.make_classification(
            1500, 20, n_informative=10, n_classes=4, random_state=0, flip_y=0.05
        ),
        "moons": lambda: datasets.make_moons(1000, noise=0.25, random_state=0),
        "rings": lambda: datasets.make_gaussian_quantiles(n_samples=1500, n_features=10, n_classes=3, random_state=0),
        "words": words,
        "digits": lambda: datasets.load_digits(return_X_y=True),
        "mnist": mnist,
    }


def save_splits(name: str, splits: int, folder: Path) -> list[Path]:
    """Save the splits of a data set."""
    from sklearn.model_selection import train_test_split

    x, y = sets()[name]()
    paths = [folder / f"{name}-{seed}.npz" for seed in range(splits)]
    for seed, path in enumerate(paths):
        parts = train_test_split(np.float32(x), y, test_size=0.3, random_state=seed, stratify=y)
        np.savez(path, **dict(zip(("x_train", "x_test", "y_train", "y_test"), parts, strict=True)))
    return paths


def score(way: str, source: Path, hidden: list[int], epochs: int, seed: int) -> tuple[float, float]:
    """Test accuracy of a training, and the loss of its first step in nats."""
    run = source.with_suffix("")
    job = from_dict(
        {
            "model": {"hidden_layers": hidden},
            "data": {"source": str(source)},
            "train": {"epochs": epochs, "seed": seed, "threads": 1},
            "evaluate": {"every_epochs": epochs},
            "checkpoint": {"every_epochs": 0},
            "output": {"dir": str(run), "progress": "none", "log_every_steps": 1},
        },
        where="the benchmark",
    )
    with patch("dpnet.training.build.initialize", WAYS[way]), contextlib.redirect_stdout(io.StringIO()):
        summary = train(job, LocalGroup(), resume="never")
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    return summary["eval_accuracy"], first["loss"]


def compare(name: str, hidden: list[int], epochs: int, splits: list[Path]) -> dict[str, Any]:
    """A row of results; prints it."""
    scores = {
        way: np.array([score(way, path, hidden, epochs, seed) for seed, path in enumerate(splits)]) for way in WAYS
    }
    row: dict[str, Any] = {"set": name, "hidden_layers": hidden, "epochs": epochs, "splits": len(splits)}
    line = f"| {name} | {epochs} |"
    for way, values in scores.items():
        accuracy, loss = values.mean(axis=0)
        less = values[:, 0] - scores["dpnet"][:, 0]
        error = less.std(ddof=1) / math.sqrt(len(less))
        row[way] = {"accuracy": accuracy, "difference": less.mean(), "error": error, "first_loss": loss}
        line += f" {accuracy:.1%} " + ("" if way == "dpnet" else f"({less.mean():+.1%} ± {error:.1%}) ") + "|"
    print(line, flush=True)
    return row


def main() -> None:
    """Compare; print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--hidden", nargs="+", default=["", "64,32", "256,128"], help='hidden layers; "": none')
    parser.add_argument("--epochs", nargs="+", type=int, default=[12, 60])
    parser.add_argument("--splits", type=int, default=8)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: save_splits(name, arguments.splits, Path(folder)) for name in arguments.sets or sets()}
        for hidden in arguments.hidden:
            layers = [int(units) for units in hidden.split(",") if units]
            print(f"\nhidden layers {layers}\n\n| set | epochs | {' | '.join(WAYS)} |")
            rows += [compare(name, layers, epochs, paths[name]) for name in paths for epochs in arguments.epochs]
    print(f"\nrows are in {keep('initial', rows)}")


if __name__ == "__main__":
    main()
