"""Which library of matrix products a training runs on."""

from __future__ import annotations

from collections.abc import Callable

from dpnet.compute.products import wheels
from dpnet.compute.products.mkl import MklProducts
from dpnet.compute.products.numpy import NUMPY, Products
from dpnet.compute.products.onednn import OneDnnProducts
from dpnet.errors import ConfigError

PRODUCTS: dict[str, Callable[[int], Products]] = {
    "numpy": lambda threads: NUMPY,
    "mkl": MklProducts,
    "onednn": OneDnnProducts,
}
"""Makes the products of `train.blas`, with a number of threads."""


def choose_products(setting: str) -> str:
    """The library that `train.blas` asks for, as a key of PRODUCTS.

    "auto" is MKL on processors of Intel, else oneDNN on those with AVX-512, where they are installed and can be loaded.
    MKL was measured to be faster than what numpy brings on Intel's, oneDNN on AMD's (see benchmarks/README.md). The
    choice follows from the machine, never from a measurement: bits depend on it.

    Raises:
        ConfigError: what is asked for is not installed.
    """
    if setting != "auto":
        if setting in wheels.WHEELS and wheels.find(setting) is None:
            extra = wheels.WHEELS[setting].extra
            raise ConfigError(
                f'train.blas is "{setting}", which is not installed; pip install \'dpnet[{extra}]\', or take "auto"'
            )
        return setting
    is_intel, has_avx512 = processor()
    if is_intel and wheels.loads("mkl"):
        return "mkl"
    if has_avx512 and wheels.loads("onednn"):
        return "onednn"
    return "numpy"


def processor() -> tuple[bool, bool]:
    """Whether it is Intel's, and whether it has AVX-512."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.split(":", 1) for line in file if line.startswith(("vendor_id", "flags"))]
    except OSError:
        return False, False
    words = {word for _, *values in lines for value in values for word in value.split()}
    return "GenuineIntel" in words, "avx512f" in words
