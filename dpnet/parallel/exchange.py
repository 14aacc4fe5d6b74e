"""The choice of what travels between nodes: sums of gradients, or the factors of the gradient; told with its reasons.

What the choice depends on is measured once, when a training is built: what a node sends while all nodes send, and how
fast each rank multiplies while all do. All ranks see the same numbers, those of the slowest, and choose the same.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.backend import Backend
from dpnet.compute.fastest import mean_s
from dpnet.compute.fingerprint import fingerprint
from dpnet.config.train import TrainConfig
from dpnet.nn.layout import Layout
from dpnet.parallel import cost
from dpnet.parallel.cost import Cost, Shape, Speeds
from dpnet.parallel.ways import Ways
from dpnet.text import counted, words

LONG_ENOUGH_S = 0.03
"""Messages that take so long together, or products, measure their speed well enough."""
MOST_BYTES = 1 << 24
"""Of a message that measures a link."""
TRIES = 3
WIDEST = 1024
"""Most inputs and outputs of a product that is measured."""


NOTHING = Cost(0.0, 0.0)


@dataclass(frozen=True)
class Exchange:
    """How nodes get the gradient of all samples.

    Attributes:
        ways: how the factors come to other nodes; None: gradients are exchanged instead.
        text: the choice and its reasons; empty where there was none to make.
        cost: of a step, as far as it was estimated.
    """

    ways: Ways | None = None
    text: str = ""
    cost: Cost = NOTHING


def choose_exchange(
    setting: str, topology: Topology, layout: Layout, dtype: npt.DTypeLike, sparse: bool, rows: int, backend: Backend
) -> Exchange:
    """Choose; collective among all ranks.

    Args:
        setting: `train.exchange`.
        topology: which ranks share memory.
        layout: of the network.
        dtype: of all numbers.
        sparse: whether the activation is a ReLU.
        rows: of each rank, at most.
        backend: what this rank computes with.
    """
    if len(topology.nodes) == 1:
        return Exchange()
    if obstacle := _obstacle(topology, backend):
        return Exchange(None, f"gradients, {obstacle}")
    ranks = len(topology.here)
    shape = Shape(layout, np.dtype(dtype).itemsize, sparse, len(topology.nodes), ranks, rows)
    return decide(setting, shape, measure(topology, layout, dtype, rows, backend))


def decide(setting: str, shape: Shape, speeds: Speeds) -> Exchange:
    """The choice between several nodes that are alike.

    Args:
        setting: `train.exchange`.
        shape: of a step.
        speeds: measured or assumed.
    """
    gradients = cost.gradients_cost(shape, speeds)
    choices = {
        "auto": cost.best_ways(shape, speeds),
        "factors": cost.all_received(shape),
        "recompute": cost.all_computed(shape),
    }
    ways = choices.get(setting)
    if ways is None:
        return Exchange(None, _told("gradients", gradients, speeds), gradients)
    factors = cost.factors_cost(shape, ways, speeds)
    if setting == "auto" and gradients.seconds <= factors.seconds:
        return Exchange(None, _told("gradients", gradients, speeds, instead=("factors", factors)), gradients)
    return Exchange(ways, _told(f"factors, {_sent(ways)}", factors, speeds, instead=("gradients", gradients)), factors)


def only_sums(train: TrainConfig) -> bool:
    """Whether sums of gradients travel, whatever takes less time."""
    # Factors give the exact sum. If some travelled where others are rounded, bits would depend on measured speeds.
    return train.wire == "bfloat16" or bool(train.fixed_shards) or train.reducer == "shards"


def _obstacle(topology: Topology, backend: Backend) -> str:
    """Why each node cannot compute the gradient by itself to the bits of all others; empty: it can; collective."""
    numerics = [backend.threads, fingerprint(backend.products.name)]
    alike = topology.group.allgather(repr(numerics))
    if len({len(ranks) for ranks in topology.nodes}) > 1:
        return "as nodes have different numbers of ranks"
    if len(set(alike)) > 1:
        return "as nodes compute with other libraries, processors or numbers of threads"
    return ""


def measure(topology: Topology, layout: Layout, dtype: npt.DTypeLike, rows: int, backend: Backend) -> Speeds:
    """Measure the network and the products, for all ranks the same numbers; collective."""
    num_nodes, here = len(topology.nodes), topology.number_of_node(topology.group.rank)
    place = topology.group.rank - topology.here.start
    ahead, behind = (topology.nodes[(here + step) % num_nodes].start + place for step in (1, -1))

    def exchange(sent: npt.NDArray[np.uint8], received: npt.NDArray[np.uint8]) -> float:
        topology.group.barrier()
        begin = time.perf_counter()
        topology.group.exchange([(ahead, sent)], [(behind, received)])
        return float(max(topology.group.allgather(time.perf_counter() - begin)))

    def middle(size: int) -> float:
        return statistics.median(exchange(*np.zeros((2, size), np.uint8)) for _ in range(TRIES))

    latency = middle(8)
    size, seconds = 1 << 14, 0.0
    while seconds < LONG_ENOUGH_S / TRIES and size < MOST_BYTES:
        size *= 4
        seconds = middle(size)
    topology.group.barrier()
    flops = min(topology.group.allgather(_measure_products(layout, dtype, rows, backend)))
    return Speeds(len(topology.here) * size / max(seconds - latency, 1e-9), latency, flops)


def _measure_products(layout: Layout, dtype: npt.DTypeLike, rows: int, backend: Backend) -> float:
    """Operations a second of the product that is the gradient of the largest weight."""
    weights = [tensor.shape for tensor in layout.tensors if not tensor.is_bias]
    outputs, inputs = (min(width, WIDEST) for width in max(weights, key=lambda shape: shape[0] * shape[1]))
    x, dz, dweight = (aligned_zeros(shape, dtype) for shape in ((rows, inputs), (rows, outputs), (inputs, outputs)))
    multiply = backend.products.bind(x, dz, dweight, transpose_a=True)
    # Not the fastest call: where more ranks than cores compute, they take turns.
    return 2.0 * rows * inputs * outputs / mean_s(multiply, LONG_ENOUGH_S)


def _sent(ways: Ways) -> str:
    """Which factors are sent."""
    received = [f"x of layer {2 * layer}" for layer in ways.received_x()]
    received += [f"dz of layer {2 * layer}" for layer in ways.received_dz()]
    computed = "" if all(way.is_received for way in [*ways.x[1:], *ways.dz]) else "; each node computes the others"
    if len(received) > 3:
        return f"{counted(len(received), 'array')} sent{computed}"
    return f"{words(received, 'and')} sent{computed}"


def _told(what: str, chosen: Cost, speeds: Speeds, instead: tuple[str, Cost] | None = None) -> str:
    """The choice, what it costs, and what was measured."""
    other = "" if instead is None else f" ({instead[0]}: {_cost(instead[1])})"
    return (
        f"{what}; {_cost(chosen)} a step{other}. A node sends {_megabytes(speeds.bytes_s)}/s, "
        f"a rank multiplies at {speeds.flops / 1e9:,.0f} GFLOP/s"
    )


def _cost(cost: Cost) -> str:
    return f"{_megabytes(cost.bytes)}, {1e3 * cost.seconds:,.1f} ms"


def _megabytes(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.{2 if num_bytes < 1e7 else 0}f} MB"
