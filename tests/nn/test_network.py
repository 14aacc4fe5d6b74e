"""The whole network: gradients, extremes, buffers."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest

from dpnet.compute.arrays import aligned_zeros
from dpnet.nn import passes
from dpnet.nn.activations import ACTIVATIONS
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.nn.losses.softmax_nll import SoftmaxNLL
from dpnet.nn.network import MLP

ORACLE = {
    "relu": lambda z: np.where(z > 0, z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "leaky_relu": lambda z: np.where(z > 0, z, z / 100),
    "identity": lambda z: z,
}
each = pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
DEPTHS = [[4, 3], [4, 5, 3], [4, 6, 5, 3], [3, 1, 2], [4, 5, 1]]


class Net:
    """A network with parameters, on one batch; its biases are random too, so that no unit sits on a kink."""

    def __init__(self, sizes, activation, *, rows=6, max_rows=None, dtype=np.float64):
        self.layout = Layout(sizes)
        self.params = aligned_zeros(self.layout.size, dtype)
        initialize(self.layout, activation, 3, self.params)
        rng = np.random.default_rng(7)
        for _, bias in self.layout.views(self.params):
            bias[...] = rng.uniform(-0.5, 0.5, bias.shape)
        self.x = rng.standard_normal((rows, sizes[0])).astype(dtype)
        self.labels = rng.integers(0, sizes[-1], rows)
        self.activation = activation
        self.model = MLP(self.layout, activation, max_rows=max_rows or rows, dtype=dtype)
        self.nll = SoftmaxNLL(max_rows or rows, sizes[-1], dtype)
        # Rubbish, so that whatever is not overwritten shows.
        self.grad = aligned_zeros(self.layout.size, dtype)
        for pair in self.layout.views(self.grad):
            for array in pair:
                array[...] = 99

    def step(self):
        params, grads = self.layout.views(self.params), self.layout.views(self.grad)
        logits = self.model.forward(self.x, params)
        loss, correct = self.nll(logits, self.labels, 1 / max(1, len(self.x)))
        self.model.backward(logits, grads)
        return loss / max(1, len(self.x)), correct

    def oracle_loss(self, params):
        *hidden, last = self.layout.views(params)
        a = self.x
        for weight, bias in hidden:
            a = ORACLE[self.activation](a @ weight + bias)
        logits = a @ last[0] + last[1]
        own = logits[np.arange(len(logits)), self.labels]
        return float(np.mean(np.logaddexp.reduce(logits, axis=1) - own))

    def differences(self, h=1e-6):
        """Central differences of the oracle's loss in every element, padding too."""
        out = np.zeros(self.layout.size)
        for tensor in self.layout.tensors:
            for place in range(tensor.start, tensor.stop):
                moved = self.params.copy()
                moved[place] += h
                above = self.oracle_loss(moved)
                moved[place] -= 2 * h
                out[place] = (above - self.oracle_loss(moved)) / (2 * h)
        return out


@each
@pytest.mark.parametrize("sizes", DEPTHS, ids=str)
def test_gradient_is_that_of_central_differences(activation, sizes):
    net = Net(sizes, activation)
    loss, _ = net.step()
    assert loss == pytest.approx(net.oracle_loss(net.params), rel=1e-13, abs=1e-15)
    np.testing.assert_allclose(net.grad, net.differences(), rtol=1e-6, atol=2e-9)


@each
@pytest.mark.parametrize("sizes", DEPTHS, ids=str)
def test_gradient_is_that_of_torch(activation, sizes):
    torch = pytest.importorskip("torch")
    module = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "leaky_relu": "LeakyReLU", "identity": "Identity"}
    net = Net(sizes, activation)
    layers = []
    for num_inputs, num_outputs in itertools.pairwise(sizes):
        layers += [
            torch.nn.Linear(num_inputs, num_outputs, dtype=torch.float64),
            getattr(torch.nn, module[activation])(),
        ]
    peer = torch.nn.Sequential(*layers[:-1])
    peer.load_state_dict({name: torch.from_numpy(array) for name, array in net.layout.named(net.params).items()})
    expected = torch.nn.functional.cross_entropy(peer(torch.from_numpy(net.x)), torch.from_numpy(net.labels))
    expected.backward()
    loss, _ = net.step()
    assert loss == pytest.approx(expected.item(), rel=1e-13, abs=1e-15)
    grads = net.layout.named(net.grad)
    for name, parameter in peer.named_parameters():
        np.testing.assert_allclose(grads[name], parameter.grad.numpy(), rtol=1e-11, atol=1e-15)


