"""The choice of the kernels."""

import pytest

from dpnet.compute.loops import choose
from dpnet.compute.loops.choose import choose_kernels, remark
from dpnet.errors import ConfigError


def test_without_numba_auto_is_numpy(monkeypatch):
    monkeypatch.setattr(choose, "numba_is_installed", lambda: False)
    assert choose_kernels("auto").name == "numpy"
    with pytest.raises(ConfigError, match=r"dpnet\[fast\]"):
        choose_kernels("numba")


def test_a_numba_that_cannot_be_used_costs_speed_and_a_sentence_but_no_training(monkeypatch):
    pytest.importorskip("numba", reason="numba is not installed; pip install 'dpnet[fast]'")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert choose_kernels("auto") is choose.NUMPY
    assert remark("auto", choose.NUMPY) == "loops by numpy, which is slower: NUMBA_DISABLE_JIT is set"
    assert remark("numpy", choose.NUMPY) == ""
    with pytest.raises(ConfigError, match=r'train\.kernels is "numba", but NUMBA_DISABLE_JIT is set'):
        choose_kernels("numba")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")

    def fail(name):
        raise ImportError("Numba needs NumPy 2.4 or less")

    monkeypatch.setattr(choose.importlib, "import_module", fail)
    assert choose_kernels("auto") is choose.NUMPY
    assert "numba cannot be used: Numba needs NumPy 2.4 or less" in remark("auto", choose.NUMPY)


def test_with_numba_auto_is_numba():
    pytest.importorskip("numba", reason="numba is not installed; pip install 'dpnet[fast]'")
    assert choose_kernels("auto").name == "numba"
    assert choose_kernels("numpy").name == "numpy"
