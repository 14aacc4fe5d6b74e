"""How many threads the matrix products of this rank use.

Without a setting, the cores of the node are shared out among its ranks, and numpy's BLAS takes no more threads than
its products have work for: see `worth`. With `reproducible_shards` or `workers` a rank uses one thread: a matrix
product that is split over another number of threads may round differently, and a rank's share of the cores follows from
world_size.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

from dpnet.compute.cores.available import available_cores, cores_text, squeezed
from dpnet.environment import THREADS, launched
from dpnet.text import counted

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")

CPUS_PER_TASK = "SLURM_CPUS_PER_TASK"
"""Variable: the cores that a job of Slurm has asked for each rank; it may have more on some hosts."""

OPERATIONS_PER_THREAD = 20e6
"""Additions and multiplications of a product that are worth a thread of numpy's BLAS: 0.3 to 1 ms of work."""


@functools.cache
def threads_from_user() -> int:
    """The smallest number of threads that the environment sets for a BLAS library; 0 if it sets none.

    The share of the cores that `dpnet launch` sets is none that the user has set.
    """
    # OpenMP takes a list, "4,2", for nested parallel regions. The outermost comes first.
    values = [os.environ.get(name, "").partition(",")[0].strip() for name in VARIABLES]
    ours = os.environ.get(THREADS)
    return min((int(value) for value in values if value.isdecimal() and int(value) > 0 and value != ours), default=0)


def preset_threads() -> None:
    """Set the thread variables for this process, unless the user has set one. Call before numpy is imported.

    A BLAS library starts its threads when it is loaded: too many, on a node with many ranks. OpenBLAS lets them spin
    for 20 ms after each product, on cores that the work between two products needs: here they spin for microseconds.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "14")  # The binary logarithm of a number of cycles.
    if not threads_from_user():
        share = _share(available_cores(), launched().local_world_size)
        os.environ.update(dict.fromkeys(VARIABLES, str(share)))


def choose_threads(
    setting: int, *, reproducible: bool, local_world_size: int, core_sets: Iterable[frozenset[int]] = ()
) -> int:
    """Threads per rank.

    Args:
        setting: train.threads; 0 leaves the choice to this function.
        reproducible: bits must not depend on world_size, nor on environment variables.
        local_world_size: ranks on this node.
        core_sets: the cores that each rank of the node may run on: all the same, or a share each. If empty, the cores
            of this process are shared out.
    """
    if setting:
        return setting
    if reproducible:
        return 1
    return threads_from_user() or _share(available_cores(core_sets), local_world_size)


def _share(cores: int, ranks: int) -> int:
    """Threads of each of these ranks; of the cores of a batch job no more than it has asked for a rank."""
    asked = os.environ.get(CPUS_PER_TASK, "")
    return max(1, min(cores // ranks, int(asked) if asked.isdecimal() else cores))


def too_many(ranks: int, threads: int, core_sets: Sequence[frozenset[int]] = ()) -> str:
    """That there are more ranks, of so many threads each, than cores for them; empty: there are enough.

    Args:
        ranks: on one host.
        threads: of each rank.
        core_sets: see `choose_threads`.
    """
    if ranks * threads <= available_cores(core_sets):
        return ""
    of_threads = f" of {threads} threads" if threads > 1 else ""
    return f"{counted(ranks, 'rank')}{of_threads} for only {cores_text(core_sets)}"


def bound_together(core_sets: Sequence[frozenset[int]]) -> str:
    """That some ranks of a host are bound to the same core while others are free; empty: they are not."""
    found = squeezed(core_sets)
    if found is None or len(found[1]) == len(frozenset().union(*core_sets)):
        return ""  # The latter are `too_many`.
    ranks, cores = found
    return (
        f"{counted(ranks, 'rank')} are bound to {counted(len(cores), 'core')} ({', '.join(map(str, sorted(cores)))}), "
        "while other ranks have more: mpirun --bind-to none lets them run on all"
    )


def what_is_faster(ranks: int, threads: int, core_sets: Sequence[frozenset[int]] = ()) -> str:
    """What to start in place of too many ranks or threads, see `too_many`."""
    cores = available_cores(core_sets)
    if ranks <= cores:
        return "fewer threads are faster"
    fitting = max(1, cores // threads)
    return f"{counted(fitting, 'rank')} {'are' if fitting > 1 else 'is'} faster, with the same result"


def worth(threads: int, rows: int, widths: Sequence[int]) -> int:
    """How many of so many threads the largest product of a step of a rank has work for: at least one.

    OpenBLAS splits even products of 64 x 64 matrices. Its threads wait for each other at the end of each product, and
    where another program has the core of one of them, all wait for as long as that program runs. The smaller the
    products, the more of them a second has, each with such a wait: a small network trains up to seven times slower by
    two threads than by one, see benchmarks/README.md.

    Args:
        threads: that the rank may use.
        rows: samples of a step of the rank.
        widths: of the network, from its inputs to its outputs.
    """
    operations = 2 * rows * max(before * after for before, after in itertools.pairwise(widths))
    return max(1, min(threads, int(operations / OPERATIONS_PER_THREAD)))


@contextlib.contextmanager
def threads_kept() -> Iterator[None]:
    """Give all libraries that are loaded now their numbers of threads back at the end of the block."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits():
        yield


def limit_threads(threads: int) -> None:
    """Set the number of threads of all BLAS and OpenMP libraries that this process has loaded."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
