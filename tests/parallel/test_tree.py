"""The tree itself: its spans, and that a sum over it has the same bits however the leaves are shared out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpnet.compute.loops import reference
from dpnet.compute.loops.pending_sums import pending_sum
from dpnet.compute.shares import share
from dpnet.parallel import tree


def oracle(terms: np.ndarray, span: tree.Span) -> np.ndarray:
    """The sum below a span, written out as the tree defines it."""
    first, stop = span
    if stop - first == 1:
        return terms[first]
    middle = tree.split(span)
    return oracle(terms, (first, middle)) + oracle(terms, (middle, stop))


def test_the_tree_over_six_leaves_is_the_one_drawn():
    inner = {span for span in tree.spans(6) if span[1] - span[0] > 1}
    assert inner == {(0, 6), (0, 4), (4, 6), (0, 2), (2, 4)}


@pytest.mark.parametrize("num_leaves", [1, 2, 3, 7, 8, 12, 33])
def test_a_binary_tree_has_one_inner_node_less_than_leaves(num_leaves):
    assert len(tree.spans(num_leaves)) == 2 * num_leaves - 1


def test_a_cover_waits_for_its_neighbours():
    assert tree.cover(range(1, 5), tree.spans(6)) == [(1, 2), (2, 4), (4, 5)]


@given(st.integers(1, 40), st.data())
def test_the_sum_has_the_same_bits_for_every_world_size(num_leaves, data):
    world_size = data.draw(st.integers(1, num_leaves))
    terms = np.random.default_rng(num_leaves).standard_normal((num_leaves, 5)).astype(np.float32) * 1e3
    spans = tree.spans(num_leaves)
    parts = [
        span for rank in range(world_size) for span in tree.cover(range(*share(num_leaves, rank, world_size)), spans)
    ]
    joins, left = tree.joins(parts, spans)
    assert left == [(0, num_leaves)]
    pending = pending_sum(np.array([oracle(terms, span) for span in parts]), joins)
    total = np.empty((1, 5), np.float32)
    reference.sum_rows(pending.vectors, pending.joins, 0, np.empty((pending.depth, 2), np.float32), total)
    assert total[0].tobytes() == oracle(terms, (0, num_leaves)).tobytes()


@given(st.integers(1, 200))
def test_a_rank_keeps_few_partial_sums(num_leaves):
    spans = tree.spans(num_leaves)
    most = max(
        len(tree.cover(range(first, stop), spans))
        for first in range(0, num_leaves, 7)
        for stop in range(first + 1, num_leaves + 1, 5)
    )
    assert most <= 2 * max(1, num_leaves.bit_length())


@given(st.integers(1, 40), st.data())
def test_the_deepest_stack_is_that_of_the_rank_that_appends(num_leaves, data):
    first = data.draw(st.integers(0, num_leaves - 1))
    leaves, spans = range(first, data.draw(st.integers(first + 1, num_leaves))), tree.spans(num_leaves)
    stack, places = [], set()
    for leaf in leaves:
        places.add(len(stack))  # Where the gradient of the leaf is computed.
        tree.append(stack, (leaf, leaf + 1), spans)
    assert tree.deepest_stack(leaves, spans) == 1 + max(places)
    assert tree.deepest_stack(range(0), spans) == 0
