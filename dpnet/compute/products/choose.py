"""The choice of the library of matrix products."""

from __future__ import annotations

from collections.abc import Callable

from dpnet.compute.products import wheels
from dpnet.compute.products.interface import Products
from dpnet.compute.products.mkl import MklProducts
from dpnet.compute.products.numpy import NUMPY
from dpnet.compute.products.onednn import OneDnnProducts
from dpnet.errors import ConfigError

PRODUCTS: dict[str, Callable[[int], Products]] = {
    "numpy": lambda threads: NUMPY,
    "mkl": MklProducts,
    "onednn": OneDnnProducts,
}
"""The choices of `train.blas` besides "auto": each makes its products from a number of threads."""
MAKERS = ("GenuineIntel", "AuthenticAMD")
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")


def choose_products(setting: str) -> str:
    """The key of PRODUCTS that `train.blas` selects.

    "auto" is MKL on Intel processors, otherwise oneDNN on processors with AVX-512, if installed and loadable. Measured
    against numpy's own BLAS, MKL was faster on Intel's processors, oneDNN on AMD's (see benchmarks/README.md). The
    choice follows from the machine, never from a measurement: bits depend on it.

    Raises:
        ConfigError: the selected library is not installed.
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
    """Whether the processor is Intel's, and whether it has AVX-512; both False where Linux does not describe it."""
    known = _cpu_words()
    return "GenuineIntel" in known, "avx512f" in known


def instructions() -> str:
    """Maker of the processor, and those of its instructions that libraries choose loops by; empty: unknown."""
    known = _cpu_words()
    return " ".join(word for word in (*MAKERS, *INSTRUCTIONS) if word in known)


def _cpu_words() -> set[str]:
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.split(":", 1) for line in file if line.startswith(("vendor_id", "flags"))]
    except OSError:
        return set()
    return {word for _, *values in lines for value in values for word in value.split()}
