"""PyTorch: DistributedDataParallel on gloo with several ranks, a plain module with one.

Where MASTER_ADDR is set, this is one rank of several hosts, as torchrun would start it. With `--hook fp16` gradients
travel as float16, in buckets of 2 MB: the strongest form of DDP on gloo that was found (the hook for bfloat16 refuses
gloo).

Fused optimizers, gradients as views into the buckets, no loss read back.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

from benchmarks.workloads import (
    LEARNING_RATE,
    MOMENTUM,
    WEIGHT_DECAY,
    WORKLOADS,
    batches,
    peer_arguments,
    random_data,
    time_steps,
)

RULES = {
    "sgd": lambda params: torch.optim.SGD(params, lr=LEARNING_RATE, momentum=MOMENTUM, fused=True),
    "adamw": lambda params: torch.optim.AdamW(params, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True),
}


def run(rank: int, options, init_method: str) -> None:
    torch.set_num_threads(options.threads)
    workload = WORKLOADS[options.workload]
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(workload.sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network: torch.nn.Module = torch.nn.Sequential(*layers[:-1])
    if options.ranks > 1:
        dist.init_process_group("gloo", init_method=init_method, rank=rank, world_size=options.ranks)
        buckets = {"bucket_cap_mb": 2} if options.hook else {}
        network = torch.nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True, **buckets)
        if options.hook:
            network.register_comm_hook(None, default_hooks.fp16_compress_hook)
    optimizer = RULES[options.optimizer](network.parameters())
    criterion = torch.nn.CrossEntropyLoss()
    x, labels = (torch.from_numpy(array) for array in random_data(workload))
    ids = (torch.from_numpy(part) for part in batches(options.batch, rank, options.ranks))

    def step() -> None:
        chosen = next(ids)
        optimizer.zero_grad()
        criterion(network(x[chosen]), labels[chosen]).backward()
        optimizer.step()

    def agree(calls: int) -> int:
        least = torch.tensor([calls])
        dist.all_reduce(least, op=dist.ReduceOp.MIN)
        return int(least)

    if options.ranks > 1:
        seconds = time_steps(step, dist.barrier, options.seconds, agree, options.least)
    else:
        seconds = time_steps(step, lambda: None, options.seconds)
    if rank == 0:
        print(options.batch / seconds)


def main() -> None:
    options = peer_arguments(__doc__)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = f"file://{Path(folder) / 'rendezvous'}"
        if "MASTER_ADDR" in os.environ:
            run(int(os.environ["RANK"]), options, "env://")
        elif options.ranks == 1:
            run(0, options, rendezvous)
        else:
            torch.multiprocessing.spawn(run, args=(options, rendezvous), nprocs=options.ranks)


if __name__ == "__main__":
    main()
