"""The choice of the library of matrix products, and the errors if it is missing or damaged."""

import builtins
import io
import os
import subprocess
import sys

import pytest

from dpnet.compute.products import choose, wheels
from dpnet.compute.products.choose import PRODUCTS, choose_products, processor
from dpnet.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "installed", "processor", "expected"),
    [
        ("auto", ["mkl", "onednn"], (True, True), "mkl"),
        ("auto", ["mkl", "onednn"], (False, True), "onednn"),
        ("auto", ["mkl", "onednn"], (False, False), "numpy"),
        ("auto", ["mkl"], (False, True), "numpy"),
        ("auto", ["onednn"], (True, True), "onednn"),
        ("auto", [], (True, True), "numpy"),
        ("numpy", ["mkl", "onednn"], (True, True), "numpy"),
        ("mkl", ["mkl"], (False, False), "mkl"),
        ("onednn", ["onednn"], (True, False), "onednn"),
    ],
)
def test_the_library_follows_from_the_machine(monkeypatch, setting, installed, processor, expected):
    monkeypatch.setattr(wheels, "find", lambda name: "path" if name in installed else None)
    monkeypatch.setattr(wheels, "loads", lambda name: name in installed)
    monkeypatch.setattr(choose, "processor", lambda: processor)
    assert choose_products(setting) == expected


@pytest.mark.parametrize(("name", "extra"), [("mkl", "mkl"), ("onednn", "fast")])
def test_a_missing_library_names_its_extra(monkeypatch, name, extra):
    monkeypatch.setattr(wheels, "find", lambda name: None)
    with pytest.raises(ConfigError, match=rf"\"{name}\", which is not installed; pip install 'dpnet\[{extra}\]'"):
        choose_products(name)


@pytest.mark.parametrize("name", ["mkl", "onednn"])
def test_a_damaged_library_is_an_error_and_no_choice_of_auto(monkeypatch, tmp_path, name):
    damaged = tmp_path / "library.so"
    damaged.write_text("no library")
    monkeypatch.setattr(wheels, "find", lambda name: str(damaged))
    monkeypatch.setattr(choose, "processor", lambda: (True, True))
    wheels.loads.cache_clear()
    with pytest.raises(ConfigError, match=f"cannot load {name}"):
        PRODUCTS[name](1)
    assert choose_products("auto") == "numpy"
    wheels.loads.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f sse\n", (True, True)),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2 avx512f\n", (False, True)),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2\n", (False, False)),
        ("CPU implementer\t: 0x41\nFeatures\t: fp asimd\n", (False, False)),
        ("", (False, False)),
    ],
)
def test_the_processor_is_read_from_cpuinfo(monkeypatch, text, expected):
    monkeypatch.setattr(builtins, "open", lambda path: io.StringIO(text))
    assert processor() == expected


def test_without_cpuinfo_the_processor_is_unknown(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(builtins, "open", missing)
    assert processor() == (False, False)


def test_threads_of_onednn_do_not_spin_for_long():
    if not wheels.loads("onednn"):
        pytest.skip("oneDNN is not installed; pip install 'dpnet[fast]'")
    # Its OpenMP library reads the environment when it is loaded, and prints what it read.
    code = "from dpnet.compute.products.wheels import loads; loads('onednn')"
    environ = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    environ["OMP_DISPLAY_ENV"] = "VERBOSE"
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    ).stderr
    assert "GOMP_SPINCOUNT = '300'" in printed
