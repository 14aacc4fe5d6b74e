"""Which kernels are taken."""

import numpy as np
import pytest

from dpnet.compute.loops import choose
from dpnet.compute.loops.choose import can_gather, choose_kernels
from dpnet.errors import ConfigError


def test_without_numba_auto_is_numpy(monkeypatch):
    monkeypatch.setattr(choose, "numba_is_installed", lambda: False)
    assert choose_kernels("auto").name == "numpy"
    with pytest.raises(ConfigError, match=r"dpnet\[fast\]"):
        choose_kernels("numba")


def test_with_numba_auto_is_numba():
    pytest.importorskip("numba", reason="numba is not installed; pip install 'dpnet[fast]'")
    assert choose_kernels("auto").name == "numba"
    assert choose_kernels("numpy").name == "numpy"


@pytest.mark.parametrize(
    ("dtype", "expected"), [("u1", True), ("f4", True), ("?", True), ("f2", False), (">f4", False)]
)
def test_raw_types_that_cannot_be_compiled_are_known(dtype, expected):
    assert can_gather(np.dtype(dtype)) == expected
