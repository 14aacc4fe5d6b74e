"""Who takes which shards of a step whose sums have a fixed order: what the wire and the slowest rank take together.

A node sends one partial sum for each span that covers its shards (see `tree`). With even shares the fewest spans come
only by chance: of 64 shards three nodes get 21, 21 and 22, which are 3, 5 and 3 spans, and the busiest sends three
times the bytes of a ring. With whole spans, 16, 16 and 32, each sends one; but then one node has half as much again to
compute. In between lie cuts at multiples of a power of two. No way of sending evades this: two spans that are not
siblings have no sum in the tree, so both must travel.

What is best depends on how long the wire takes beside the products, so the times of all candidates are estimated.
The bits are the same with each: it only decides who does an addition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from dpnet.compute.shares import share
from dpnet.parallel import tree
from dpnet.parallel.plan import Plan

SAMPLES_PER_GRADIENT = 200
"""Samples that a rank takes forward and back while its node sends one gradient: both grow with the parameters. At 1
Gbit/s an element takes 32 ns, and the three products of a sample 6 operations a parameter at 40 GFlop/s, 0.15 ns."""


def deal(plan: Plan, nodes: Sequence[range]) -> list[range]:
    """The shards of every rank: adjacent, at least one each.

    Args:
        plan: of the steps.
        nodes: the ranks of every node.
    """
    even = plan.shares(nodes[-1].stop)
    if len(nodes) == 1 or not plan.reproducible:
        return even
    candidates = [even, *(_shared_out(cuts, nodes) for cuts in _cuts(plan.num_shards, nodes))]
    return min(candidates, key=lambda shares: _time(plan, nodes, shares))


def partial_sums(shards: range, span: tree.Span) -> int:
    """How many spans of the tree below `span` cover what it has of some adjacent shards."""
    first, stop = span
    if stop <= shards.start or shards.stop <= first:
        return 0
    if shards.start <= first and stop <= shards.stop:
        return 1
    middle = tree.split(span)
    return partial_sums(shards, (first, middle)) + partial_sums(shards, (middle, stop))


def _cuts(num_shards: int, nodes: Sequence[range]) -> Iterator[list[int]]:
    """Where the shards of every node begin and the last ones end, in several ways that leave every rank a shard."""
    num_ranks = nodes[-1].stop
    even = [num_shards * ranks.start // num_ranks for ranks in nodes]
    found = [[*(round(cut / unit) * unit for cut in even), num_shards] for unit in _powers_of_two(num_shards)]
    if whole := _whole_spans((0, num_shards), nodes):
        found.append([*whole, num_shards])
    for cuts in found:
        if all(stop - start >= len(ranks) for (start, stop), ranks in zip(pairwise(cuts), nodes, strict=True)):
            yield cuts


def _powers_of_two(below: int) -> Iterator[int]:
    unit = 2
    while unit < below:
        yield unit
        unit *= 2


def _whole_spans(span: tree.Span, nodes: Sequence[range]) -> list[int]:
    """Where the span of every node begins, if each gets one span; none if there are fewer shards than nodes."""
    first, stop = span
    if len(nodes) == 1:
        return [first]
    middle, ranks = tree.split(span), nodes[-1].stop - nodes[0].start
    wanted = ranks * (middle - first) / (stop - first)  # Ranks for the left child, by its size.
    numbers = [left for left in range(1, len(nodes)) if left <= middle - first and len(nodes) - left <= stop - middle]
    if not numbers:
        return []
    left = min(numbers, key=lambda left: abs(nodes[left].start - nodes[0].start - wanted))
    return _whole_spans((first, middle), nodes[:left]) + _whole_spans((middle, stop), nodes[left:])


def _shared_out(cuts: Sequence[int], nodes: Sequence[range]) -> list[range]:
    """The shards of every rank, if every node has those between two cuts."""
    shares = []
    for (start, stop), ranks in zip(pairwise(cuts), nodes, strict=True):
        for place in range(len(ranks)):
            first, last = share(stop - start, place, len(ranks))
            shares.append(range(start + first, start + last))
    return shares


def _time(plan: Plan, nodes: Sequence[range], shares: Sequence[range]) -> float:
    """The time of a step in the mean with these shares, in units of the time that a rank takes for a sample."""
    of_nodes = [range(shares[ranks[0]].start, shares[ranks[-1]].stop) for ranks in nodes]
    sums = [partial_sums(shards, (0, plan.num_shards)) for shards in of_nodes]
    part, others = 1 / len(nodes), len(nodes) - 1
    sent = max(sums) * (1 - part) + part * others
    received = (sum(sums) - min(sums)) * part + 1 - part
    slowest = max(map(len, shares)) * plan.global_batch_size / plan.num_shards
    return slowest + SAMPLES_PER_GRADIENT / plan.exchange_every * max(sent, received)
