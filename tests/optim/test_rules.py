from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.optim import rule as rules
from dpnet.optim.adam import Adam, AdamW
from dpnet.optim.sgd import SGD, Momentum

RULES = {
    "sgd": (SGD, {}),
    "polyak": (Momentum, {"momentum": 0.9}),
    "nesterov": (Momentum, {"momentum": 0.8, "nesterov": True}),
    "adam": (Adam, {}),
    "adam, other hyperparameters": (Adam, {"betas": (0.4, 0.95), "eps": 1e-3}),
    "adam, no memory": (Adam, {"betas": (0.0, 0.0), "eps": 1e-2}),
    "adamw": (AdamW, {}),
    "adamw, other hyperparameters": (AdamW, {"betas": (0.7, 0.99), "eps": 1e-4}),
}
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
SIZE = 257
STEPS = 100
each_rule = pytest.mark.parametrize("rule", RULES)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_decay = pytest.mark.parametrize("weight_decay", [0.0, 0.1])


def random_vector(size, dtype, seed):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


def gradient(step, dtype, size=SIZE):
    """Elements of very different sizes; one in eight is zero."""
    scales = np.logspace(-3, 3, size)
    scales[::8] = 0
    return (random_vector(size, np.float64, seed=step) * scales).astype(dtype)


def rate_of(step):
    return 0.01 / step**0.5


