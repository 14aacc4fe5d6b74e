"""`dpnet data convert`: all ranks together turn a source into converted data; see `work` for how they share it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.alike import check_alike
from dpnet.comm.group import World
from dpnet.config.file import to_settings
from dpnet.config.job import Job
from dpnet.conversion.work import Work
from dpnet.data.converted.chunk import ConvertedChunk
from dpnet.data.converted.manifest import MANIFEST, Manifest
from dpnet.data.converted.origin import origin_changes, origin_of
from dpnet.data.converted.plan import plan_of
from dpnet.data.converted.start import start
from dpnet.data.converted.unfinished import Sums, Unfinished, check_free
from dpnet.data.in_parts import reading_in_parts
from dpnet.data.sources import DataSource, check_classes, number_source, open_splits
from dpnet.errors import DataError, DpnetError, OutputError
from dpnet.files import writing
from dpnet.output.lock import Lock, owner
from dpnet.output.screen import opened
from dpnet.resilience.signals import StopSignals
from dpnet.training.announce import aside, doing

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
    with opened(job.output.progress):
        with doing(group, f"reading the data {section.source}"):
            origin = on_root(group, lambda: origin_of(section.source, section))
            with reading_in_parts():
                found = everywhere(group, lambda: open_splits(section.source, section, job.train.seed, job.model.task))
            source = everywhere(group, lambda: check_classes(number_source(section.source, found, section)))
        plan = everywhere(group, lambda: plan_of(job, found, origin))
        check_alike(group, _shapes(plan))
        work = Work(folder, found, plan, group, job.resilience.preempted_exit_code)
        lock = Lock(folder)
        with contextlib.ExitStack() as stack:
            stack.callback(lock.release)
            begun = on_root(group, lambda: _begin(folder, plan, work.unfinished, lock))
            if begun is None:
                work.verify()
                return Conversion(folder, source, {}, work.num_bytes, 0.0)
            signals = stack.enter_context(StopSignals(job.resilience.signals, lambda _: aside(group, STOPPING)))
            signals.catch_interrupts()
            done = work.run(begun, signals, check=section.check)
            on_root(group, lambda: _refuse_changes(folder, origin_changes(origin, origin_of(section.source, section))))
            work.finish(done)
    return Conversion(folder, source, done, work.num_bytes, time.monotonic() - begin_s, work.kept)


def _begin(folder: Path, plan: Manifest, unfinished: Unfinished, lock: Lock) -> Sums | None:
    """Make ready on one rank, see `start`, if no other process converts into the folder."""
    with writing(folder):
        check_free(folder)
        is_new, is_whole = not folder.exists(), (folder / MANIFEST).exists()
    if not is_whole and not lock.take(wait_s=0):
        process = owner(folder).process or "another process"
        raise OutputError(f"cannot write {folder}: a conversion into it is under way ({process})")
    lock.sign("")
    try:
        return start(folder, plan, unfinished)
    except DpnetError:
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


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
