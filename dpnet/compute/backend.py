"""What a training computes with: matrix products, kernels and threads, chosen once and the same on every rank."""

from __future__ import annotations

from dataclasses import dataclass

from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group
from dpnet.compute import threads
from dpnet.compute.loops.choose import NUMPY, Kernels, choose_kernels
from dpnet.compute.pool import Crew
from dpnet.compute.products.choose import PRODUCTS, choose_products
from dpnet.compute.products.numpy import NUMPY as NUMPY_PRODUCTS
from dpnet.compute.products.numpy import Products, warm_up
from dpnet.config.job import TrainConfig
from dpnet.environment import core_set


@dataclass(frozen=True)
class Engine:
    """What a training computes with.

    Attributes:
        threads: of this rank.
        products: matrix products.
        kernels: element-wise work.
        crew: threads for the element-wise work that is worth them.
    """

    threads: int
    products: Products
    kernels: Kernels
    crew: Crew


def plain_engine() -> Engine:
    """One thread, and nothing but numpy."""
    return Engine(1, NUMPY_PRODUCTS, NUMPY, Crew(1))


def choose_engine(train: TrainConfig, group: Group) -> Engine:
    """What the configuration asks for; limits the threads of this process's BLAS. Called by every rank.

    Raises:
        ConfigError: it is not installed.
    """
    num_threads = threads.choose_threads(
        train.threads,
        reproducible=bool(train.reproducible_shards),
        local_world_size=group.node.world_size,
        core_sets=group.node.allgather(core_set()),
    )
    name = everywhere(group, lambda: choose_products(train.blas))
    if len(set(group.allgather(name))) > 1:
        name = (
            "numpy"  # "auto" on nodes that differ: a sum of products of two libraries would have the bits of neither.
        )
    products = everywhere(group, lambda: PRODUCTS[name](num_threads))
    threads.limit_threads(num_threads)
    warm_up(num_threads)
    kernels = everywhere(group, lambda: choose_kernels(train.kernels))
    return Engine(num_threads, products, kernels, Crew(num_threads))
