"""The backend of a rank: what its matrix products, its element-wise loops and its threads are."""

from __future__ import annotations

from dataclasses import dataclass

from dpnet.compute.loops.choose import NUMPY as NUMPY_KERNELS
from dpnet.compute.loops.choose import Kernels
from dpnet.compute.pool import Pool
from dpnet.compute.products.numpy import NUMPY as NUMPY_PRODUCTS
from dpnet.compute.products.numpy import Products


@dataclass(frozen=True)
class Backend:
    """What a rank computes with.

    Attributes:
        threads: of this rank.
        products: matrix products.
        kernels: element-wise work, and update rules.
        pool: threads for the element-wise work that is worth them.
    """

    threads: int
    products: Products
    kernels: Kernels
    pool: Pool


def plain_backend() -> Backend:
    """One thread, and nothing but numpy."""
    return Backend(1, NUMPY_PRODUCTS, NUMPY_KERNELS, Pool(1))
