"""Where weights and biases lie in the flat vector."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpnet.compute.arrays import aligned_zeros
from dpnet.nn.layout import ALIGNMENT, BLOCK, Layout

widths = st.lists(st.integers(1, 40), min_size=2, max_size=5)


@given(widths)
def test_tensors_are_aligned_in_order_and_apart(sizes):
    layout = Layout(sizes)
    end = 0
    for tensor in layout.tensors:
        assert tensor.start % ALIGNMENT == 0
        assert end <= tensor.start < end + ALIGNMENT
        assert tensor.stop - tensor.start == np.prod(tensor.shape)
        end = tensor.stop
    assert end <= layout.size < end + BLOCK
    assert layout.size % BLOCK == 0
    assert layout.num_params == sum(n * m + m for n, m in itertools.pairwise(sizes))


@given(widths)
def test_views_cover_the_parameters_and_nothing_else(sizes):
    layout = Layout(sizes)
    flat = np.zeros(layout.size)
    for weight, bias in layout.views(flat):
        weight += 1
        bias += 1
    assert flat.sum() == layout.num_params == np.count_nonzero(flat == 1)


@given(st.lists(st.integers(1, 200), min_size=2, max_size=5), st.integers(1, 100))
def test_owners_have_adjacent_blocks_and_as_much_work_as_blocks_allow(sizes, num_owners):
    layout = Layout(sizes)
    slices = layout.owned_slices(num_owners)
    assert len(slices) == num_owners
    assert [part.start for part in slices] == [0, *(part.stop for part in slices[:-1])]
    assert slices[-1].stop == layout.size
    assert all(part.start <= part.stop and part.start % BLOCK == 0 for part in slices)
    beginnings = [tensor.start // BLOCK for tensor in layout.tensors[1:]]
    costs = np.array([1 + 2 * beginnings.count(block) for block in range(layout.size // BLOCK)])
    shares = [costs[part.start // BLOCK : part.stop // BLOCK].sum() for part in slices]
    assert np.abs(np.array(shares) - costs.sum() / num_owners).max() <= costs.max()


@given(st.lists(st.integers(1, 200), min_size=2, max_size=5), st.integers(1, 12), st.integers(1, 12))
def test_a_slice_is_cut_into_those_of_more_owners(sizes, num_owners, times):
    layout = Layout(sizes)
    finer = layout.owned_slices(num_owners * times)
    grouped = [slice(finer[first].start, finer[first + times - 1].stop) for first in range(0, len(finer), times)]
    assert grouped == layout.owned_slices(num_owners)


def test_small_layers_at_the_end_of_a_slice_make_it_shorter():
    slices = Layout((784, 256, 128, 10)).owned_slices(2)
    assert [(part.stop - part.start) // BLOCK for part in slices] == [120, 110]


def test_views_and_names_are_the_same_memory():
    layout = Layout([5, 4, 3])
    flat = aligned_zeros(layout.size, np.float32)
    named, views = layout.named(flat), layout.views(flat)
    assert [array.shape for array in named.values()] == [(4, 5), (4,), (3, 4), (3,)]
    for array, view in zip(named.values(), [array for pair in views for array in pair], strict=True):
        view[...] = 7
        assert (array == 7).all()
        assert array.ctypes.data % 64 == 0
        assert view.flags.c_contiguous
        assert view.shape == array.shape[::-1]


def test_only_biases_are_marked_as_biases():
    assert [(t.name, t.is_bias) for t in Layout([2, 3, 4]).tensors] == [
        ("0.weight", False),
        ("0.bias", True),
        ("2.weight", False),
        ("2.bias", True),
    ]


@pytest.mark.parametrize("sizes", [[3, 2], [7, 5, 3], [4, 6, 5, 3]])
def test_names_and_shapes_are_those_of_torch(sizes):
    torch = pytest.importorskip("torch")
    modules = []
    for num_inputs, num_outputs in itertools.pairwise(sizes):
        modules += [torch.nn.Linear(num_inputs, num_outputs), torch.nn.ReLU()]
    state = torch.nn.Sequential(*modules[:-1]).state_dict()
    assert [(t.name, t.shape) for t in Layout(sizes).tensors] == [(n, tuple(a.shape)) for n, a in state.items()]