def test_padding_of_the_gradient_is_never_written():
    net = Net([4, 5, 3], "relu")
    net.grad[:] = 99
    net.step()
    inside = np.concatenate([np.arange(t.start, t.stop) for t in net.layout.tensors])
    assert (np.delete(net.grad, inside) == 99).all()
    assert (net.grad[inside] != 99).all()


def test_dead_relu_layer_stops_the_gradient_exactly():
    net = Net([4, 5, 6, 3], "relu")
    params, grads = net.layout.views(net.params), net.layout.views(net.grad)
    params[1][1][...] = -1e4
    loss, _ = net.step()
    assert math.isfinite(loss)
    for index in (0, 1):
        for array in grads[index]:
            assert not array.any()
    assert not grads[2][0].any()  # its input is 0
    assert grads[2][1].all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each
def test_huge_logits_leave_everything_finite(activation, dtype):
    net = Net([4, 5, 3], activation, dtype=dtype)
    last_weight, last_bias = net.layout.views(net.params)[-1]
    last_weight[...] = 0
    last_bias[...] = [1e4, -1e4, 0]
    net.labels[:] = 1
    loss, correct = net.step()
    assert (loss, correct) == (2e4, 0)
    assert np.isfinite(net.grad).all()


@each
def test_subnormal_inputs_are_as_good_as_zero(activation):
    net, zero = Net([4, 5, 3], activation, dtype=np.float32), Net([4, 5, 3], activation, dtype=np.float32)
    net.x[:] = np.finfo(np.float32).smallest_subnormal
    zero.x[:] = 0
    assert net.step() == zero.step()
    assert np.isfinite(net.grad).all()
    assert net.grad[net.layout.tensors[1].start :].tobytes() == zero.grad[net.layout.tensors[1].start :].tobytes()


@each
@pytest.mark.parametrize("sizes", [[4, 3], [4, 5, 6, 3]], ids=str)
def test_nan_in_one_sample_makes_the_loss_nan(activation, sizes):
    net = Net(sizes, activation)
    net.x[2, 1] = np.nan
    loss, _ = net.step()
    assert math.isnan(loss)
    assert np.isnan(net.grad[: net.layout.tensors[0].stop]).any()


@each
@pytest.mark.parametrize("sizes", [[4, 3], [4, 5, 3]], ids=str)
def test_infinity_in_one_sample_is_not_hidden(activation, sizes):
    # A saturated unit hides it from the loss, but not from the gradient: 0 times infinity is NaN.
    net = Net(sizes, activation)
    net.x[2, 1] = np.inf
    with np.errstate(invalid="ignore"):
        net.step()
    assert np.isnan(net.grad).any()


@each
@pytest.mark.parametrize("sizes", [[4, 3], [4, 5, 3]], ids=str)
def test_no_rows_give_a_gradient_of_zeros(activation, sizes):
    net = Net(sizes, activation, rows=0, max_rows=6)
    assert net.step() == (0, 0)
    assert not net.grad.any()


@each
@pytest.mark.parametrize("rows", [1, 2, 13])
def test_fewer_rows_have_the_bits_of_a_network_made_for_them(activation, rows):
    sizes = [64, 48, 32, 10]
    own = Net(sizes, activation, rows=rows, dtype=np.float32)
    large = Net(sizes, activation, rows=32, dtype=np.float32)
    large.step()  # leaves its traces in the buffers
    large.x, large.labels = own.x, own.labels
    assert own.step() == large.step()
    assert own.grad.tobytes() == large.grad.tobytes()


def test_one_sample():
    net = Net([4, 5, 3], "relu", rows=1)
    net.step()
    np.testing.assert_allclose(net.grad, net.differences(), rtol=1e-6, atol=2e-9)


def test_gradient_of_a_batch_is_the_sum_over_its_samples():
    net = Net([4, 5, 3], "relu")
    net.step()
    whole, total = net.grad.copy(), np.zeros(net.layout.size)
    x, labels = net.x, net.labels
    for row in range(len(x)):
        net.x, net.labels = x[row : row + 1], labels[row : row + 1]
        net.step()
        total += net.grad / len(x)
    np.testing.assert_allclose(whole, total, rtol=1e-12, atol=1e-15)


@each
def test_a_step_allocates_next_to_nothing(activation):
    # Each call of numpy may take a buffer of 8192 elements, 32 KB, for its own loop, whatever the size of the arrays.
    # The arrays of this batch have 160 KB (logits) and 2 MB (all others).
    net = Net([128, 128, 128, 10], activation, rows=4096, dtype=np.float32)
    params, grads = net.layout.views(net.params), net.layout.views(net.grad)

    def step():
        logits = net.model.forward(net.x, params)
        net.nll(logits, net.labels, 0.1)
        net.model.backward(logits, grads)

    step()
    tracemalloc.start()
    try:
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40_000


