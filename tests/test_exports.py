"""The public names, and that importing them costs next to nothing."""

import subprocess
import sys

import pytest

import dpnet


def test_exports_are_sorted_and_exist():
    assert list(dpnet.__all__) == sorted(dpnet.__all__)
    for name in dpnet.__all__:
        assert getattr(dpnet, name) is not None
    assert set(dpnet.__all__) <= set(dir(dpnet))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        dpnet.no_such_name  # noqa: B018


def test_import_brings_no_heavy_and_no_optional_package():
    code = "import sys, dpnet; print(*(name for name in sys.modules if '.' not in name))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    heavy = {"mpi4py", "numpy", "pydantic", "safetensors", "threadpoolctl", "matplotlib", "torch", "sklearn"}
    assert not loaded & heavy
