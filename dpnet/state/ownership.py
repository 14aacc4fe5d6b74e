"""Who owns what: each rank of a node owns one slice of every flat vector; it completes its gradient and updates it.

With several nodes every rank also finishes the sum of one part of the gradient, see `parallel.between_nodes`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

from dpnet.compute.shares import ceil_div, overlap
from dpnet.nn.layout import ALIGNMENT, GRAIN, Layout

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

    Parts lie in what is trained. A node sends and receives the more, the more elements lie in the parts of its ranks.
    So all nodes have equally many, however many ranks share them. Slices that begin and end alike on all nodes are cut
    into parts one by one: with as many ranks on every node, the part of a rank lies in its own slice.

    Args:
        nodes: the ranks of every node.
        layout: of the flat vector.
    """
    of_node = {number: owned_slices(layout, number) for number in {*map(len, nodes)}}
    slices = [owned for ranks in nodes for owned in of_node[len(ranks)]]
    parts = [slice(0, 0)] * len(slices)
    alike = math.gcd(*map(len, nodes))
    for place, common in enumerate(owned_slices(layout, alike)):
        whole = overlap(common, layout.trained)
        begin = cut = whole.start
        done = Fraction(0)
        for rank, weight in _in_turns([_part_of(ranks, place, alike) for ranks in nodes]):
            done += weight
            # The sum of all weights is exactly 1, and what is trained begins at a multiple of ALIGNMENT.
            stop = whole.stop if done == 1 else begin + int(len(whole) * done) // ALIGNMENT * ALIGNMENT
            parts[rank], cut = slice(cut, stop), stop
    return slices, parts


def _part_of(ranks: range, place: int, places: int) -> range:
    """The ranks of a node that have its share number `place` of `places`."""
    each = len(ranks) // places
    return ranks[place * each : (place + 1) * each]


def _in_turns(nodes: Sequence[range]) -> list[tuple[int, Fraction]]:
    """The ranks of all nodes in the order of the middles of their slices, and their shares of the whole."""
    middles = [
        (Fraction(2 * place + 1, len(ranks)), rank, len(ranks)) for ranks in nodes for place, rank in enumerate(ranks)
    ]
    return [(rank, Fraction(1, number * len(nodes))) for _, rank, number in sorted(middles)]
