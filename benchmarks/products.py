"""Speed of the three matrix products of a layer, by every library that is installed, in both orders of storage.

    python -m benchmarks.products [--threads 1] [--rounds 5]

Prints GFLOP/s of forward, weight gradient and input gradient, as medians; all libraries take turns. Weights and their
gradients come from sets that no cache holds. Rows are kept in benchmarks/results/products.jsonl.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from dpnet.compute.threads import preset_threads

preset_threads()  # As the command `dpnet` does: before numpy is imported.

import numpy as np

from benchmarks.results import keep, machine
from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.products import wheels
from dpnet.compute.products.choose import PRODUCTS
from dpnet.compute.products.numpy import warm_up
from dpnet.compute.threads import limit_threads

SHAPES = ((64, 1024, 1024), (128, 784, 256), (256, 2048, 2048), (32, 64, 64))
"""(rows, inputs, outputs)"""
COLD_BYTES = 60e6
FLOPS_PER_ROUND = 2e9


def layer(products: Any, rows: int, inputs: int, outputs: int, *, in_by_out: bool) -> list[Callable[[], None]]:
    """For each of the three products, a function that computes it for every weight of a set; returns GFLOP/s."""
    chance = np.random.default_rng(0)

    def random(*shape: int) -> Any:
        array = aligned_zeros(shape, np.float32)
        array[...] = chance.standard_normal(shape)
        return array

    shape = (inputs, outputs) if in_by_out else (outputs, inputs)
    weights, dweights = ([random(*shape) for _ in range(max(1, int(COLD_BYTES / 8 / inputs / outputs)))] for _ in "wd")
    x, y, dx = random(rows, inputs), random(rows, outputs), random(rows, inputs)

    pair = (x, y) if in_by_out else (y, x)
    forward = [products.bind(x, weight, y, transpose_b=not in_by_out) for weight in weights]
    gradient = [products.bind(*pair, dweight, transpose_a=True) for dweight in dweights]
    backward = [products.bind(y, weight, dx, transpose_b=in_by_out) for weight in weights]
    flops = 2 * rows * inputs * outputs * len(weights)
    return [lambda calls=calls: _speed(calls, flops) for calls in (forward, gradient, backward)]


def _speed(calls: list[Callable[[], object]], flops: int) -> float:
    turns = max(1, int(FLOPS_PER_ROUND / flops))
    begin = time.perf_counter()
    for _ in range(turns):
        for call in calls:
            call()
    return turns * flops / (time.perf_counter() - begin) / 1e9


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    names = [name for name in PRODUCTS if name == "numpy" or wheels.loads(name)]
    libraries = {name: PRODUCTS[name](options.threads) for name in names}
    limit_threads(options.threads)
    warm_up(options.threads)
    kept = []
    for shape in SHAPES:
        for in_by_out in (True, False):
            runs = {name: layer(products, *shape, in_by_out=in_by_out) for name, products in libraries.items()}
            for speeds in runs.values():
                for speed in speeds:
                    speed()
            rounds = [{name: [run() for run in three] for name, three in runs.items()} for _ in range(options.rounds)]
            order = "inputs x outputs" if in_by_out else "outputs x inputs"
            for name in libraries:
                medians = [statistics.median(one[name][product] for one in rounds) for product in range(3)]
                print(f"{shape!s:18} {order} {name:7} " + " / ".join(f"{value:.0f}" for value in medians), flush=True)
                what = {"rows": shape[0], "inputs": shape[1], "outputs": shape[2], "order": order, "library": name}
                kept.append({**what, "threads": options.threads, "gflops": medians, "rounds": options.rounds})
    print(f"{machine()}; kept in {keep('products', kept)}")


if __name__ == "__main__":
    main()
