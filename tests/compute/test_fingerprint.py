"""The fingerprint names what bits depend on."""

import numpy as np
import pytest

from dpnet.compute.fingerprint import fingerprint
from dpnet.compute.products import wheels


def test_it_names_numpy_its_blas_and_the_kernels_of_that():
    found = fingerprint("numpy")
    assert (found["numpy"], found["products"], found["products_version"]) == (np.__version__, "numpy", None)
    assert found["blas"]
    assert all(library["internal_api"] and library["version"] for library in found["blas"])


@pytest.mark.parametrize("name", sorted(wheels.WHEELS))
def test_it_names_the_version_of_another_library(name):
    if not wheels.loads(name):
        pytest.skip(f"{name} is not installed; pip install 'dpnet[{wheels.WHEELS[name].extra}]'")
    found = fingerprint(name)
    assert (found["products"], found["products_version"]) == (name, wheels.version(name))
    assert found["products_version"]


def library(path, version, **changes):
    return {"user_api": "blas", "internal_api": "openblas", "version": version, "filepath": path, **changes}


NUMPYS = library("/v/lib/numpy.libs/libscipy_openblas64_-1.so", "1")
SCIPYS = library("/v/lib/scipy.libs/libscipy_openblas-2.so", "2")
MKL = library("/v/lib/libmkl_rt.so.3", "3", internal_api="mkl")
SHARED = library("/conda/lib/libopenblas.so.0", "4")


@pytest.mark.parametrize(
    ("loaded", "products", "counted"),
    [
        ([SCIPYS, NUMPYS], "numpy", "1"),
        ([NUMPYS, SCIPYS, NUMPYS], "onednn", "1"),
        ([NUMPYS, MKL], "numpy", "1"),
        ([MKL, NUMPYS], "mkl", "31"),
        ([SHARED, SCIPYS], "numpy", "4"),
    ],
)
def test_only_the_libraries_that_dpnet_computes_with_count(monkeypatch, loaded, products, counted):
    monkeypatch.setattr("dpnet.compute.fingerprint.threadpool_info", lambda: loaded)
    monkeypatch.setattr("dpnet.compute.fingerprint.version", lambda name: None)
    assert [entry["version"] for entry in fingerprint(products)["blas"]] == list(counted)
