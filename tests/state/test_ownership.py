"""Slices of owners: adjacent, whole grains, and equally much work."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpnet.nn.layout import ALIGNMENT, Layout
from dpnet.state.ownership import OWNERSHIP_GRAIN, owned_slices, slices_and_parts


@given(st.lists(st.integers(1, 200), min_size=2, max_size=5), st.integers(1, 100))
def test_owners_have_adjacent_grains_and_as_much_work_as_grains_allow(sizes, num_owners):
    layout = Layout(sizes)
    slices = owned_slices(layout, num_owners)
    assert len(slices) == num_owners
    assert [part.start for part in slices] == [0, *(part.stop for part in slices[:-1])]
    assert slices[-1].stop == layout.size
    assert all(part.start <= part.stop and part.start % OWNERSHIP_GRAIN == 0 for part in slices)
    beginnings = [tensor.start // OWNERSHIP_GRAIN for tensor in layout.tensors[1:]]
    costs = np.array([1 + 2 * beginnings.count(block) for block in range(layout.size // OWNERSHIP_GRAIN)])
    shares = [costs[part.start // OWNERSHIP_GRAIN : part.stop // OWNERSHIP_GRAIN].sum() for part in slices]
    assert np.abs(np.array(shares) - costs.sum() / num_owners).max() <= costs.max()


@given(st.lists(st.integers(1, 200), min_size=2, max_size=5), st.integers(1, 12), st.integers(1, 12))
def test_a_slice_is_cut_into_those_of_more_owners(sizes, num_owners, times):
    layout = Layout(sizes)
    finer = owned_slices(layout, num_owners * times)
    grouped = [slice(finer[first].start, finer[first + times - 1].stop) for first in range(0, len(finer), times)]
    assert grouped == owned_slices(layout, num_owners)


def test_small_layers_at_the_end_of_a_slice_make_it_shorter():
    slices = owned_slices(Layout((784, 256, 128, 10)), 2)
    assert [(part.stop - part.start) // OWNERSHIP_GRAIN for part in slices] == [120, 110]


@pytest.mark.parametrize("frozen", [(), ("2",)], ids=str)
@pytest.mark.parametrize(
    "nodes",
    [
        [range(1)],
        [range(3)],
        [range(2), range(2, 4)],
        [range(3), range(3, 4)],
        [range(4), range(4, 6), range(6, 8)],
        [range(5), range(5, 6), range(6, 9)],
    ],
    ids=str,
)
def test_every_element_has_one_owner_on_every_node_and_what_is_trained_one_part_in_all(nodes, frozen):
    layout = Layout((100, 90, 7), frozen)
    slices, parts = slices_and_parts(nodes, layout)
    for ranks in nodes:
        assert [slices[rank] for rank in ranks] == owned_slices(layout, len(ranks))
    ordered = sorted(parts, key=lambda part: part.start)
    assert [part.start for part in ordered] == [layout.trained.start, *(part.stop for part in ordered[:-1])]
    assert ordered[-1].stop == layout.trained.stop
    assert all(part.start % ALIGNMENT == 0 for part in parts)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.lists(st.integers(1, 90), min_size=2, max_size=4))
def test_the_parts_of_every_node_are_equally_long_however_many_ranks_it_has(ranks, sizes):
    cuts, layout = [0, *np.cumsum(ranks)], Layout(sizes)
    nodes = [range(*pair) for pair in itertools.pairwise(cuts)]
    _, parts = slices_and_parts(nodes, layout)
    lengths = [sum(parts[rank].stop - parts[rank].start for rank in node) for node in nodes]
    each_cut = max(ranks) * ALIGNMENT
    assert np.abs(np.array(lengths) - layout.size / len(nodes)).max() <= each_cut


def test_with_as_many_ranks_on_every_node_the_part_of_a_rank_lies_in_its_slice():
    slices, parts = slices_and_parts([range(2), range(2, 4), range(4, 6)], Layout((784, 256, 128, 10)))
    assert all(owned.start <= part.start < part.stop <= owned.stop for owned, part in zip(slices, parts, strict=True))
    assert [part.start for part in parts[::2]] == sorted(part.start for part in parts[::2])


@pytest.mark.parametrize("num_owners", [1, 2, 3, 7])
@pytest.mark.parametrize("frozen", [["0"], ["2"], ["4"], ["0", "4"]], ids=str)
def test_owners_share_what_is_trained_and_every_element_has_an_owner(frozen, num_owners):
    layout = Layout((300, 200, 180, 160), frozen)
    slices = owned_slices(layout, num_owners)
    assert [part.start for part in slices] == [0, *(part.stop for part in slices[:-1])]
    assert slices[-1].stop == layout.size
    trained = np.zeros(layout.size)
    for tensor in layout.tensors:
        trained[tensor.start : tensor.stop] = not tensor.is_frozen
    work = np.array([trained[part].sum() for part in slices])
    assert np.abs(work - trained.sum() / num_owners).max() <= 5 * OWNERSHIP_GRAIN
