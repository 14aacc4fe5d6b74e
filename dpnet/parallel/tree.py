"""A sum in one fixed order, whoever holds the terms.

Floating-point addition is not associative: (a + b) + c and a + (b + c) differ in their last bits. A sum keeps its bits
only if its parentheses stay where they are. Here they are those of a binary tree over the shards ("leaves"). A node is
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

Node = tuple[int, int]
"""(first leaf, one past the last leaf)"""


def split(node: Node) -> int:
    """The leaf at which the right child of an inner node starts."""
    first, stop = node
    return first + (1 << (stop - first - 1).bit_length() - 1)


def nodes(num_leaves: int) -> frozenset[Node]:
    """All nodes of the tree over `num_leaves` leaves."""

    def below(node: Node) -> Iterable[Node]:
        yield node
        if node[1] - node[0] > 1:
            middle = split(node)
            yield from below((node[0], middle))
            yield from below((middle, node[1]))

    return frozenset(below((0, num_leaves)))


def leaves(num_leaves: int) -> list[Node]:
    """All leaves of the tree, from left to right."""
    return [(leaf, leaf + 1) for leaf in range(num_leaves)]


def append(stack: list[Node], node: Node, tree: frozenset[Node]) -> int:
    """Put the next node on a stack of adjacent nodes, and join the top two as long as their union is in the tree.

    Returns:
        the number of joins. Each means: add the sum on top to the one below it, and drop the top.
    """
    stack.append(node)
    joins = 0
    while len(stack) > 1 and (stack[-2][0], stack[-1][1]) in tree:
        stack[-2:] = [(stack[-2][0], stack[-1][1])]
        joins += 1
    return joins


def cover(leaves: range, tree: frozenset[Node]) -> list[Node]:
    """The fewest nodes that make up a range of leaves, from left to right."""
    stack: list[Node] = []
    for leaf in leaves:
        append(stack, (leaf, leaf + 1), tree)
    return stack


def deepest_stack(leaves: range, tree: frozenset[Node]) -> int:
    """Most nodes that `append` keeps at a time, the new one included, when it is given a range of leaves."""
    stack: list[Node] = []
    deepest = 0
    for leaf in leaves:
        deepest = max(deepest, len(stack) + 1)
        append(stack, (leaf, leaf + 1), tree)
    return deepest


def joins(parts: Sequence[Node], tree: frozenset[Node]) -> tuple[list[int], list[Node]]:
    """How to go on adding where `parts`, adjacent nodes from left to right, are known.

    Returns:
        for every part, how often the top two sums of a stack are added once the part has been put on it; and the nodes
        that are on the stack at the end, the whole tree if the parts make it up.
    """
    stack: list[Node] = []
    return [append(stack, part, tree) for part in parts], stack
