"""A sum in one fixed order, whoever holds the terms.

Floating-point addition is not associative: (a + b) + c and a + (b + c) differ in their last bits. A sum keeps its bits
only if its parentheses stay where they are. Here they are those of a binary tree over the shards ("leaves"). A span is
the range of leaves below it; its left child takes the largest power of two of leaves that is less than its size:

                       (0, 6)
                 ┌───────┴────────┐
               (0, 4)           (4, 6)
            ┌────┴────┐        ┌──┴──┐
          (0, 2)    (2, 4)     4     5
          ┌─┴─┐     ┌─┴─┐
          0   1     2   3

A rank that holds the leaves 1 to 4 of it can add up (2, 4), and nothing more: 1 waits for 0, and 4 for 5. So it hands
on the three partial sums 1, (2, 4) and 4, its cover. Whoever has the covers of all ranks finishes the sum. How the
leaves were shared out decides who does an addition, never which additions are done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
"""(first leaf, one past the last leaf)"""


def split(span: Span) -> int:
    """The leaf at which the right child of an inner span starts."""
    first, stop = span
    return first + (1 << (stop - first - 1).bit_length() - 1)


def spans(num_leaves: int) -> frozenset[Span]:
    """All spans of the tree over `num_leaves` leaves."""

    def below(span: Span) -> Iterable[Span]:
        yield span
        if span[1] - span[0] > 1:
            middle = split(span)
            yield from below((span[0], middle))
            yield from below((middle, span[1]))

    return frozenset(below((0, num_leaves)))


def spans_in_groups(groups: Sequence[range]) -> frozenset[Span]:
    """All spans of a tree over groups of adjacent leaves, each of which is itself a tree: one sum for each group."""
    inside = {(group.start + first, group.start + stop) for group in groups for first, stop in spans(len(group))}
    return frozenset(inside | {(groups[first].start, groups[stop - 1].stop) for first, stop in spans(len(groups))})


def leaves(num_leaves: int) -> list[Span]:
    """All leaves of the tree, from left to right."""
    return [(leaf, leaf + 1) for leaf in range(num_leaves)]


def append(stack: list[Span], span: Span, tree: frozenset[Span]) -> int:
    """Put the next span on a stack of adjacent spans, and join the top two as long as their union is in the tree.

    Returns:
        the number of joins. Each means: add the sum on top to the one below it, and drop the top.
    """
    stack.append(span)
    joins = 0
    while len(stack) > 1 and (stack[-2][0], stack[-1][1]) in tree:
        stack[-2:] = [(stack[-2][0], stack[-1][1])]
        joins += 1
    return joins


def cover(leaves: range, tree: frozenset[Span]) -> list[Span]:
    """The fewest spans that make up a range of leaves, from left to right."""
    stack: list[Span] = []
    for leaf in leaves:
        append(stack, (leaf, leaf + 1), tree)
    return stack


def deepest_stack(leaves: range, tree: frozenset[Span]) -> int:
    """Most spans that `append` keeps at a time, the new one included, when it is given a range of leaves."""
    stack: list[Span] = []
    deepest = 0
    for leaf in leaves:
        deepest = max(deepest, len(stack) + 1)
        append(stack, (leaf, leaf + 1), tree)
    return deepest


def joins(parts: Sequence[Span], tree: frozenset[Span]) -> tuple[list[int], list[Span]]:
    """How to finish a sum from `parts`, adjacent spans from left to right.

    Returns:
        for every part, how often the top two sums of a stack are added once the part has been put on it; and the spans
        that are on the stack at the end, the whole tree if the parts make it up.
    """
    stack: list[Span] = []
    return [append(stack, part, tree) for part in parts], stack
