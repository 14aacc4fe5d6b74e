"""The backend of a rank: its matrix products, its element-wise loops and its threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dpnet.compute.loops.choose import NUMPY as NUMPY_KERNELS
from dpnet.compute.loops.choose import choose_kernels
from dpnet.compute.loops.interface import Kernels
from dpnet.compute.pool import Pool
from dpnet.compute.products.choose import PRODUCTS, choose_products
from dpnet.compute.products.interface import Products
from dpnet.compute.products.numpy import warm_up
from dpnet.compute.threads import limit_threads


class Libraries(NamedTuple):
    """Names of the libraries that a backend is made of.

    Attributes:
        products: a key of `PRODUCTS`.
        kernels: "numpy" or "numba".
    """

    products: str
    kernels: str


NUMPY = Libraries("numpy", NUMPY_KERNELS.name)


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


def choose_libraries(blas: str, kernels: str) -> Libraries:
    """What `train.blas` and `train.kernels` select on this machine; "auto" follows from what is installed.

    Raises:
        ConfigError: a library is asked for by name, and is not installed.
    """
    return Libraries(choose_products(blas), choose_kernels(kernels).name)


def make_backend(libraries: Libraries, threads: int) -> Backend:
    """A backend of these libraries; limits the threads of this process's BLAS to `threads`.

    Raises:
        ConfigError: a library cannot be loaded.
    """
    products = PRODUCTS[libraries.products](threads)
    limit_threads(threads)
    warm_up(threads)
    return Backend(threads, products, choose_kernels(libraries.kernels), Pool(threads))


def plain_backend() -> Backend:
    """One thread, and nothing but numpy."""
    return Backend(1, PRODUCTS["numpy"](1), NUMPY_KERNELS, Pool(1))
