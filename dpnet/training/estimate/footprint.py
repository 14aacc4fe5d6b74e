"""The memory that a training takes on a node, from the layout of its network.

    vectors     parameters and optimizer vectors, once for the node, or twice where a lost rank is survived; of every
                worker of local SGD
    rows        x, the outputs and the gradients of every layer: of the node's samples, or of all where factors travel
    gradients   tiles of the joint gradient, or a vector for each partial sum
    messages    what is sent to other nodes, and received

Left out: Python, numpy, MPI and the libraries for products, which take 40 to 150 MB of a rank; the data, which lie in
memory once for a node (or in the page cache); the evaluation; the helper that writes checkpoints, which copies all
vectors; and buffers that grow with neither the network nor the batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dpnet.config.model import ModelConfig
from dpnet.nn.layout import Layout
from dpnet.parallel import tree
from dpnet.parallel.deal import partial_sums
from dpnet.parallel.reducer import choose_reducer
from dpnet.parallel.tiles import TILE
from dpnet.training.estimate.model import Outlook
from dpnet.training.local import OUTER_OPTIMIZER


class Vectors(NamedTuple):
    """How many vectors as long as the parameters a node has, beside the parameters.

    Attributes:
        slots: of the optimizer.
        banks: 2 where the loss of a rank is survived, else 1.
    """

    slots: int
    banks: int


def node_bytes(found: Outlook, model: ModelConfig, layout: Layout, vectors: Vectors) -> float:
    """Bytes of a node, of the one with the most shards.

    Args:
        found: what is to be expected; its exchange decides what rows a node holds.
        model: of the job.
        layout: of the parameters.
        vectors: that belong to them.
    """
    elements = _states(found, layout, vectors) + _rows(found, layout) + _gradients(found, layout)
    return elements * np.dtype(model.dtype).itemsize + _messages(found)


def _states(found: Outlook, layout: Layout, vectors: Vectors) -> float:
    """Elements of parameters and optimizer vectors."""
    banks = vectors.banks if found.case.nodes * found.case.ranks > 1 else 1
    if not found.case.train.workers:
        return layout.size * banks * (1 + vectors.slots)
    of_workers = found.case.load.shards * (1 + vectors.slots)
    return layout.size * (banks * (1 + len(OUTER_OPTIMIZER.slots)) + of_workers)


def _rows(found: Outlook, layout: Layout) -> float:
    """Elements of the buffers of rows."""
    case, sizes = found.case, layout.sizes
    widths = sum(sizes) + sum(sizes[1:-1])
    if found.exchange.ways is not None:
        return widths * case.plan.global_batch_size
    return widths * case.ranks * case.plan.max_rows()


def _gradients(found: Outlook, layout: Layout) -> float:
    """Elements of the gradients of a node, and of the sums in which they meet those of other nodes."""
    case, ranks, size = found.case, found.case.ranks, layout.size
    train, rows = case.train, case.plan.max_rows()
    tiles = ranks * min(TILE, size / ranks)
    if found.exchange.ways is not None:
        return case.nodes * tiles
    kind = choose_reducer(train.reducer, train.fixed_shards, layout, case.of_nodes, rows)
    vectors = tiles / size if kind == "joint" else _stacks(found)
    if train.workers:
        # A worker has a reducer of its own, as it is a training of one rank; those of a rank share it.
        alone = choose_reducer("auto", 0, layout, [range(1)], rows)
        vectors += ranks * (min(TILE, size) / size if alone == "joint" else 1)
    if case.nodes > 1 and kind != "allreduce":
        vectors += _sums_between_nodes(found) * (1.5 if train.wire == "bfloat16" else 1)
    return vectors * size


def _stacks(found: Outlook) -> float:
    """Vectors of gradients of the ranks of a node; a stack of partial sums each, see `shards`."""
    case = found.case
    if not case.plan.reproducible:
        return case.ranks
    spans = tree.spans(case.plan.num_shards)
    here = [case.shares[rank] for rank in _busiest(found)]
    return sum(tree.deepest_stack(share, spans) for share in here)


def _sums_between_nodes(found: Outlook) -> float:
    """Vectors of a node in `between_nodes`: its sums, its parts of all sums, its part of the whole, and the whole."""
    case, each = found.case, 1.0
    if case.plan.reproducible:
        busiest = _busiest(found)
        shards = range(case.shares[busiest[0]].start, case.shares[busiest[-1]].stop)
        each = partial_sums(shards, (0, case.plan.num_shards))
    return each + each + 1 / case.nodes + 1


def _busiest(found: Outlook) -> range:
    """The ranks of the node with the most shards."""
    return max(found.case.of_nodes, key=lambda ranks: sum(len(found.case.shares[rank]) for rank in ranks))


def _messages(found: Outlook) -> float:
    """Bytes of the messages with factors: one is sent to all other nodes, and one is received from each."""
    nodes = found.case.nodes
    return found.exchange.cost.bytes * nodes / (nodes - 1) if found.exchange.ways is not None else 0.0
