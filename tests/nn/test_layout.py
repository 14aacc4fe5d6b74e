"""Where weights and biases lie in the flat vector."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpnet.compute.arrays import aligned_zeros
from dpnet.nn.layout import ALIGNMENT, GRAIN, Layout

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
    assert end <= layout.size < end + GRAIN
    assert layout.size % GRAIN == 0
    assert layout.num_params == sum(n * m + m for n, m in itertools.pairwise(sizes))


@given(widths)
def test_views_cover_the_parameters_and_nothing_else(sizes):
    layout = Layout(sizes)
    flat = np.zeros(layout.size)
    for weight, bias in layout.views(flat):
        weight += 1
        bias += 1
    assert flat.sum() == layout.num_params == np.count_nonzero(flat == 1)


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


@pytest.mark.parametrize(
    ("frozen", "lowest", "trained"),
    [
        ([], 0, slice(0, 1024)),
        (["0"], 1, slice(48, 1024)),
        (["4"], 0, slice(0, 84)),
        (["0", "4"], 1, slice(48, 84)),
        (["2"], 0, slice(0, 1024)),
    ],
)
def test_what_is_trained_lies_between_the_frozen_layers(frozen, lowest, trained):
    layout = Layout([4, 5, 4, 3], frozen)  # Tensors: 0 to 20, 32 to 37; 48 to 68, 80 to 84; 96 to 108, 112 to 115.
    assert (layout.lowest, layout.trained) == (lowest, trained)
    assert layout.frozen == {int(name) // 2 for name in frozen}
    assert [tensor.name for tensor in layout.tensors if tensor.is_frozen] == [
        f"{name}.{kind}" for name in frozen for kind in ("weight", "bias")
    ]
    grad = np.zeros(layout.size)
    for dbias in layout.dbiases(grad):
        dbias += 1
    assert grad.sum() == sum(width for layer, width in enumerate([5, 4, 3]) if layer not in layout.frozen)
