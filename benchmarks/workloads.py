"""The reference workloads: the same networks, data and batches for dpnet and for every peer.

Data are random, float32 and in memory. A step takes `rows` samples per rank, in the order of a permutation of all
samples that is drawn anew for each pass.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Workload:
    """A network and its batch.

    Attributes:
        sizes: widths from the input to the classes.
        rows: samples per rank and step; a global batch is twice as many, on one rank as well as on two.
    """

    sizes: tuple[int, ...]
    rows: int

    @property
    def product_flops(self) -> int:
        """Floating-point operations of the matrix products of one sample, forward and back."""
        layers = list(zip(self.sizes, self.sizes[1:], strict=False))
        # Three products for each layer; only two for the first, as the gradient of its input is not needed.
        return sum(6 * inputs * outputs for inputs, outputs in layers) - 2 * layers[0][0] * layers[0][1]


WORKLOADS = {
    "tiny": Workload((64, 64, 10), 32),
    "small": Workload((784, 256, 128, 10), 128),
    "deep": Workload((784, 1024, 1024, 1024, 10), 64),
    "wide": Workload((784, 2048, 2048, 10), 256),
}
OPTIMIZERS = ("sgd", "adamw")
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 1e-3, 0.9, 0.01
NUM_SAMPLES = 8192


def random_data(workload: Workload) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Inputs (samples, features) and labels (samples,)."""
    chance = np.random.default_rng(0)
    inputs = chance.standard_normal((NUM_SAMPLES, workload.sizes[0]), dtype=np.float32)
    return inputs, np.arange(NUM_SAMPLES) % workload.sizes[-1]


def batches(batch: int, part: int = 0, parts: int = 1) -> Iterator[npt.NDArray[np.int64]]:
    """The sample ids of part `part` of `parts` of each global batch, batch after batch, for ever."""
    chance = np.random.default_rng(0)
    rows = batch // parts
    while True:
        order = chance.permutation(NUM_SAMPLES)
        for start in range(0, NUM_SAMPLES - batch + 1, batch):
            yield order[start + part * rows : start + (part + 1) * rows]


def time_steps(
    step: Callable[[], Any],
    finish: Callable[[], Any],
    seconds: float,
    agree: Callable[[int], int] = lambda calls: calls,
    least: int = 5,
) -> float:
    """Seconds per call of `step`, over about `seconds` seconds after a warm-up.

    Args:
        step: one training step; it may return before its work is done.
        finish: waits until the work of all steps is done; with several ranks, on all of them.
        seconds: how long to measure.
        agree: with several ranks, makes their numbers of calls one number.
        least: fewest calls; the warm-up takes twice as many.
    """
    for _ in range(2):
        per_call = _time(step, finish, least)
    return _time(step, finish, agree(max(least, int(seconds / per_call))))


def _time(step: Callable[[], Any], finish: Callable[[], Any], calls: int) -> float:
    finish()
    begin = time.perf_counter()
    for _ in range(calls):
        step()
    finish()
    return (time.perf_counter() - begin) / calls


def workload_parser(doc: str | None, *, seconds: float, rounds: int) -> argparse.ArgumentParser:
    """A parser of the options that all benchmarks of workloads share; `options.workloads` may be empty."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw")
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser


def peer_arguments(doc: str | None) -> argparse.Namespace:
    """Parse the options that every peer has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, required=True, help="samples per step of all ranks together")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--shards", type=int, default=0, help="reproducible_shards, of dpnet alone")
    parser.add_argument("--least", type=int, default=5, help="fewest steps that are timed")
    parser.add_argument("--exchange", default="auto", help="train.exchange, of dpnet alone")
    parser.add_argument("--hook", choices=["", "fp16"], default="", help="communication hook, of PyTorch DDP alone")
    return parser.parse_args()
