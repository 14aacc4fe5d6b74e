"""`dpnet data convert`: all ranks together turn a source into converted data.

    rank 0        rank 1        rank 2            a round
    chunk 0       chunk 1       chunk 2           each reads its chunk, hashes, measures and writes it, in one pass
      └─────────────┼─────────────┘
    Moments so far, sums so far                   one after the other, in the order of the chunks: the same bits always

After each round all ranks know whether one of them failed, so a full disk ends the work at once. What was written is
listed beside the data, and the same conversion, started again on any number of ranks, goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.alike import check_alike
from dpnet.comm.group import World
from dpnet.config.file import to_settings
from dpnet.config.job import Job
from dpnet.conversion.meter import Meter
from dpnet.data.converted.chunk import Converted, convert_chunk, keep_chunk, statistics_array, together
from dpnet.data.converted.manifest import MANIFEST, Manifest, StoredArray, StoredSplit
from dpnet.data.converted.origin import origin_changes, origin_of
from dpnet.data.converted.parse import read_manifest
from dpnet.data.converted.plan import plan_of, small_arrays
from dpnet.data.converted.reader import array_sum, read_split
from dpnet.data.converted.start import start
from dpnet.data.converted.unfinished import RowWriter, Sums, Unfinished, check_free
from dpnet.data.in_parts import reading_in_parts
from dpnet.data.sources import DataSource, Opened, check_classes, number_source, open_splits
from dpnet.data.split import Split
from dpnet.data.statistics import chunks
from dpnet.errors import DataError, DpnetError, OutputError
from dpnet.files import writing
from dpnet.output.lock import Lock, owner
from dpnet.output.screen import opened
from dpnet.training.announce import doing
from dpnet.training.verify import verify_inputs

Arrays = dict[str, npt.NDArray[Any]]
ADVICE = ". What was converted so far stays: start the same command again, and it goes on"


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
    splits: Mapping[str, Converted]
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
        work = _Work(folder, found, plan, group)
        lock = Lock(folder)
        with contextlib.ExitStack() as stack:
            stack.callback(lock.release)
            begun = on_root(group, lambda: _begin(folder, plan, work.unfinished, lock))
            if begun is None:
                work.verify()
                return Conversion(folder, source, {}, work.num_bytes, 0.0)
            done = work.run(begun, check=section.check)
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


class _Work:
    """The work of all ranks on one conversion.

    Args:
        folder: to write.
        found: the data.
        plan: see `plan.plan_of`.
        group: all ranks.

    Attributes:
        unfinished: the conversion on the disk.
        num_bytes: of all inputs.
        kept: chunks that an earlier start had converted.
    """

    def __init__(self, folder: Path, found: Opened, plan: Manifest, group: World) -> None:
        self._folder, self._found, self._plan, self._group = folder, found, plan, group
        self.unfinished = Unfinished(folder, group.rank)
        self.num_bytes = sum(split.arrays["inputs"].num_bytes for split in plan.splits.values())
        self.kept = 0
        self._sums: dict[str, list[str]] = {}

    def run(self, written: Sums, *, check: bool) -> dict[str, Converted]:
        """Convert all chunks that are not there yet; returns what was found of each split."""
        whole: dict[str, Converted] = {}
        with Meter(self._group, f"converting {self._plan.source['path']}", self.num_bytes) as meter:
            for name, split in self._found.splits.items():
                self._first_row(name, split)
                self._sums[name] = []
                for parts in self._rounds(name, split, written, check=check):
                    before = [whole[name]] if name in whole else []
                    whole[name] = together([*before, *parts])
                    self._sums[name] += [part.sha256 for part in parts]
                    self.kept += sum(part.kept for part in parts)
                    meter.add(sum(part.moments.count for part in parts) * split.features * split.inputs.itemsize)
        return whole

    def verify(self) -> None:
        """Look at what had been converted before; raises DataError if a file is missing or damaged."""
        folder, task = str(self._folder), self._found.train.task
        manifest = everywhere(self._group, lambda: read_manifest(folder))
        with Meter(self._group, f"checking {folder}", self.num_bytes) as meter:
            for name in manifest.splits:
                split = everywhere(self._group, lambda: read_split(folder, manifest, name, task))  # noqa: B023
                verify_inputs(split, self._group, lambda size: meter.add(size * self._group.world_size))

    def _rounds(self, name: str, split: Split, written: Sums, *, check: bool) -> Iterator[list[Converted]]:
        """The chunks of a split, as many at a time as there are ranks."""
        group, count = self._group, len(chunks(len(split)))

        def work(number: int) -> Converted | None:
            if number >= count:
                return None
            with writing(self._folder, ADVICE):
                if (expected := written.get((name, number))) is not None:
                    kept = keep_chunk(self.unfinished, name, split, number, expected, check=check)
                    if kept is not None:
                        return kept
                return convert_chunk(self.unfinished, name, split, number, check=check)

        for first in range(0, count, group.world_size):
            mine = first + group.rank
            done = everywhere(group, lambda: work(mine))  # noqa: B023  # It is called at once.
            yield [part for part in group.allgather(done) if part is not None]

    def _first_row(self, name: str, split: Split) -> None:
        """Put the first row in its place: all statistics count from it, also those of what an earlier start wrote."""

        def work() -> None:
            path, shape = self.unfinished.path(name, "inputs"), (len(split), split.features)
            with writing(self._folder, ADVICE), RowWriter(path, split.inputs.dtype, shape, 0) as writer:
                writer.write(split.block(0, 1))

        on_root(self._group, work)

    def finish(self, done: Mapping[str, Converted]) -> None:
        """Write what is left, and make it whole."""

        def sync() -> None:
            with writing(self._folder, ADVICE):
                self.unfinished.sync(self._found.splits)

        def end() -> None:
            with writing(self._folder, ADVICE):
                found = self._found.splits.items()
                splits = {name: self._write_small(name, split, done[name]) for name, split in found}
                self.unfinished.finish(replace(self._plan, splits=splits))

        with doing(self._group, "waiting for the disk"):
            everywhere(self._group, sync)
            on_root(self._group, end)

    def _write_small(self, name: str, split: Split, done: Converted) -> StoredSplit:
        arrays = {**small_arrays(split), "statistics": statistics_array(done)}
        for kind, array in arrays.items():
            self.unfinished.write_array(name, kind, array)
        stored = self._plan.splits[name]
        found = replace(stored.arrays["inputs"], sha256=tuple(self._sums[name]))
        of_statistics = StoredArray("<f8", arrays["statistics"].shape, (array_sum(arrays["statistics"]),))
        return replace(stored, arrays={**stored.arrays, "inputs": found, "statistics": of_statistics})
