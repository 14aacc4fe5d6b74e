"""Speed of the reduction of one gradient vector per rank, against copying it in memory and against bare MPI.

    mpirun -n 2 python -m benchmarks.reduce [--rounds 5] [MEBIBYTES ...]

Two reducers have such vectors: `shards` and `allreduce`. With `joint`, ranks of a node compute their gradient together,
and there is nothing to reduce. A reducer leaves on every rank what the update of its slice needs, and the update sums
as it goes. So that the same is compared, the slice is summed here as well, and the parameters are published. "MPI" is
nothing but Allreduce from one vector into another, which gives the whole sum to every rank.
Bytes per second are those of one gradient vector.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from mpi4py import MPI

from benchmarks.results import keep, machine
from benchmarks.workloads import time_steps
from dpnet.comm import topology
from dpnet.comm.connect import connect
from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Matrix, aligned_zeros
from dpnet.compute.backend import Backend
from dpnet.compute.loops.choose import choose_kernels
from dpnet.compute.loops.pending_sums import complete, scratch_for
from dpnet.compute.pool import Pool
from dpnet.compute.products.numpy import NUMPY
from dpnet.nn.layout import Layout
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import REDUCERS
from dpnet.parallel.step_sums import Sums

WAYS = ("shards", "allreduce", "MPI", "memcpy")


class NoGradient:
    """A backward pass that writes nothing: what the vector holds is its gradient."""

    def weight_gradients(self, dweights: Sequence[Matrix]) -> None:
        """Leave the gradient as it is."""


def reduction(name: str, topology: Topology, layout: Layout, backend: Backend) -> Callable[[], None]:
    """A reduction by the reducer `name`, with the sum of the owned slice and the barrier that publishes."""
    group = topology.group
    plan = Plan(group.world_size, group.world_size, seed=0, num_shards=group.world_size)
    reducer = REDUCERS[name](topology, plan=plan, layout=layout, dtype=np.float32, factors=[], backend=backend)
    (grad,) = reducer.grad
    total, work = aligned_zeros((1, grad.stop), np.float32), scratch_for([grad.sum], np.float32)
    backward, sums = NoGradient(), Sums(1, 1.0, 0.0, 0)

    def reduce() -> None:
        reducer.add(group.rank, backward, sums)
        reducer.reduce(group.world_size)
        complete([grad], total, work, backend.kernels.loops)
        group.node.barrier()

    return reduce


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=float, metavar="MEBIBYTES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    options = parser.parse_args()
    group, rows = connect(), []
    backend = Backend(1, NUMPY, choose_kernels("auto"), Pool(1))
    if group.rank == 0:
        print("     MiB" + "".join(f"{name + ' GB/s':>16}" for name in WAYS))
    for mebibytes in options.sizes or (0.0625, 1, 8, 32):
        layout = Layout((max(1, int(mebibytes * 2**20 / 4 / 256)), 256))
        vector, copy = np.ones(layout.size, np.float32), np.zeros(layout.size, np.float32)
        ways = {name: reduction(name, topology.shared(group), layout, backend) for name in WAYS[:2]}
        ways["MPI"] = functools.partial(MPI.COMM_WORLD.Allreduce, vector, copy)
        ways["memcpy"] = functools.partial(np.copyto, copy, vector)
        seconds = {name: [] for name in WAYS}
        for _ in range(options.rounds):
            for name, way in ways.items():
                seconds[name].append(time_steps(way, group.barrier, options.seconds, group.broadcast))
        speeds = {name: 4 * layout.size / statistics.median(values) / 1e9 for name, values in seconds.items()}
        if group.rank == 0:
            print(f"{mebibytes:8g}" + "".join(f"{speeds[name]:16.2f}" for name in WAYS))
            rows.append({"ranks": group.world_size, "bytes": 4 * layout.size, "bytes_per_s": speeds})
    if group.rank == 0:
        print(f"{machine()}; kept in {keep('reduce', rows)}")


if __name__ == "__main__":
    main()
