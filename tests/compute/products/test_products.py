"""Matrix products: every library, every transposition, every shape."""

import gc

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from dpnet.compute.products import onednn, wheels
from dpnet.compute.products.choose import PRODUCTS


@pytest.fixture(params=sorted(PRODUCTS))
def products(request):
    wheel = wheels.WHEELS.get(request.param)
    if wheel is not None and not wheels.loads(request.param):
        pytest.skip(f"{request.param} is not installed; pip install 'dpnet[{wheel.extra}]'")
    with threadpool_limits():  # It joins the libraries of this process: leave its threads as they were.
        yield PRODUCTS[request.param](1)


@pytest.fixture(params=[True, False], ids=["small products too", "small ones by numpy"])
def _of_any_size(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(onednn, "SMALL_FLOPS", 0)


def operands(rows, inner, columns, dtype, transpose_a, transpose_b):
    draw = np.random.default_rng(rows * inner + columns)
    a = draw.standard_normal((inner, rows) if transpose_a else (rows, inner)).astype(dtype)
    b = draw.standard_normal((columns, inner) if transpose_b else (inner, columns)).astype(dtype)
    return a, b


def written_out(a, b, transpose_a, transpose_b):
    a, b = (a.T if transpose_a else a).astype(np.float64), (b.T if transpose_b else b).astype(np.float64)
    return (a[:, :, None] * b[None]).sum(axis=1)


@pytest.mark.usefixtures("_of_any_size")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (16, 33, 10), (0, 4, 3), (3, 0, 4), (4, 3, 1), (1, 7, 4)])
@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_product_is_the_written_out_sum(products, dtype, shape, transpose_a, transpose_b):
    a, b = operands(*shape, dtype, transpose_a, transpose_b)
    out = np.full((shape[0], shape[2]), np.nan, dtype)
    call = products.bind(a, b, out, transpose_a=transpose_a, transpose_b=transpose_b)
    for _ in range(2):  # A call computes with what the arrays hold then.
        call()
        expected = written_out(a, b, transpose_a, transpose_b)
        np.testing.assert_allclose(out, expected, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-5)
        a *= 2


@pytest.mark.usefixtures("_of_any_size")
@pytest.mark.parametrize("transpose_a", [False, True])
def test_operands_may_be_columns_of_wider_arrays(products, transpose_a):
    draw = np.random.default_rng(3)
    wide_a, wide_b = draw.standard_normal((2, 40, 70)).astype(np.float32)
    a, b, out = wide_a[:, 7:47], wide_b[:, 16:], np.full((30, 54), np.nan, np.float32)
    a = a[:, :30] if transpose_a else a[:30]
    products.bind(a, b, out, transpose_a=transpose_a)()
    np.testing.assert_allclose(out, written_out(a, b, transpose_a, False), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("_of_any_size")
@pytest.mark.parametrize("transpose_b", [False, True])
def test_a_call_holds_on_to_its_arrays(products, transpose_b):
    calls, outs = [], []
    for number in range(20):
        a, b, out = np.full((2, 3), number, np.float32), np.ones((3, 3), np.float32), np.zeros((2, 3), np.float32)
        calls.append(products.bind(a, b, out, transpose_b=transpose_b))
        outs.append(out)
    del a, b
    gc.collect()
    for call in calls:
        call()
    for number, out in enumerate(outs):
        assert (out == 3 * number).all()
    del call, calls
    gc.collect()  # What a library was asked to forget is gone: a second time would crash.
