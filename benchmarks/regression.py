"""Regression: dpnet beside scikit-learn's MLPRegressor, with the same hyperparameters.

    python -m benchmarks.regression [--seeds 5] [--epochs 60]

On scikit-learn's diabetes, and on a synthetic set in the manner of its california housing (eight features of several
sizes, values that are cut off at both ends), test R2 of both on the same splits, 70 % to train with. scikit-learn gets
inputs and targets that are standardized as dpnet does by itself, and minimizes half of the squared error, which no step
of Adam depends on but by its eps. The initial parameters are each program's own. Prints the means over the seeds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from dpnet.comm.local import LocalGroup
from dpnet.config.file import from_dict
from dpnet.training.run import train

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
HIDDEN, BATCH, RATE = (64, 32), 32, 1e-3


def diabetes() -> Arrays:
    """442 samples of 10 features."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    return x, y


def houses(samples: int = 4000) -> Arrays:
    """Values of houses by incomes, ages, rooms and places."""
    chance = np.random.default_rng(0)
    income, age = chance.lognormal(1.2, 0.45, samples), chance.uniform(1, 52, samples)
    rooms, people = chance.lognormal(1.6, 0.3, samples), chance.lognormal(7, 0.7, samples)
    bedrooms, occupants = rooms * chance.uniform(0.15, 0.25, samples), chance.lognormal(1.05, 0.25, samples)
    latitude, longitude = chance.uniform(32, 42, samples), chance.uniform(-124, -114, samples)
    coast = np.exp(-np.square(longitude + 118.5 + 0.8 * (latitude - 34)) / 4)
    value = 0.4 * income * (1 + 0.6 * coast) - 0.25 * occupants + 0.01 * age + 0.1 * rooms + 1.2 * coast
    x = np.stack([income, age, rooms, bedrooms, people, occupants, latitude, longitude], 1)
    return x, np.clip(value + chance.normal(0, 0.3, samples), 0.15, 5)


SETS: dict[str, Callable[[], Arrays]] = {"diabetes": diabetes, "houses": houses}


def split(arrays: Arrays, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """70 % of the samples to train with, and the others to test with."""
    x, y = arrays
    order = np.random.default_rng(seed).permutation(len(x))
    parts = {"train": order[: len(x) * 7 // 10], "test": order[len(x) * 7 // 10 :]}
    return {f"{name}_{part}": of[rows] for name, of in (("x", x), ("y", y)) for part, rows in parts.items()}


def ours(arrays: dict[str, np.ndarray[Any, Any]], seed: int, epochs: int) -> float:
    """Test R2 of dpnet."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        source = os.path.join(folder, "d.npz")
        np.savez(source, **arrays)
        job = {
            "model": {"task": "regression", "hidden_layers": list(HIDDEN)},
            "data": {"source": source},
            "train": {"epochs": epochs, "global_batch_size": BATCH, "seed": seed, "threads": 1},
            "optimizer": {"name": "adam", "learning_rate": RATE},
            "evaluate": {"every_epochs": epochs},
            "checkpoint": {"every_epochs": 0},
            "output": {"dir": os.path.join(folder, "run"), "progress": "none"},
        }
        return float(train(from_dict(job, where="the benchmark"), LocalGroup())["eval_r2"])


def theirs(arrays: dict[str, np.ndarray[Any, Any]], seed: int, epochs: int) -> float:
    """Test R2 of scikit-learn."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    of_inputs = StandardScaler().fit(arrays["x_train"])
    x, x_test = of_inputs.transform(arrays["x_train"]), of_inputs.transform(arrays["x_test"])
    mean, deviation = arrays["y_train"].mean(), arrays["y_train"].std()
    y, y_test = (arrays["y_train"] - mean) / deviation, (arrays["y_test"] - mean) / deviation
    how = {"alpha": 0.0, "batch_size": BATCH, "learning_rate_init": RATE, "random_state": seed}
    length = {"max_iter": epochs, "n_iter_no_change": epochs, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(MLPRegressor(hidden_layer_sizes=HIDDEN, **how, **length).fit(x, y).score(x_test, y_test))


def main() -> None:
    """Print the means over the seeds for every set, and the scores of each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    for name, make in SETS.items():
        splits = [split(make(), seed) for seed in range(arguments.seeds)]
        scores = [[way(arrays, seed, arguments.epochs) for way in (ours, theirs)] for seed, arrays in enumerate(splits)]
        dpnet, sklearn = np.mean(scores, axis=0)
        print(f"{name:10} dpnet {dpnet:.4f}  scikit-learn {sklearn:.4f}  difference {dpnet - sklearn:+.4f}")
        print("           by seed: " + ", ".join(f"{a:.3f} and {b:.3f}" for a, b in scores))


if __name__ == "__main__":
    main()
