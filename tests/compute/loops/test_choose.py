"""The choice of the kernels."""

import pytest

from dpnet.compute.loops import choose
from dpnet.compute.loops.choose import choose_kernels
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