def relative_error(actual, expected):
    actual, expected = np.asarray(actual, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def update(optimizer, params, grad, slots, *, rate=0.01, weight_decay=0.1, step=1, out=None, out_slots=None):
    optimizer.update(
        params,
        grad.copy(),
        slots,
        learning_rate=rate,
        weight_decay=weight_decay,
        step=step,
        out=params if out is None else out,
        out_slots=slots if out_slots is None else out_slots,
    )


def start(rule, dtype, size=SIZE):
    kind, options = RULES[rule]
    optimizer = kind(dtype=dtype, **options)
    return optimizer, random_vector(size, dtype, seed=0), [np.zeros(size, dtype) for _ in optimizer.slots]


def train(rule, dtype, weight_decay):
    optimizer, params, slots = start(rule, dtype)
    for step in range(1, STEPS + 1):
        update(
            optimizer, params, gradient(step, dtype), slots, rate=rate_of(step), weight_decay=weight_decay, step=step
        )
    return params, dict(zip(optimizer.slots, slots, strict=True))


@each_rule
@each_dtype
@each_decay
def test_parameters_and_state_follow_pytorch(rule, dtype, weight_decay):
    torch = pytest.importorskip("torch")
    kind, options = RULES[rule]
    name = "SGD" if kind is Momentum else kind.__name__
    theirs = torch.from_numpy(random_vector(SIZE, dtype, seed=0)).requires_grad_()
    optimizer = getattr(torch.optim, name)([theirs], lr=1.0, weight_decay=weight_decay, **options)
    for step in range(1, STEPS + 1):
        optimizer.param_groups[0]["lr"] = rate_of(step)
        theirs.grad = torch.from_numpy(gradient(step, dtype))
        optimizer.step()

    params, slots = train(rule, dtype, weight_decay)

    assert relative_error(params, theirs.detach()) < TOLERANCE[dtype]
    for name, slot in slots.items():
        assert relative_error(slot, optimizer.state[theirs][name]) < TOLERANCE[dtype], name


def written_out(rule, weight_decay):
    """The parameters after `train`, element by element in Python's float64, from the papers' formulas."""
    kind, options = RULES[rule]
    mu, nesterov = options.get("momentum", 0.0), options.get("nesterov", False)
    (beta1, beta2), eps = options.get("betas", (0.9, 0.999)), options.get("eps", 1e-8)
    params = random_vector(SIZE, np.float64, seed=0).tolist()
    grads = [gradient(step, np.float64).tolist() for step in range(1, STEPS + 1)]
    for i, p in enumerate(params):
        b = m = v = 0.0
        for k in range(1, STEPS + 1):
            g, rate = grads[k - 1][i], rate_of(k)
            if kind is AdamW:
                p -= rate * weight_decay * p
            else:
                g += weight_decay * p
            if kind in (Adam, AdamW):
                m = beta1 * m + (1 - beta1) * g
                v = beta2 * v + (1 - beta2) * g**2
                p -= rate * (m / (1 - beta1**k)) / ((v / (1 - beta2**k)) ** 0.5 + eps)
            else:
                b = mu * b + g
                p -= rate * (g + mu * b if nesterov else b)
        params[i] = p
    return params


@each_rule
@each_decay
def test_parameters_follow_the_formulas_of_the_papers(rule, weight_decay):
    expected = written_out(rule, weight_decay)
    assert relative_error(train(rule, np.float64, weight_decay)[0], expected) < 1e-12


@each_rule
@each_dtype
def test_another_bank_gets_the_same_bits_and_the_old_one_stays_whole(rule, dtype):
    size = rules.NUMPY_TILE + 5
    optimizer, params, slots = start(rule, dtype, size)
    bank, other = [params, *slots], [np.full(size, np.nan, dtype) for _ in (params, *slots)]
    for step in (1, 2, 3):
        before = [v.tobytes() for v in bank]
        grad = gradient(step, dtype, size)
        update(optimizer, bank[0], grad, bank[1:], step=step, out=other[0], out_slots=other[1:])
        assert [v.tobytes() for v in bank] == before
        update(optimizer, bank[0], grad, bank[1:], step=step)
        assert [v.tobytes() for v in other] == [v.tobytes() for v in bank]


@each_rule
@settings(deadline=None, max_examples=20)
@given(size=st.integers(0, 200), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_the_cut_of_a_vector_does_not_change_a_bit(rule, size, cuts):
    optimizer, params, slots = start(rule, np.float32, size)
    whole, pieces = [params, *slots], [params.copy(), *(s.copy() for s in slots)]
    edges = sorted({0, size, *(min(cut, size) for cut in cuts)})
    for step in (1, 2):
        grad = gradient(step, np.float32, size)
        update(optimizer, whole[0], grad, whole[1:], step=step)
        for a, b in itertools.pairwise(edges):
            piece = [v[a:b] for v in pieces]
            update(optimizer, piece[0], grad[a:b], piece[1:], step=step)
    assert [v.tobytes() for v in pieces] == [v.tobytes() for v in whole]


@each_rule
@each_dtype
@pytest.mark.parametrize("size", [1, 7, 100, 1001])
def test_the_size_of_a_tile_does_not_change_a_bit(rule, dtype, size, monkeypatch):
    results = []
    for tile in (rules.NUMPY_TILE, 7):
        monkeypatch.setattr(rules, "NUMPY_TILE", tile)
        optimizer, params, slots = start(rule, dtype, size)
        for step in (1, 2):
            update(optimizer, params, gradient(step, dtype, size), slots, step=step)
        results.append([v.tobytes() for v in (params, *slots)])
    assert results[0] == results[1]


@each_rule
def test_a_numpy_scalar_as_learning_rate_does_not_change_a_bit(rule):
    results = []
    for number in (float, np.float64):
        optimizer, params, slots = start(rule, np.float32)
        update(optimizer, params, gradient(1, np.float32), slots, rate=number(0.1), weight_decay=number(0.3))
        results.append(params.tobytes())
    assert results[0] == results[1]


@each_rule
@each_dtype
def test_a_zero_gradient_moves_nothing_but_by_weight_decay(rule, dtype):
    optimizer, params, slots = start(rule, dtype)
    zero, before = np.zeros(SIZE, dtype), params.copy()
    update(optimizer, params, zero, slots, weight_decay=0.0)
    assert params.tobytes() == before.tobytes()
    assert not any(slot.any() for slot in slots)

    update(optimizer, params, zero, slots, weight_decay=0.5, step=2)
    assert (np.abs(params) < np.abs(before)).all()
    if isinstance(optimizer, AdamW):
        assert not any(slot.any() for slot in slots)


@each_rule
def test_an_empty_run_is_left_alone(rule):
    optimizer, params, slots = start(rule, np.float32, size=0)
    update(optimizer, params, np.zeros(0, np.float32), slots)
    assert params.shape == (0,)


@each_rule
@each_decay
def test_a_step_allocates_nothing_that_grows_with_the_vector(rule, weight_decay):
    optimizer, params, slots = start(rule, np.float32, size=10 * rules.NUMPY_TILE)
    grad = gradient(1, np.float32, len(params))
    options = {"learning_rate": 0.01, "weight_decay": weight_decay, "step": 1, "out": params, "out_slots": slots}
    optimizer.update(params, grad, slots, **options)
    tracemalloc.start()
    try:
        optimizer.update(params, grad, slots, **options)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20_000
