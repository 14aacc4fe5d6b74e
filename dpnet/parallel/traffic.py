"""What the gradient costs between nodes: the bytes of a step, known before it is taken.

A rank finishes the sum of one part. Its node sends all other parts to the ranks that finish them, once for each of its
partial sums, and gets the other nodes' partial sums of its own parts; then finished parts go the opposite way. Of n
nodes with equal parts and one partial sum each, every one sends and receives 2 (n - 1) / n times the gradient. That is
what a ring takes, and no way of adding up takes less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.nn.layout import Layout
from dpnet.parallel.deal import deal, partial_sums
from dpnet.parallel.plan import Plan
from dpnet.state.ownership import slices_and_parts


class Traffic(NamedTuple):
    """Bytes that a node exchanges with all others in a step, without what MPI and the network add to them."""

    sent: int
    received: int


def planned(nodes: Sequence[range], partial_sums: Sequence[int], layout: Layout, wire: npt.DTypeLike) -> list[Traffic]:
    """The traffic of every node.

    Args:
        nodes: the ranks of every node.
        partial_sums: how many every node has.
        layout: of the gradient.
        wire: dtype of the elements that are sent.
    """
    _, parts = slices_and_parts(nodes, layout)
    element = np.dtype(wire).itemsize
    whole, others, rows = layout.trained.stop - layout.trained.start, len(nodes) - 1, sum(partial_sums)
    found = []
    for ranks, number in zip(nodes, partial_sums, strict=True):
        own = sum(parts[rank].stop - parts[rank].start for rank in ranks)
        sent = (whole - own) * number + own * others
        received = own * (rows - number) + whole - own
        found.append(Traffic(sent * element, received * element))
    return found


def ring(num_nodes: int, layout: Layout, wire: npt.DTypeLike) -> float:
    """Bytes that every node of a ring sends and receives in a step."""
    return 2 * (num_nodes - 1) / num_nodes * (layout.trained.stop - layout.trained.start) * np.dtype(wire).itemsize


def of_plan(plan: Plan, nodes: Sequence[range], layout: Layout, wire: npt.DTypeLike) -> list[Traffic]:
    """The traffic of every node where the sums over shards have the order of the plan, see `planned`."""
    shares = deal(plan, nodes)
    shards = [range(shares[ranks[0]].start, shares[ranks[-1]].stop) for ranks in nodes]
    sums = [partial_sums(of_node, (0, plan.num_shards)) if plan.reproducible else 1 for of_node in shards]
    return planned(nodes, sums, layout, wire)


def told(plan: Plan, nodes: Sequence[range], layout: Layout, wire: npt.DTypeLike) -> str:
    """In words: the traffic of the busiest node, whether it is more than a ring's, and how uneven shares are."""
    most = max(map(max, of_plan(plan, nodes, layout, wire)))
    times = most / ring(len(nodes), layout, wire)
    more = f", {times:.2g} times what a ring takes: see train.reproducible_shards" if times > 1.05 else ""
    numbers = sorted({len(shards) for shards in deal(plan, nodes)})
    shares = f"; {numbers[0]} to {numbers[-1]} shards on a rank" if numbers[-1] - numbers[0] > 1 else ""
    return f"{most / 1e6:,.2f} MB a step{more}{shares}"
