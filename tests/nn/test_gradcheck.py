"""The gradient check passes what is right and catches what is wrong."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from dpnet.compute.loops import reference
from dpnet.compute.loops.choose import choose_kernels
from dpnet.compute.products import wheels
from dpnet.compute.products.choose import PRODUCTS
from dpnet.compute.products.numpy import NUMPY
from dpnet.nn.activations import ACTIVATIONS, ReLU, Sigmoid
from dpnet.nn.gradcheck import check
from dpnet.nn.init import initialize
from dpnet.nn.layers import Layer
from dpnet.nn.layout import Layout
from dpnet.nn.losses.binary_nll import BinaryNLL
from dpnet.nn.losses.regression import AbsoluteError, HuberError, SquaredError
from dpnet.nn.losses.softmax_nll import SoftmaxNLL

each = pytest.mark.parametrize("activation", sorted(ACTIVATIONS))


def run(activation="relu", sizes=(6, 5, 4, 3), x=None, change=None, smoothing=0.0, loss=None, **options):
    layout = Layout(sizes)
    params = np.zeros(layout.size)
    initialize(layout, activation, 1, params)
    if change is not None:
        change(layout.named(params))
    rng = np.random.default_rng(2)
    x = rng.standard_normal((7, sizes[0])) if x is None else x
    targets = rng.integers(0, sizes[-1], len(x)) if loss is None else rng.standard_normal((len(x), sizes[-1]))
    loops = options.get("loops", reference)
    loss = loss or SoftmaxNLL(len(x), sizes[-1], np.float64, loops, smoothing=smoothing)
    before = params.tobytes()
    results = check(layout, activation, params, x, targets, seed=4, loss=loss, **options)
    assert params.tobytes() == before
    assert [(r.name, r.shape) for r in results] == [(t.name, t.shape) for t in layout.tensors]
    return results


@each
@pytest.mark.parametrize("sizes", [(4, 3), (6, 5, 3), (6, 8, 5, 4, 3), (6, 5, 1)], ids=str)
def test_right_gradients_pass(activation, sizes):
    for result in run(activation, sizes):
        assert result.ok
        assert result.relative_error <= 1e-6
        assert result.compared + result.kinks == min(200, np.prod(result.shape))
        assert result.compared > 0


def test_the_gradient_of_a_smoothed_loss_passes_and_a_wrong_one_is_caught(monkeypatch):
    assert all(result.ok for result in run(smoothing=0.2))
    monkeypatch.setattr(SoftmaxNLL, "_spread", lambda *_: None)
    assert not all(result.ok for result in run(smoothing=0.2))


NUMBERS = {
    "squared": SquaredError(7, np.ones(3)),
    "absolute": AbsoluteError(7, np.ones(3)),
    "Huber's": HuberError(7, np.ones(3), 0.7),
}


@pytest.mark.parametrize("loss", NUMBERS)
def test_the_gradient_of_a_loss_of_numbers_passes_and_a_wrong_one_is_caught(monkeypatch, loss):
    results = run("tanh", loss=NUMBERS[loss])
    assert all(result.ok and result.compared for result in results)
    right = type(NUMBERS[loss])._turn

    def broken(self, errors, losses):
        right(self, errors, losses)
        errors[0, 0] *= 1.001

    monkeypatch.setattr(type(NUMBERS[loss]), "_turn", broken)
    assert not all(result.ok for result in run("tanh", loss=NUMBERS[loss]))


def test_the_gradient_of_several_labels_passes_and_a_wrong_one_is_caught(monkeypatch):
    # The targets of `run` are numbers.
    class Thresholded(BinaryNLL):
        def __call__(self, outputs, targets, scale, weights=None):
            return super().__call__(outputs, targets > 0, scale, weights)

    results = run("tanh", loss=Thresholded(7, 3, np.float64))
    assert all(result.ok and result.compared and not result.kinks for result in results)
    monkeypatch.setattr(np, "log1p", lambda x, out: np.multiply(x, 0.99, out=out))
    assert not all(result.ok for result in run("tanh", loss=Thresholded(7, 3, np.float64)))


def test_an_error_that_changes_its_sign_is_a_kink_of_the_absolute_error():
    # All parameters are 0, and so are all outputs and targets; of inputs that are 0 the weights do not matter.
    loss = AbsoluteError(4, np.ones(3))
    layout, params = Layout((6, 3)), np.zeros(Layout((6, 3)).size)
    results = check(layout, "tanh", params, np.zeros((4, 6)), np.zeros((4, 3)), seed=4, loss=loss)
    assert [(r.name, r.compared, r.kinks) for r in results] == [("0.weight", 18, 0), ("0.bias", 0, 3)]


@pytest.mark.parametrize("wrong", ["dweight", "dbias", "dx"])
def test_a_wrong_linear_layer_is_caught(wrong, monkeypatch):
    backward, weight_gradient = Layer.backward, Layer.weight_gradient

    def then_scaled(call, target):
        def broken():
            result = call()
            np.multiply(target, 1.001, out=target)
            return result

        return broken

    def broken_backward(self, a, da, weight, dbias, **where):
        through_activation, through_weights, dx = backward(self, a, da, weight, dbias, **where)
        if wrong == "dbias":
            through_activation = then_scaled(through_activation, dbias)
        if wrong == "dx" and dx is not None:
            through_weights = then_scaled(through_weights, dx)
        return through_activation, through_weights, dx

    def broken_weight_gradient(self, x, dz, dweight):
        call = weight_gradient(self, x, dz, dweight)
        return then_scaled(call, dweight) if wrong == "dweight" else call

    monkeypatch.setattr(Layer, "backward", broken_backward)
    monkeypatch.setattr(Layer, "weight_gradient", broken_weight_gradient)
    failed = [result.name for result in run() if not result.ok]
    assert (
        failed
        == {
            "dweight": ["0.weight", "2.weight", "4.weight"],
            "dbias": ["0.bias", "2.bias", "4.bias"],
            "dx": ["0.weight", "0.bias", "2.weight", "2.bias"],
        }[wrong]
    )


def test_a_wrong_activation_is_caught_below_it(monkeypatch):
    def broken(self, a, da, dbias):
        return lambda: np.isfinite(np.sum(da, axis=0, out=dbias)).all()

    monkeypatch.setattr(ReLU, "backward", broken)
    assert [r.name for r in run() if not r.ok] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_one_wrong_entry_among_many_is_caught(monkeypatch):
    weight_gradient = Layer.weight_gradient

    def broken(self, x, dz, dweight):
        call = weight_gradient(self, x, dz, dweight)

        def then_turned():
            call()
            dweight[0, 0] = -dweight[0, 0]

        return then_turned

    monkeypatch.setattr(Layer, "weight_gradient", broken)
    assert not all(result.ok for result in run(sizes=(6, 3)))


def test_nan_is_never_ok():
    x = np.zeros((3, 6))
    x[1, 2] = np.nan
    assert not any(result.ok for result in run("tanh", x=x))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_entries_at_a_kink_are_counted_and_not_compared(activation):
    # Rows of zeros and biases of 0: every hidden unit sits exactly on its kink.
    def without_bias(named):
        named["0.bias"][:] = 0

    results = {r.name: r for r in run(activation, (6, 5, 3), x=np.zeros((4, 6)), change=without_bias)}
    assert all(r.ok for r in results.values())
    assert (results["0.bias"].kinks, results["0.bias"].compared) == (5, 0)
    assert results["0.bias"].relative_error == results["0.bias"].max_abs_error == 0
    assert (results["2.bias"].kinks, results["2.bias"].compared) == (0, 3)


def test_a_smooth_activation_has_no_kinks():
    assert not any(r.kinks for r in run("tanh", (6, 5, 3), x=np.zeros((4, 6))))


def test_a_dead_layer_passes():
    def kill(named):
        named["2.bias"][:] = -100

    results = {r.name: r for r in run(change=kill)}
    assert all(r.ok for r in results.values())


def test_a_saturated_layer_passes():
    def saturate(named):
        named["2.bias"][:] = 30

    results = run("sigmoid", change=saturate)
    assert all(r.ok for r in results)


def test_huge_logits_pass():
    def enlarge(named):
        named["4.bias"][:] = [1e4, -1e4, 0]

    assert all(r.ok for r in run("tanh", change=enlarge))


def test_a_missing_factor_of_a_sigmoid_is_caught_in_a_deep_net(monkeypatch):
    monkeypatch.setattr(Sigmoid, "_unbend", lambda self, a, da: np.multiply(da, a, out=da))
    results = {r.name: r for r in run("sigmoid", (6, 8, 8, 8, 8, 3))}
    assert not results["0.weight"].ok
    assert results["8.weight"].ok


def test_entries_are_chosen_by_the_seed_and_bounded():
    first, again = run(entries=4), run(entries=4)
    assert first == again
    assert {r.compared + r.kinks for r in first} == {3, 4}


class Recording:
    """The products and loops of numpy, which count their calls; one loop may be wrong."""

    name = "recording"

    def __init__(self, wrong=None):
        self.bound, self.called, self.wrong = 0, set(), wrong

    def bind(self, a, b, out, **how):
        self.bound += 1
        return NUMPY.bind(a, b, out, **how)

    def __getattr__(self, name):
        function = getattr(reference, name)

        def call(*arguments):
            self.called.add(name)
            result = function(*arguments)
            if name == self.wrong:
                arguments[-1][...] *= 1.001
            return result

        return call


def test_the_network_is_checked_with_the_products_and_loops_that_are_given():
    given = Recording()
    assert run(products=given, loops=given) == run()
    assert given.bound > 0
    assert given.called == {
        "add_bias",
        "add_bias_relu",
        "column_sums",
        "relu_backward",
        "softmax_shift",
        "softmax_gradient",
        "softmax_loss",
    }


def test_a_wrong_loop_is_caught():
    failed = [result.name for result in run(loops=Recording("relu_backward")) if not result.ok]
    assert failed == ["0.bias", "2.bias"]


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_right_gradients_of_every_library_pass(name):
    wheel = wheels.WHEELS.get(name)
    if wheel is not None and not wheels.loads(name):
        pytest.skip(f"{name} is not installed; pip install 'dpnet[{wheel.extra}]'")
    with threadpool_limits():  # A library joins this process: leave its threads as they were.
        assert all(result.ok for result in run(products=PRODUCTS[name](1)))


@each
def test_right_gradients_of_the_compiled_loops_pass(activation):
    pytest.importorskip("numba", reason="numba is not installed; pip install 'dpnet[fast]'")
    assert all(result.ok for result in run(activation, loops=choose_kernels("numba").loops))
