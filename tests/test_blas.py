"""Matrix products: every library, every transposition, every shape."""

import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from dpnet import blas
from dpnet.blas import PRODUCTS, choose_products
from dpnet.errors import ConfigError


@pytest.fixture(params=sorted(PRODUCTS))
def products(request):
    if request.param == "mkl" and blas._find_mkl() is None:
        pytest.skip("MKL is not installed; pip install 'dpnet[mkl]'")
    with threadpool_limits():  # MKL joins the libraries of this process: leave its threads as they were.
        yield PRODUCTS[request.param](1)


def operands(rows, inner, columns, dtype, transpose_a, transpose_b):
    draw = np.random.default_rng(rows * inner + columns)
    a = draw.standard_normal((inner, rows) if transpose_a else (rows, inner)).astype(dtype)
    b = draw.standard_normal((columns, inner) if transpose_b else (inner, columns)).astype(dtype)
    return a, b


def written_out(a, b, transpose_a, transpose_b):
    a, b = (a.T if transpose_a else a).astype(np.float64), (b.T if transpose_b else b).astype(np.float64)
    return (a[:, :, None] * b[None]).sum(axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (16, 33, 10), (0, 4, 3), (3, 0, 4), (4, 3, 1), (1, 7, 4)])
@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(False, False), (True, False), (False, True)])
def test_a_product_is_the_written_out_sum(products, dtype, shape, transpose_a, transpose_b):
    a, b = operands(*shape, dtype, transpose_a, transpose_b)
    out = np.full((shape[0], shape[2]), np.nan, dtype)
    for _ in range(2):  # A library may keep what it learnt from the first call.
        products(a, b, out, transpose_a=transpose_a, transpose_b=transpose_b)
        expected = written_out(a, b, transpose_a, transpose_b)
        np.testing.assert_allclose(out, expected, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-5)
        a *= 2


def test_arrays_that_come_and_go_are_never_mixed_up(products, monkeypatch):
    monkeypatch.setattr(blas.MklProducts, "MAX_KEPT", 3)
    for number in range(20):
        a, b, out = np.full((2, 3), number, np.float32), np.ones((3, 2), np.float32), np.zeros((2, 2), np.float32)
        products(a, b, out)
        assert (out == 3 * number).all()


@pytest.mark.parametrize(
    ("setting", "installed", "intel", "expected"),
    [
        ("auto", True, True, "mkl"),
        ("auto", True, False, "numpy"),
        ("auto", False, True, "numpy"),
        ("numpy", True, True, "numpy"),
        ("mkl", True, False, "mkl"),
    ],
)
def test_the_library_follows_from_the_machine(monkeypatch, setting, installed, intel, expected):
    monkeypatch.setattr(blas, "_find_mkl", lambda: "path" if installed else None)
    monkeypatch.setattr(blas, "_is_intel", lambda: intel)
    assert choose_products(setting) == expected


def test_mkl_that_is_missing_names_its_extra(monkeypatch):
    monkeypatch.setattr(blas, "_find_mkl", lambda: None)
    with pytest.raises(ConfigError, match=r"dpnet\[mkl\]"):
        choose_products("mkl")


def test_mkl_that_is_damaged_is_an_error(monkeypatch, tmp_path):
    damaged = tmp_path / "libmkl_rt.so.3"
    damaged.write_text("no library")
    monkeypatch.setattr(blas, "_find_mkl", lambda: str(damaged))
    with pytest.raises(ConfigError, match="cannot load MKL"):
        PRODUCTS["mkl"](1)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists() or sys.platform != "linux", reason="reads /proc/cpuinfo")
def test_the_processor_is_known():
    assert blas._is_intel() == ("GenuineIntel" in Path("/proc/cpuinfo").read_text())
