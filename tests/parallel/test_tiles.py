"""What a slice of the gradient is made of."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpnet.nn.layout import Layout
from dpnet.parallel import tiles
from dpnet.parallel.tiles import grouped, parts
from dpnet.state.ownership import owned_slices


@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=5),
    num_owners=st.integers(1, 6),
    tile=st.sampled_from([1, 50, 700, 10**6]),
)
def test_every_element_of_a_slice_is_in_one_part_and_rows_are_whole(sizes, num_owners, tile):
    layout = Layout(sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", tile)
        for owned in owned_slices(layout, num_owners):
            count = np.zeros(layout.size + max(sizes), int)
            for part in parts(layout, owned):
                tensor = layout.tensors[2 * part.layer + part.is_bias]
                width = 1 if part.is_bias else tensor.shape[0]
                assert part.start == tensor.start + part.rows.start * width
                assert part.stop == tensor.start + part.rows.stop * width <= tensor.stop
                assert part.stop - part.start <= max(tile, width)
                count[part.start : part.stop] += 1
            for tensor in layout.tensors:
                start, stop = max(tensor.start, owned.start), min(tensor.stop, owned.stop)
                assert (count[start : max(start, stop)] == 1).all()
            assert count.max(initial=0) <= 1


@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=5), tile=st.sampled_from([1, 50, 700, 10**6]))
def test_a_piece_is_as_many_parts_as_fit(sizes, tile):
    layout = Layout(sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", tile)
        every = list(parts(layout, slice(0, layout.size)))
        groups = list(grouped(iter(every)))
    assert [part for group in groups for part in group] == every
    for group, following in itertools.pairwise(groups):
        assert len(group) == 1 or group[-1].stop - group[0].start <= tile
        assert following[0].stop - group[0].start > tile


def test_frozen_layers_are_in_no_part():
    layout = Layout([9, 8, 7, 6], ["0", "4"])
    assert {part.layer for part in parts(layout, slice(0, layout.size))} == {1}


@pytest.mark.parametrize(("tile", "number"), [(19, 2), (20, 1), (21, 1)])
def test_a_piece_may_be_as_long_as_a_tile(tile, number, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", tile)
    layout = Layout([4, 4])  # A weight of 16 elements, a bias of 4.
    assert len(list(grouped(parts(layout, slice(0, layout.size))))) == number
