"""What the bits of a training depend on besides its configuration: versions, BLAS, its kernels and threads.

A checkpoint records the fingerprint under "numerics", and a resumed training reports what has changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from dpnet.compute.products.wheels import version


def fingerprint(products: str) -> dict[str, Any]:
    """The versions, kernels and threads that this process computes with.

    Args:
        products: name of the library of matrix products.
    """
    keys = ("internal_api", "version", "architecture", "threading_layer", "num_threads")
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "numpy": np.__version__,
        "products": products,
        "products_version": version(products),
        "blas": [{key: library.get(key) for key in keys} for library in libraries],
    }
