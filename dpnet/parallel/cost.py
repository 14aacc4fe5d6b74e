"""The cost model: what a step takes between nodes, by each way of bringing them the gradient; and which way is best.

Either the sums of nodes travel (see `between_nodes`), 2 (n - 1) / n numbers for each parameter; or the factors of the
gradient do (see `factors`), and every node computes the products of all rows. Of every factor the model compares

    bytes / (bytes a second that a node sends while all nodes send)
    operations / (operations a second of a rank, while all ranks compute)

What leaves early costs only what is still on its way when its node has gone back through the network.

The choice changes no bit of the result, only the time that a step takes. So it may be made from what was measured at
the start, and be another one after a restart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from dpnet.nn.layout import Layout
from dpnet.parallel.traffic import ring
from dpnet.parallel.ways import DZ, Array, Way, Ways, messages, width

ACTIVE = 0.5
"""Share of the elements behind a ReLU that are taken not to be 0: at the start of a training; later there are fewer."""
BITS_SHARE = 1 / 32
"""A bit for each element, as a share of float32."""
COPIED_BYTES_S = 2e9
"""Bytes a second that a rank packs, unpacks or adds up: measured at 1 to 4e9."""
COPIES = 2
"""Times that a rank touches its share of all sums: it writes them, and adds up the parts of all nodes."""
MESSAGE_S, MESSAGE_SHARE = 2.5e-6, 0.5
"""A message more, and one back, take a rank so many seconds, or this share of the latency: 2.5 us, 14 us over TCP."""


@dataclass(frozen=True)
class Speeds:
    """What was measured, or is assumed.

    Attributes:
        bytes_s: bytes a second that a node sends while all nodes send.
        latency_s: seconds of a message without content.
        flops: floating-point operations a second in products, of a rank while all ranks compute.
    """

    bytes_s: float
    latency_s: float
    flops: float

    def messages_s(self, nodes: int) -> float:
        """Seconds of messages without content to all others of so many nodes, and from them."""
        return self.latency_s + (nodes - 2) * max(MESSAGE_S, MESSAGE_SHARE * self.latency_s)


@dataclass(frozen=True)
class Shape:
    """What a step consists of, as far as its cost goes.

    Attributes:
        layout: of the network.
        itemsize: bytes of a number.
        sparse: whether the activation is a ReLU.
        nodes: number of nodes.
        ranks: of every node.
        rows: of every rank, at most.
    """

    layout: Layout
    itemsize: int
    sparse: bool
    nodes: int
    ranks: int
    rows: int


@dataclass(frozen=True)
class Cost:
    """What the exchange between nodes costs in a step.

    Attributes:
        bytes: that each node sends.
        seconds: of sending them, and of what is computed because of it.
    """

    bytes: float
    seconds: float


def gradients_cost(shape: Shape, speeds: Speeds) -> Cost:
    """The cost of exchanging the sums of nodes."""
    return sums_cost(shape, speeds, ring(shape.nodes, shape.layout, f"f{shape.itemsize}"))


def sums_cost(shape: Shape, speeds: Speeds, sent: float, copies: float = COPIES) -> Cost:
    """The cost of sums of which a node sends so many bytes, and a rank touches its share of all so many times."""
    trained = (shape.layout.trained.stop - shape.layout.trained.start) * shape.itemsize
    copied = copies * trained / shape.ranks / COPIED_BYTES_S
    return Cost(sent, sent / speeds.bytes_s + copied + 2 * speeds.messages_s(shape.nodes))


def factors_cost(shape: Shape, ways: Ways, speeds: Speeds) -> Cost:
    """The cost of exchanging factors in the given ways."""
    sizes, layout = shape.layout.sizes, shape.layout
    seconds = speeds.messages_s(shape.nodes)
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        if layer not in layout.frozen:
            seconds += _product_s(shape, speeds, inputs, outputs)
        if layer and ways.x[layer] is Way.COMPUTED:
            seconds += _product_s(shape, speeds, sizes[layer - 1], inputs)
        if ways.dz[layer] is Way.COMPUTED:
            seconds += _product_s(shape, speeds, outputs, sizes[layer + 2])
    if ways.x[0].is_needed:
        seconds += (shape.nodes - 1) * shape.rows * sizes[0] * shape.itemsize / COPIED_BYTES_S
    *early, late = (
        sum(_array_bytes(shape, array) for array in arrays)
        for arrays in messages(ways, lambda array: shape.rows * width(shape.layout.sizes, array) * shape.itemsize)
    )
    sent = sum(early) + late
    seconds += 2 * sent / shape.ranks / COPIED_BYTES_S
    exposed = max(0.0, sum(early) / speeds.bytes_s - _back_s(shape, speeds)) + late / speeds.bytes_s
    return Cost(sent, exposed + seconds)


def _back_s(shape: Shape, speeds: Speeds) -> float:
    """Seconds that a rank goes back from layer to layer with its own rows."""
    behind = list(itertools.pairwise(shape.layout.sizes))[shape.layout.lowest + 1 :]
    return sum(2.0 * shape.rows * inputs * outputs for inputs, outputs in behind) / speeds.flops


def _array_bytes(shape: Shape, array: Array) -> float:
    """Bytes that a node sends of an array; with dz goes the gradient of the bias."""
    columns = width(shape.layout.sizes, array)
    sparse = shape.sparse and array != (DZ, len(shape.layout.sizes) - 2)
    biases = (shape.nodes - 1) * shape.ranks * columns * shape.itemsize if array[0] == DZ else 0
    return _bytes(shape, columns, sparse=sparse) + biases


def all_received(shape: Shape) -> Ways:
    """All factors are sent, but for the samples."""
    layers = range(len(shape.layout.sizes) - 1)
    return _needed(shape, [Way.COMPUTED, *[Way.RECEIVED for _ in layers[1:]]], [Way.RECEIVED for _ in layers])


def all_computed(shape: Shape) -> Ways:
    """Every node computes all factors, but for the dz of the last layer."""
    layers = range(len(shape.layout.sizes) - 1)
    return _needed(shape, [Way.COMPUTED for _ in layers], [*[Way.COMPUTED for _ in layers[1:]], Way.RECEIVED])


def best_ways(shape: Shape, speeds: Speeds) -> Ways:
    """For every factor the way that takes less time, as if nothing left early; or all in one way, if that is better."""

    def way(columns: int, inputs: int, outputs: int) -> Way:
        num_bytes = _bytes(shape, columns, sparse=shape.sparse)
        sending = num_bytes / speeds.bytes_s + 2 * num_bytes / shape.ranks / COPIED_BYTES_S
        return Way.RECEIVED if sending < _product_s(shape, speeds, inputs, outputs) else Way.COMPUTED

    sizes = shape.layout.sizes
    last = len(sizes) - 2
    x = [Way.COMPUTED, *(way(sizes[layer], sizes[layer - 1], sizes[layer]) for layer in range(1, last + 1))]
    dz = [*(way(sizes[layer + 1], sizes[layer + 1], sizes[layer + 2]) for layer in range(last)), Way.RECEIVED]
    candidates = _needed(shape, x, dz), all_computed(shape), all_received(shape)
    return min(candidates, key=lambda ways: factors_cost(shape, ways, speeds).seconds)


def _needed(shape: Shape, x: Sequence[Way], dz: Sequence[Way]) -> Ways:
    """The same ways, but for factors that nothing is computed from."""
    layers, layout = range(len(x)), shape.layout
    needed_x, needed_dz = list(x), list(dz)
    trained = [layer >= layout.lowest and layer not in layout.frozen for layer in layers]
    for layer in layers:
        below = layer > 0 and needed_dz[layer - 1] is Way.COMPUTED
        if not (trained[layer] or below):
            needed_dz[layer] = Way.NOT_NEEDED
    for layer in reversed(layers):
        above = layer + 1 < len(x) and needed_x[layer + 1] is Way.COMPUTED
        bent = layer > 0 and needed_dz[layer - 1] is Way.COMPUTED
        if not (trained[layer] or above or bent):
            needed_x[layer] = Way.NOT_NEEDED
    return Ways(tuple(needed_x), tuple(needed_dz), shape.sparse)


def _bytes(shape: Shape, columns: int, *, sparse: bool) -> float:
    """Bytes that a node sends of a factor."""
    elements = (shape.nodes - 1) * shape.ranks * shape.rows * columns
    return elements * shape.itemsize * (ACTIVE + BITS_SHARE if sparse else 1.0)


def _product_s(shape: Shape, speeds: Speeds, inputs: int, outputs: int) -> float:
    """Seconds of a product over the rows of all other nodes, of which each rank computes its part."""
    return 2.0 * (shape.nodes - 1) * shape.rows * inputs * outputs / speeds.flops