def test_first_layer_makes_no_gradient_of_its_input(monkeypatch):
    net = Net([4, 5, 3], "relu")
    made = []
    for layer in net.model.layers:
        backward = layer.backward
        monkeypatch.setattr(
            layer, "backward", lambda *a, to=backward, **where: made.append(to(*a, **where)) or made[-1]
        )
    net.step()
    assert [(through_weights is None, dx is None) for _, through_weights, dx in made] == [(False, False), (True, True)]


def test_arrays_that_come_and_go_are_never_mixed_up(monkeypatch):
    monkeypatch.setattr(passes, "MAX_KEPT", 3)
    model = MLP(Layout([3, 3, 3]), "identity", max_rows=2, dtype=np.float64)
    for number in range(20):
        x, params = np.full((2, 3), float(number)), [(np.ones((3, 3)), np.full(3, 0.5)) for _ in range(2)]
        grads = [(np.empty((3, 3)), np.empty(3)) for _ in range(2)]
        hidden = 3 * number + 0.5
        assert (model.forward(x, params) == 3 * hidden + 0.5).all()
        model.backward(np.full((2, 3), float(number)), grads)
        (first_dweight, first_dbias), (dweight, dbias) = grads
        assert (dweight == 2 * hidden * number).all()
        assert (dbias == 2 * number).all()
        # The gradient of what is hidden is 3 * number.
        assert (first_dweight == 2 * number * 3 * number).all()
        assert (first_dbias == 2 * 3 * number).all()


def test_the_same_arrays_may_hold_other_numbers_in_every_step():
    net, fresh = Net([4, 5, 3], "relu"), Net([4, 5, 3], "relu")
    params, grads = net.layout.views(net.params), net.layout.views(net.grad)
    for _ in range(3):
        for array in (net.x, net.params):
            array *= 1.5
        fresh.x, fresh.params = net.x.copy(), net.params.copy()
        logits = net.model.forward(net.x, params)
        loss, _ = net.nll(logits, net.labels, 1 / 6)
        net.model.backward(logits, grads)
        assert loss / 6 == fresh.step()[0]
        assert net.grad.tobytes() == fresh.grad.tobytes()


