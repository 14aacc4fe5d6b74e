"""What a checkpoint after every step costs, against the copy of the state that it has to wait for.

    mpirun -n 2 python -m benchmarks.checkpoint [WORKLOAD ...] [--optimizer sgd|adamw] [--seconds 2] [--rounds 5]

Steps without checkpoints and steps with one each take turns in the same processes; the copy alone is measured in
between. The checkpoints go to a folder for temporary files, on whatever disk that is. Rows are kept in
benchmarks/results/checkpoint.jsonl.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpnet.threads import preset_threads

preset_threads()  # As the command `dpnet` does: before numpy is imported.

import numpy as np

from benchmarks.peers.dpnet_train import build, stepper
from benchmarks.results import keep, machine, summary
from benchmarks.workloads import OPTIMIZERS, WORKLOADS, time_steps
from dpnet.assembly import Parts
from dpnet.checkpoint import Checkpoint
from dpnet.checkpoints import CheckpointFolder
from dpnet.comm.connect import connect
from dpnet.resume import optimizer_tensors
from dpnet.saver import NoSaver, Saver


def content(parts: Parts) -> Checkpoint:
    """A checkpoint of the committed state, as views; its manifest holds no more than its step."""
    return Checkpoint(
        model=parts.layout.named(parts.state.params),
        optimizer=optimizer_tensors(parts.layout, parts.state.slots),
        scaling={},
        manifest={"step": parts.state.step},
    )


def copier(parts: Parts) -> Callable[[], None]:
    """Copies all vectors of the state, each in one piece: nothing could copy a state faster."""
    vectors = [parts.state.params, *parts.state.slots.values()]
    copies = [np.empty_like(vector) for vector in vectors]

    def copy() -> None:
        for vector, target in zip(vectors, copies, strict=True):
            np.copyto(target, vector)

    return copy


def measure(parts: Parts, group: Any, saver: NoSaver, options: argparse.Namespace) -> list[tuple[float, float, float]]:
    """Seconds of a step without and with a checkpoint, and of a copy, in each round."""
    step, copy = stepper(parts), copier(parts)

    def step_and_save() -> None:
        step()
        if group.rank == 0:
            saver.save(content(parts), best_step=None)
        group.barrier()  # Nobody changes the state before it is copied.

    def finish() -> None:
        saver.flush()
        group.barrier()

    rounds = []
    for _ in range(options.rounds):
        plain_s = time_steps(step, group.barrier, options.seconds, group.broadcast)
        saving_s = time_steps(step_and_save, group.barrier, options.seconds, group.broadcast)
        finish()
        begin = time.perf_counter()
        if group.rank == 0:
            copy()
        rounds.append((plain_s, saving_s, time.perf_counter() - begin))
        group.barrier()
    return rounds


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    group, rows = connect(), []
    for workload in options.workloads or ("wide",):
        parts, _ = build(workload, options.optimizer, WORKLOADS[workload].rows * group.world_size, group)
        folder = Path(tempfile.mkdtemp(prefix="dpnet-checkpoint-"))
        saver = NoSaver()
        if group.rank == 0:
            saver = Saver(CheckpointFolder(folder, keep_last=2), max_failed=1, tell=print)
        rounds = measure(parts, group, saver, options)
        saver.close()
        written = len(list(folder.glob("step-*")))
        shutil.rmtree(folder)
        if group.rank == 0:
            plain_s, saving_s, copy_s = (statistics.median(column) for column in zip(*rounds, strict=True))
            price = summary([(saving - plain) / copy for plain, saving, copy in rounds])
            print(f"{workload}, {options.optimizer}, {group.world_size} ranks: {plain_s * 1e3:.2f} ms a step, ", end="")
            print(f"{saving_s * 1e3:.2f} ms with a checkpoint, {copy_s * 1e3:.2f} ms a copy; difference/copy ", end="")
            print(
                f"{price['median']:.2f} ({price['least']:.2f} to {price['greatest']:.2f}); {written} left on the disk"
            )
            rows.append(
                {"workload": workload, "optimizer": options.optimizer, "ranks": group.world_size}
                | {"step_s": plain_s, "with_checkpoint_s": saving_s, "copy_s": copy_s, "difference_per_copy": price}
            )
    if group.rank == 0:
        print(f"{machine()}; kept in {keep('checkpoint', rows)}")


if __name__ == "__main__":
    main()
