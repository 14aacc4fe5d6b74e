"""`dpnet data convert`: all ranks together turn a source into converted data; see `work` for how they share it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.alike import check_alike
from dpnet.comm.group import World
from dpnet.config.file import to_settings
from dpnet.config.job import Job
from dpnet.conversion.claim import claim, removing
from dpnet.conversion.meter import Meter
from dpnet.conversion.stop import Stop
from dpnet.conversion.tables import spool_tables
from dpnet.conversion.work import Work
from dpnet.data.converted.chunk import ConvertedChunk
from dpnet.data.converted.manifest import Manifest
from dpnet.data.converted.origin import origin_changes, origin_of
from dpnet.data.converted.plan import outline_of, plan_of
from dpnet.data.converted.start import start
from dpnet.data.in_parts import reading_in_parts
from dpnet.data.sources import DataSource, Opened, number_source, open_source, open_splits
from dpnet.data.too_many_classes import check_classes
from dpnet.errors import ConfigError, DataError, DpnetError
from dpnet.output.lock import Lock
from dpnet.output.screen import opened
from dpnet.resilience.signals import StopSignals
from dpnet.training.announce import aside, doing
from dpnet.training.verify import verify_inputs

STOPPING = "stopping after this piece; a second signal ends at once"


@dataclass(frozen=True)
class Conversion:
    """What a conversion has come to.

    Attributes:
        path: of the folder.
        source: the data.
        splits: what was found of each split, by name; empty: they had been converted before.
        num_bytes: of all inputs.
        seconds: that it took.
        kept: chunks that an earlier start had converted.
    """

    path: Path
    source: DataSource
    splits: Mapping[str, ConvertedChunk]
    num_bytes: int
    seconds: float
    kept: int = 0


def convert(job: Job, dest: str, group: World) -> Conversion:
    """Convert the data of a job; collective.

    Args:
        job: says what the data are and how they are read, and the task: what their labels are.
        dest: the folder to write; ~ is the home folder. It may hold the same conversion, whole or not.
        group: all ranks.

    Raises:
        DataError: the data cannot be read or trained on, or changed since an earlier start; or `dest` holds something
            else.
        OutputError: `dest` cannot be written.
        Preempted: a signal ended the work, which goes on when it is started again.
        ConfigError: what reads the data is not installed; or ranks were given different arguments, or found other data.
    """
    check_alike(group, {"the call": "convert", "the destination": dest, **to_settings(job)})
    begin_s, folder, section = time.monotonic(), Path(os.path.expanduser(dest)), job.data
    with opened(job.output.progress), contextlib.ExitStack() as stack:
        origin = on_root(group, lambda: origin_of(section.source, section))
        lock = Lock(folder)
        stack.callback(lock.release)
        outline = outline_of(job, origin)
        claimed = on_root(group, lambda: claim(folder, outline, lock))
        if claimed.is_whole:
            return _verify(job, folder, group)
        signals = stack.enter_context(StopSignals(job.resilience.signals, lambda _: aside(group, STOPPING)))
        signals.catch_interrupts()
        stop = Stop(folder, group, signals, job.resilience.preempted_exit_code)
        with removing(claimed, group, DataError, ConfigError):
            found, source, plan = _open(job, folder, outline, group, stop)
        work = Work(folder, found, plan, group)
        with removing(claimed, group, DpnetError):
            begun = on_root(group, lambda: start(folder, plan, work.unfinished))
        with removing(claimed, group, DataError):
            done = work.run(begun, stop, check=section.check)
        on_root(group, lambda: _refuse_changes(folder, origin_changes(origin, origin_of(section.source, section))))
        work.finish(done)
    return Conversion(folder, source, done, work.num_bytes, time.monotonic() - begin_s, work.kept)


def _open(job: Job, folder: Path, outline: Manifest, group: World, stop: Stop) -> tuple[Opened, DataSource, Manifest]:
    """The data as they are, and numbered; and what will be written of them."""
    section = job.data
    tables = spool_tables(section, folder, outline, group, stop)
    with doing(group, f"reading the data {section.source}"), reading_in_parts(tables):
        found = everywhere(group, lambda: open_splits(section.source, section, job.train.seed, job.model.task))
        source = everywhere(group, lambda: check_classes(number_source(section.source, found, section)))
    plan = everywhere(group, lambda: plan_of(outline, found))
    check_alike(group, _shapes(plan))
    return found, source, plan


def _verify(job: Job, folder: Path, group: World) -> Conversion:
    """Look at what had been converted before; raises DataError if a file is missing or damaged."""
    seed, task = job.train.seed, job.model.task
    source = everywhere(group, lambda: open_source(str(folder), job.data, seed=seed, task=task))
    total = sum(split.inputs.nbytes for split in source.splits.values())
    with Meter(group, f"checking {folder}", total) as meter:
        for split in source.splits.values():
            verify_inputs(split, group, lambda size: meter.add(size * group.world_size))
    return Conversion(folder, source, {}, total, 0.0)


def _shapes(plan: Manifest) -> dict[str, str | None]:
    """What ranks must have found alike, as an error shows it."""
    return {
        f"the {name} data of {plan.source['path']}": ", ".join(
            f"{kind} {array.dtype} {array.shape} {''.join(array.sha256)[:12]}" for kind, array in split.arrays.items()
        )
        for name, split in plan.splits.items()
    }


def _refuse_changes(folder: Path, changes: list[str]) -> None:
    if changes:
        raise DataError(
            f"The source changed while it was converted: {changes[0]}. {folder} holds some rows of before and some of "
            "after: remove it, and convert the data again."
        )
