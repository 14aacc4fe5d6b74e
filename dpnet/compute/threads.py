"""How many threads the matrix products of this rank use, and what the numerics of this process are.

Without a setting, the cores of the node are shared out among its ranks. With `reproducible_shards` it is one thread:
a matrix product that is split over another number of threads may round differently, and a rank's number of threads
would otherwise follow from world_size.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import Any

from dpnet.environment import available_cores, launched

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


@functools.cache
def threads_from_user() -> int:
    """The smallest number that the environment sets for a BLAS library; 0 where it sets none."""
    # OpenMP takes a list, "4,2": the numbers of nested parallel regions. The first is that of the outermost.
    values = [os.environ.get(name, "").partition(",")[0].strip() for name in VARIABLES]
    return min((int(value) for value in values if value.isdecimal() and int(value) > 0), default=0)


def preset_threads() -> None:
    """Set the thread variables for this process before numpy is imported, unless the user has set one.

    A BLAS library starts its threads when it is loaded: too many, on a node with many ranks. OpenBLAS lets them spin
    for 20 ms after each product, on cores that the work between two products wants: a few microseconds will do.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "14")  # The binary logarithm of a number of cycles.
    if not threads_from_user():
        share = max(1, available_cores() // launched().local_world_size)
        os.environ.update(dict.fromkeys(VARIABLES, str(share)))


def choose_threads(
    setting: int, *, reproducible: bool, local_world_size: int, core_sets: Iterable[frozenset[int]] = ()
) -> int:
    """Threads per rank.

    Args:
        setting: train.threads; 0 leaves the choice to this function.
        reproducible: bits must not depend on world_size, nor on variables of the environment.
        local_world_size: ranks on this node.
        core_sets: the cores that each of them may run on: all the same, or a share each. Without any, those of this
            process are shared out.
    """
    if setting:
        return setting
    if reproducible:
        return 1
    return threads_from_user() or max(1, available_cores(core_sets) // local_world_size)


def limit_threads(threads: int) -> None:
    """Let the BLAS library of this process use `threads` threads from now on."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)


def numerics(products: str) -> dict[str, Any]:
    """What the bits of a training depend on besides its configuration: versions, BLAS, its kernels and threads.

    Args:
        products: name of the library of matrix products.
    """
    import numpy as np
    from threadpoolctl import threadpool_info

    from dpnet.compute.products.wheels import version

    keys = ("internal_api", "version", "architecture", "threading_layer", "num_threads")
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "numpy": np.__version__,
        "products": products,
        "products_version": version(products),
        "blas": [{key: library.get(key) for key in keys} for library in libraries],
    }
