"""The backend of a rank: its matrix products, its element-wise loops and its threads."""

from __future__ import annotations

from dataclasses import dataclass

from dpnet.compute.loops.choose import NUMPY as NUMPY_KERNELS
from dpnet.compute.loops.interface import Kernels
from dpnet.compute.pool import Pool
from dpnet.compute.products.interface import Products
from dpnet.compute.products.numpy import NUMPY as NUMPY_PRODUCTS


@dataclass(frozen=True)
class Backend:
    """What a rank computes with.

    Attributes:
        threads: number of threads of this rank.
        products: matrix products.
        kernels: element-wise loops and update rules.
        pool: threads for long element-wise loops.
    """

    threads: int
    products: Products
    kernels: Kernels
    pool: Pool


def plain_backend() -> Backend:
    """One thread, and nothing but numpy."""
    return Backend(1, NUMPY_PRODUCTS, NUMPY_KERNELS, Pool(1))
