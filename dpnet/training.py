"""A whole training, from its configuration to its summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dpnet import threads
from dpnet.assembly import check_world_size
from dpnet.checkpoint import Checkpoint
from dpnet.checkpoints import resolve
from dpnet.comm.agree import on_root
from dpnet.comm.connect import connect
from dpnet.comm.group import Group
from dpnet.config.job import Job
from dpnet.coordinator import Coordinator, Summary
from dpnet.engine import Engine, choose_engine
from dpnet.inputs import open_data
from dpnet.resume import check_fits, choose, numerics_notes
from dpnet.rundir import RunDirectory
from dpnet.tables import training_text


def train(job: Job, group: Group | None = None, *, resume: str = "auto") -> Summary:
    """Train as the configuration says; called by every rank.

    Args:
        job: the configuration, the same on every rank.
        group: all ranks; found from the launcher's environment if not given.
        resume: "auto": go on from the newest whole checkpoint of the run directory, if there is one. "never": start
            anew; what is in the run directory is set aside. Else the path of a checkpoint to go on from.

    Returns:
        what summary.json holds.

    Raises:
        DpnetError: see `dpnet.errors`.
    """
    group = connect() if group is None else group
    on_root(group, lambda: check_world_size(job.train, group.world_size))
    engine = choose_engine(job.train, group)
    run_dir = RunDirectory(Path(job.output.dir), keep_last=job.checkpoint.keep_last)
    data = open_data(job.data, group)
    found, is_own = on_root(group, lambda: _find_checkpoint(job, group, engine, data.identity, run_dir, resume))
    coordinator = Coordinator(job, group, run_dir, data, engine, found, is_own=is_own)
    step = coordinator.progress.step
    if coordinator.finished and is_own and (summary := on_root(group, run_dir.read_summary)) is not None:
        coordinator.say(f"{run_dir.path} is complete already, {step:,} steps; to train anew: --resume never")
        return summary
    num_hosts = len(set(group.allgather(group.host)))
    coordinator.say(training_text(job, data.source, coordinator.parts, engine, group.world_size, num_hosts))
    if step:
        coordinator.say(f"going on from the checkpoint of step {step:,}")
    coordinator.prepare()
    return coordinator.run()


def _find_checkpoint(
    job: Job, group: Group, engine: Engine, identity: dict[str, Any], run_dir: RunDirectory, resume: str
) -> tuple[Checkpoint | None, bool]:
    """The checkpoint to go on from, and whether it is of this run; a new training is."""
    found = choose(resume, run_dir.checkpoints.path, print)
    if found is not None:
        notes = check_fits(found, job, identity) + numerics_notes(
            found,
            threads.numerics(engine.products.name),
            reproducible=bool(job.train.reproducible_shards),
            world_size=group.world_size,
        )
        for note in notes:
            print(f"note: {note}", flush=True)
    return found, resume in ("auto", "never") or run_dir.holds(resolve(Path(resume)))