@pytest.mark.parametrize("shares", [[6], [2, 4], [0, 3, 3], [1, 5, 0]])
def test_networks_that_share_their_buffers_have_one_gradient_for_all_their_rows(shares):
    # What the ranks of a node do: each its rows, then one product over all rows.
    whole = Net([4, 6, 5, 3], "relu")
    whole.step()
    params, buffers = whole.layout.views(whole.params), {}
    dbiases = [np.zeros((len(shares), width)) for width in (6, 5, 3)]
    for rank, rows in enumerate(shares):
        taken = itertools.count()

        def shared(size, dtype, taken=taken):
            return buffers.setdefault(next(taken), np.zeros(size, dtype))

        model = MLP(whole.layout, "relu", max_rows=6, dtype=np.float64, zeros=shared)
        part = slice(sum(shares[:rank]), sum(shares[:rank]) + rows)
        logits = model.forward(whole.x[part], params, first=part.start)
        whole.nll(logits, whole.labels[part], 1 / 6)
        model.propagate(logits, [rows[rank] for rows in dbiases])
    grads = whole.layout.views(whole.grad)
    for (x, dz), dbias, (expected_dweight, expected_dbias) in zip(model.factors(whole.x), dbiases, grads, strict=True):
        np.testing.assert_allclose(x.T @ dz, expected_dweight, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(dbias.sum(axis=0), expected_dbias, rtol=1e-12, atol=1e-15)


def test_a_pass_is_kept_and_says_in_every_run_whether_its_numbers_are_finite():
    net = Net([4, 5, 3], "relu")
    params, grads = net.layout.views(net.params), net.layout.views(net.grad)
    dbiases, dweights = [dbias for _, dbias in grads], [dweight for dweight, _ in grads]
    seen, last_x = [], net.x[2, 1]
    for value in (last_x, np.nan, last_x):
        net.x[2, 1] = value
        logits = net.model.forward(net.x, params)
        net.nll(logits, net.labels, 1 / 6)
        backward = net.model.propagate(logits, dbiases)
        seen.append((backward, backward.finite))
    assert [finite for _, finite in seen] == [True, False, True]
    assert len({id(backward) for backward, _ in seen}) == 1
    net.grad[: net.layout.tensors[0].stop] = 99
    backward.weight_gradients(dweights)
    np.testing.assert_allclose(net.grad, net.differences(), rtol=1e-6, atol=2e-9)


def test_one_pass_writes_the_gradients_of_the_weights_wherever_it_is_told():
    net = Net([4, 5, 3], "relu")
    logits = net.model.forward(net.x, net.layout.views(net.params))
    net.nll(logits, net.labels, 1 / 6)
    backward = net.model.propagate(logits, [np.empty(5), np.empty(3)])
    places = [[np.full((4, 5), np.nan), np.full((5, 3), np.nan)] for _ in range(2)]
    for _ in range(2):
        for place in places:
            backward.weight_gradients(place)
    expected = net.layout.views(net.differences())
    for place in places:
        for dweight, (right, _) in zip(place, expected, strict=True):
            np.testing.assert_allclose(dweight, right, rtol=1e-6, atol=2e-9)


def test_the_same_samples_may_meet_other_parameters():
    # Where a loss is survived, steps read two banks in turn.
    net = Net([4, 5, 3], "relu")
    banks = [net.layout.views(net.params), net.layout.views(net.params * 1.5)]
    expected = [MLP(net.layout, "relu", max_rows=6, dtype=np.float64).forward(net.x, bank).tobytes() for bank in banks]
    assert len(set(expected)) == 2
    for _ in range(2):
        assert [net.model.forward(net.x, bank).tobytes() for bank in banks] == expected


def test_a_sum_that_overflows_in_the_last_layer_alone_is_noticed():
    net = Net([4, 5, 3], "identity", rows=2, dtype=np.float32)
    params, dbiases = net.layout.views(net.params), [np.empty(5, np.float32), np.empty(3, np.float32)]
    params[1][0][...] = 1e-30
    net.model.forward(net.x, params)
    with np.errstate(over="ignore"):
        backward = net.model.propagate(np.full((2, 3), 3e38, np.float32), dbiases)
    assert [np.isfinite(dbias).all() for dbias in dbiases] == [True, False]
    assert not backward.finite


@pytest.mark.parametrize(("frozen", "lowest"), [(["0"], 1), (["0", "2"], 2), (["2"], 0), (["6"], 0), (["0", "4"], 1)])
def test_a_frozen_layer_gets_no_gradient_and_the_others_get_theirs(frozen, lowest):
    sizes = [4, 6, 5, 7, 3]
    whole = Net(sizes, "relu")
    whole.step()
    net = Net(sizes, "relu")
    layout = Layout(sizes, frozen)
    net.model = MLP(layout, "relu", max_rows=6, dtype=np.float64)
    logits = net.model.forward(net.x, layout.views(net.params))
    net.nll(logits, net.labels, 1 / 6)
    backward = net.model.propagate(logits, layout.dbiases(net.grad))
    backward.weight_gradients([dweight for dweight, _ in layout.views(net.grad)])
    assert len(backward.calls) == len(sizes) - 1 - lowest  # It goes no further back than it must.
    assert backward.calls[-1][1] == []
    expected = layout.named(whole.grad)
    for name, array in layout.named(net.grad).items():
        assert (array == 99).all() if name.partition(".")[0] in frozen else array.tobytes() == expected[name].tobytes()


def test_hooks_are_called_when_what_they_wait_for_is_complete():
    draw = np.random.default_rng(0)
    network, plain = (MLP(Layout((4, 6, 5, 3)), "relu", max_rows=7) for _ in range(2))
    params = Layout((4, 6, 5, 3)).views(draw.standard_normal(Layout((4, 6, 5, 3)).size).astype(np.float32))
    x = draw.standard_normal((7, 4)).astype(np.float32)
    dbiases, others = ([np.zeros(width, np.float32) for width in (6, 5, 3)] for _ in range(2))
    seen = {}
    factors = network.factors(np.zeros((7, 4), np.float32))
    for layer in range(2):
        network.after_output[layer] = lambda layer=layer: seen.update({("x", layer + 1): factors[layer + 1][0].copy()})
        network.after_dz[layer] = lambda layer=layer: seen.update(
            {("dz", layer): factors[layer][1].copy(), ("dbias", layer): dbiases[layer].copy()}
        )
    for one, sums in ((network, dbiases), (plain, others)):
        logits = one.forward(x, params)
        logits -= 1
        one.propagate(logits, sums)
    assert list(seen) == [("x", 1), ("x", 2), ("dz", 1), ("dbias", 1), ("dz", 0), ("dbias", 0)]
    for (kind, layer), array in seen.items():
        expected = others[layer] if kind == "dbias" else plain.factors(x)[layer][kind == "dz"]
        assert array.tobytes() == expected.tobytes(), (kind, layer)
