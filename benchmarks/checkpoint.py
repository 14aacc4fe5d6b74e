"""The cost of a checkpoint after every step, against the copy of the state that every checkpoint has to wait for.

    mpirun -n 2 python -m benchmarks.checkpoint [WORKLOAD ...] [--optimizer sgd|adamw] [--seconds 2] [--rounds 5]

Steps by themselves, steps with a checkpoint each, and steps with only a copy of the state, which all ranks wait for,
take turns in the same processes. The checkpoints go to a folder for temporary files, on whatever disk that is.
Rows are kept in benchmarks/results/checkpoint.jsonl.
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

from dpnet.compute.threads import preset_threads

preset_threads()  # As the command `dpnet` does: before numpy is imported.

import numpy as np

from benchmarks.peers.dpnet_train import build, stepper
from benchmarks.results import keep, machine, summary
from benchmarks.workloads import WORKLOADS, time_steps, workload_parser
from dpnet.checkpoint.background import Saver
from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.tensors import optimizer_tensors
from dpnet.comm.connect import connect
from dpnet.training.build import Parts


def content(parts: Parts) -> Checkpoint:
    """A checkpoint of the committed state, as views; its manifest holds only the step."""
    return Checkpoint(
        model=parts.layout.named(parts.state.params),
        optimizer=optimizer_tensors(parts.layout, parts.state.slots),
        scaling={},
        manifest={"step": parts.state.step},
    )


def copier(parts: Parts) -> Callable[[], None]:
    """A function that copies all vectors of the state, each in one piece: no copy of a state is faster."""
    vectors = [parts.state.params, *parts.state.slots.values()]
    copies = [np.empty_like(vector) for vector in vectors]

    def copy() -> None:
        for vector, target in zip(vectors, copies, strict=True):
            np.copyto(target, vector)

    return copy


def measure(
    parts: Parts, group: Any, saver: Saver | None, folder: Path, options: argparse.Namespace
) -> tuple[list[tuple[float, float, float]], int, int]:
    """Measure steps by themselves, with a copy of the state, and with a checkpoint.

    Returns:
        seconds of the three in each round, checkpoints asked for, and how many of these were on the disk while steps
        went on.
    """
    step, copy = stepper(parts), copier(parts)
    asked, seen = 0, set[str]()

    def save() -> None:
        nonlocal asked
        assert saver is not None
        asked += 1
        saver.save(content(parts), best_step=None)
        seen.update(path.name for path in folder.glob("step-*"))

    def step_and(what: Callable[[], None]) -> None:
        step()
        if group.rank == 0:
            what()
        group.barrier()  # Nobody changes the state before it is copied.

    def finish() -> None:
        if saver is not None:
            while not saver.settled():
                time.sleep(0.001)
        group.barrier()

    kinds = (step, lambda: step_and(copy), lambda: step_and(save))
    rounds = []
    for _ in range(options.rounds):
        seconds = []
        for kind in kinds:
            seconds.append(time_steps(kind, group.barrier, options.seconds, group.broadcast))
            finish()
        rounds.append((seconds[0], seconds[1], seconds[2]))
    return rounds, asked, len(seen)


def main() -> None:
    """Measure, print, and keep the rows."""
    options = workload_parser(__doc__, seconds=2.0, rounds=5).parse_args()
    group, rows = connect(), []
    for workload in options.workloads or ("wide",):
        parts, _ = build(workload, options.optimizer, WORKLOADS[workload].rows * group.world_size, group)
        folder = Path(tempfile.mkdtemp(prefix="dpnet-checkpoint-"))
        saver = None
        if group.rank == 0:
            saver = Saver(CheckpointFolder(folder, keep_last=2), max_failed=1, tell=print)
        rounds, asked, written = measure(parts, group, saver, folder, options)
        if saver is not None:
            saver.close()
        shutil.rmtree(folder)
        if group.rank == 0:
            plain_s, copying_s, saving_s = (statistics.median(column) for column in zip(*rounds, strict=True))
            price = summary([saving / copying for _, copying, saving in rounds])
            print(f"{workload}, {options.optimizer}, {group.world_size} ranks: {plain_s * 1e3:.2f} ms a step, ", end="")
            print(f"{copying_s * 1e3:.2f} ms with a copy, {saving_s * 1e3:.2f} ms with a checkpoint; ", end="")
            print(f"checkpoint/copy {price['median']:.3f} ({price['least']:.3f} to {price['greatest']:.3f}); ", end="")
            print(f"{written} of {asked} were written meanwhile")
            rows.append(
                {"workload": workload, "optimizer": options.optimizer, "ranks": group.world_size}
                | {
                    "step_s": plain_s,
                    "with_copy_s": copying_s,
                    "with_checkpoint_s": saving_s,
                    "checkpoint_per_copy": price,
                    "asked": asked,
                    "written": written,
                }
            )
    if group.rank == 0:
        print(f"{machine()}; kept in {keep('checkpoint', rows)}")


if __name__ == "__main__":
    main()
