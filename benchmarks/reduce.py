"""Speed of the reduction of one gradient vector per rank, against copying it in memory and against MPI's Allreduce.

    mpirun -n 2 python -m benchmarks.reduce [--rounds 5] [MEBIBYTES ...]

dpnet has one gradient vector per rank with reproducible_shards, and where networks are small beside their batch. Else
the ranks of a node compute their gradient together, and there is nothing to reduce. The reduction leaves on every rank
what is needed to update its slice, and the update computes the sum. So the benchmark sums the slice too, and publishes
the parameters, where Allreduce gives the whole sum to all ranks. Bytes per second are those of one gradient vector.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from mpi4py import MPI

from benchmarks.results import keep, machine
from benchmarks.workloads import time_steps
from dpnet.comm import topology
from dpnet.comm.connect import connect
from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.loops.choose import choose_kernels
from dpnet.compute.loops.pending_sums import complete, scratch_for
from dpnet.nn.layout import Layout
from dpnet.parallel.shards import ShardReducer


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=float, metavar="MEBIBYTES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    options = parser.parse_args()
    group, rows = connect(), []
    loops = choose_kernels("auto").loops
    if group.rank == 0:
        print("     MiB   dpnet GB/s   Allreduce GB/s   memcpy GB/s")
    for mebibytes in options.sizes or (0.0625, 1, 8, 32):
        layout = Layout((max(1, int(mebibytes * 2**20 / 4 / 256)), 256))
        size = layout.size
        reducer = ShardReducer(
            topology.shared(group),
            num_shards=group.world_size,
            layout=layout,
            dtype=np.float32,
            weight_gradients=lambda dweights: None,
            num_words=3,
            loops=loops,
        )
        (grad,) = reducer.grad
        total, work = aligned_zeros((1, grad.stop), np.float32), scratch_for([grad.sum], np.float32)
        vector, copy = np.ones(size, np.float32), np.zeros(size, np.float32)

        def reduce(reducer=reducer, grad=grad, total=total, work=work) -> None:
            reducer.add(group.rank, (0.0, 0.0, 0.0))
            reducer.reduce(group.world_size)
            complete([grad], total, work, loops)
            group.node.barrier()

        def allreduce(vector=vector, copy=copy) -> None:
            MPI.COMM_WORLD.Allreduce(vector, copy)

        def memcpy(vector=vector, copy=copy) -> None:
            np.copyto(copy, vector)

        ways = {"dpnet": reduce, "Allreduce": allreduce, "memcpy": memcpy}
        seconds = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                seconds[name].append(time_steps(way, group.barrier, options.seconds, group.broadcast))
        speeds = {name: 4 * size / statistics.median(values) / 1e9 for name, values in seconds.items()}
        if group.rank == 0:
            print(f"{mebibytes:8g} {speeds['dpnet']:12.2f} {speeds['Allreduce']:16.2f} {speeds['memcpy']:13.2f}")
            rows.append({"ranks": group.world_size, "bytes": 4 * size, "bytes_per_s": speeds})
    if group.rank == 0:
        print(f"{machine()}; kept in {keep('reduce', rows)}")


if __name__ == "__main__":
    main()
