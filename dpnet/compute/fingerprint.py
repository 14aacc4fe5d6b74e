"""What the bits of a training depend on besides its configuration: versions, BLAS, its kernels and threads.

A checkpoint records the fingerprint under "numerics", and a resumed training reports what has changed. Of the BLAS
libraries of the process only those count that dpnet computes with: numpy's, and MKL if products are computed by it.
Other packages bring their own (scipy's is loaded by numba, sooner or later), and these change no bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from dpnet.compute.products.wheels import version

_KEYS = ("internal_api", "version", "architecture", "threading_layer", "num_threads")


def fingerprint(products: str) -> dict[str, Any]:
    """The versions, kernels and threads that this process computes with.

    Args:
        products: name of the library of matrix products.
    """
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    used = _of_numpy(libraries) + [library for library in libraries if library["internal_api"] == products == "mkl"]
    kept = {blas_in_words(library): {key: library.get(key) for key in _KEYS} for library in used}
    return {
        "numpy": np.__version__,
        "products": products,
        "products_version": version(products),
        "blas": [kept[words] for words in sorted(kept)],
    }


def blas_in_words(library: object) -> str:
    """A library of `fingerprint(...)["blas"]` in words: `openblas 0.3.31 (Haswell, pthreads, 2 threads)`.

    Args:
        library: as a checkpoint holds it; anything else is shown as it is.
    """
    if not isinstance(library, dict):
        return str(library)
    threads = library.get("num_threads")
    details = [library.get("architecture"), library.get("threading_layer")]
    details += [f"{threads} thread{'' if threads == 1 else 's'}"] if threads else []
    name = " ".join(str(library[key]) for key in ("internal_api", "version") if library.get(key))
    return f"{name} ({', '.join(str(detail) for detail in details if detail)})"


def _of_numpy(libraries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The libraries that numpy computes with: its wheel's own. Without (conda, a distribution): those of no wheel."""

    def folder(library: dict[str, Any]) -> Path:
        return Path(library["filepath"]).parent

    own = [library for library in libraries if folder(library).name == "numpy.libs"]
    return own or [library for library in libraries if folder(library).suffix != ".libs"]
