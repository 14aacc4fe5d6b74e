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
