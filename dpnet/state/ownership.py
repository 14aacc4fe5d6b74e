"""Who owns what: each rank of a node owns one slice of every flat vector; it completes its gradient and updates it.

With several nodes every rank also finishes the sum of one part of the gradient, see `parallel.between_nodes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise

from dpnet.compute.shares import ceil_div
from dpnet.nn.layout import GRAIN, Layout

OWNERSHIP_GRAIN = GRAIN
"""Elements. Slices are cut at its multiples, so that sums in a fixed order over grains never straddle two owners."""


def owned_slices(layout: Layout, num_owners: int) -> list[slice]:
    """The elements of a flat vector that each owner has: adjacent whole grains, or none.

    All owners should take equally long. Each tensor takes a product or a sum of its own, and a small one is slow for
    its size; so each tensor but the first counts like two more grains (measured in benchmarks/README.md). What is
    frozen takes no time, but somebody has to own it.
    """
    starts = Counter(tensor.start // OWNERSHIP_GRAIN for tensor in layout.tensors[1:] if not tensor.is_frozen)
    costs = [1 + 2 * starts[grain] for grain in range(layout.size // OWNERSHIP_GRAIN)]
    for grain in _idle_grains(layout):
        costs[grain] = 0
    total = sum(costs)
    # The total cost is shared out evenly. A grain goes to the owner in whose share the middle of its own cost lies.
    ends = accumulate(costs)
    last = num_owners - 1
    owners = [min((2 * end - cost) * num_owners // (2 * total), last) for cost, end in zip(costs, ends, strict=True)]
    grains = Counter(owners)
    cuts = [0, *accumulate(grains[owner] * OWNERSHIP_GRAIN for owner in range(num_owners))]
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def _idle_grains(layout: Layout) -> set[int]:
    """Grains without an element that is trained."""
    if not layout.frozen:
        return set()
    trained = [tensor for tensor in layout.tensors if not tensor.is_frozen]
    busy = {
        grain
        for tensor in trained
        for grain in range(tensor.start // OWNERSHIP_GRAIN, ceil_div(tensor.stop, OWNERSHIP_GRAIN))
    }
    return set(range(layout.size // OWNERSHIP_GRAIN)) - busy


def slices_and_parts(nodes: Sequence[range], layout: Layout) -> tuple[list[slice], list[slice]]:
    """For every rank: the slice that it owns on its node, and the part of the whole sum that it finishes.

    Parts go to the first rank of every node, then to the second of every node, and so on. So each rank's part lies in
    its own slice if all nodes have the same number of ranks.

    Args:
        nodes: the ranks of every node.
        layout: of the flat vector.
    """
    slices = [owned for ranks in nodes for owned in owned_slices(layout, len(ranks))]
    places = sorted((rank - ranks.start, rank) for ranks in nodes for rank in ranks)
    parts = [slice(0, 0)] * len(places)
    for (_, rank), part in zip(places, owned_slices(layout, len(places)), strict=True):
        parts[rank] = part
    return slices, parts
