"""Tables: dpnet beside scikit-learn's MLP, from CSV files that pandas wrote, with the same hyperparameters.

    python -m benchmarks.tables [SET ...] [--seeds 5] [--epochs 60]

Data of scikit-learn, and a synthetic set in the manner of its california housing (eight features of several sizes,
values that are cut off at both ends). Labels are text, and one cell in twenty is missing. dpnet gets two CSV files,
`missing = "mean"` and nothing else to know; scikit-learn gets the same rows, filled in and standardized as dpnet does
by itself, and minimizes half of the squared error, which no step of Adam depends on but by its eps. Initial parameters
are each program's own. Every seed has another split, 70 % to train with. Prints test accuracy, or R2, as means over the
seeds. Needs pandas.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpnet.comm.local import LocalGroup
from dpnet.config.file import from_dict
from dpnet.training.run import train

HIDDEN, BATCH, RATE, MISSING = (64, 32), 32, 1e-3, 0.05


@dataclass(frozen=True)
class Samples:
    """Rows of a table.

    Attributes:
        x: (rows, features) float64, NaN where a value is missing.
        y: (rows,) str, labels of classes; or float64, targets.
        names: of the features.
    """

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    names: list[str]

    @property
    def task(self) -> str:
        """As model.task has it."""
        return "regression" if self.y.dtype.kind == "f" else "classification"

    def take(self, rows: np.ndarray[Any, Any]) -> Samples:
        """Some of the rows."""
        return Samples(self.x[rows], self.y[rows], self.names)


def bundled(name: str) -> Callable[[], Samples]:
    """A set that scikit-learn brings."""

    def load() -> Samples:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")()
        kinds = getattr(found, "target_names", None)
        labels = found.target if kinds is None else np.array([f"kind {kinds[label]}" for label in found.target])
        return Samples(found.data.astype(np.float64), labels, [str(one) for one in found.feature_names])

    return load


def houses(samples: int = 4000) -> Samples:
    """Values of houses by incomes, ages, rooms and places."""
    chance = np.random.default_rng(0)
    income, age = chance.lognormal(1.2, 0.45, samples), chance.uniform(1, 52, samples)
    rooms, people = chance.lognormal(1.6, 0.3, samples), chance.lognormal(7, 0.7, samples)
    bedrooms, occupants = rooms * chance.uniform(0.15, 0.25, samples), chance.lognormal(1.05, 0.25, samples)
    latitude, longitude = chance.uniform(32, 42, samples), chance.uniform(-124, -114, samples)
    coast = np.exp(-np.square(longitude + 118.5 + 0.8 * (latitude - 34)) / 4)
    value = 0.4 * income * (1 + 0.6 * coast) - 0.25 * occupants + 0.01 * age + 0.1 * rooms + 1.2 * coast
    x = np.stack([income, age, rooms, bedrooms, people, occupants, latitude, longitude], 1)
    names = ["income", "age", "rooms", "bedrooms", "people", "occupants", "latitude", "longitude"]
    return Samples(x, np.clip(value + chance.normal(0, 0.3, samples), 0.15, 5), names)


SETS: dict[str, Callable[[], Samples]] = {
    **{name: bundled(name) for name in ("wine", "breast_cancer", "digits", "diabetes")},
    "houses": houses,
}


def split(samples: Samples, seed: int) -> tuple[Samples, Samples]:
    """70 % of the rows to train with, and the others to test with, each with some cells missing."""
    chance = np.random.default_rng(seed)
    order, x = chance.permutation(len(samples.x)), samples.x.copy()
    x[chance.random(x.shape) < MISSING] = np.nan
    gone, cut = Samples(x, samples.y, samples.names), len(x) * 7 // 10
    return gone.take(order[:cut]), gone.take(order[cut:])


def ours(train_rows: Samples, test_rows: Samples, seed: int, epochs: int) -> float:
    """Test accuracy or R2 of dpnet, from CSV files."""
    import pandas

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        paths = [os.path.join(folder, name) for name in ("train.csv", "test.csv")]
        for path, rows in zip(paths, (train_rows, test_rows), strict=True):
            pandas.DataFrame(rows.x, columns=rows.names).assign(target=rows.y).to_csv(path, index=False)
        job = {
            "model": {"task": train_rows.task, "hidden_layers": list(HIDDEN)},
            "data": {"source": paths[0], "test": paths[1], "target": "target", "missing": "mean"},
            "train": {"epochs": epochs, "global_batch_size": BATCH, "seed": seed, "threads": 1},
            "optimizer": {"name": "adam", "learning_rate": RATE},
            "evaluate": {"every_epochs": epochs},
            "checkpoint": {"every_epochs": 0},
            "output": {"dir": os.path.join(folder, "run"), "progress": "none"},
        }
        summary = train(from_dict(job, where="the benchmark"), LocalGroup())
        return float(summary["eval_r2" if train_rows.task == "regression" else "eval_accuracy"])


def theirs(train_rows: Samples, test_rows: Samples, seed: int, epochs: int) -> float:
    """Test accuracy or R2 of scikit-learn."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inputs = make_pipeline(SimpleImputer(), StandardScaler()).fit(train_rows.x)
    x, x_test = inputs.transform(train_rows.x), inputs.transform(test_rows.x)
    y, y_test, network = train_rows.y, test_rows.y, MLPClassifier
    if train_rows.task == "regression":
        mean, deviation, network = y.mean(), y.std(), MLPRegressor
        y, y_test = (y - mean) / deviation, (y_test - mean) / deviation
    how = {"alpha": 0.0, "batch_size": BATCH, "learning_rate_init": RATE, "random_state": seed}
    length = {"max_iter": epochs, "n_iter_no_change": epochs, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(network(hidden_layer_sizes=HIDDEN, **how, **length).fit(x, y).score(x_test, y_test))


def main() -> None:
    """Print the means over the seeds for every set, and the scores of each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)} (default: all)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    for name in arguments.sets or SETS:
        splits = [split(SETS[name](), seed) for seed in range(arguments.seeds)]
        scores = [[way(*rows, seed, arguments.epochs) for way in (ours, theirs)] for seed, rows in enumerate(splits)]
        dpnet, sklearn = np.mean(scores, axis=0)
        print(f"{name:13} dpnet {dpnet:.4f}  scikit-learn {sklearn:.4f}  difference {dpnet - sklearn:+.4f}")
        print("              by seed: " + ", ".join(f"{a:.3f} and {b:.3f}" for a, b in scores), flush=True)


if __name__ == "__main__":
    main()
