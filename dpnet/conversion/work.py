"""The work of all ranks on a conversion, round by round.

    rank 0        rank 1        rank 2            a round
    chunk 0       chunk 1       chunk 2           each reads its chunk, hashes, measures and writes it, in one pass
      └─────────────┼─────────────┘
    Moments so far, sums so far                   one after the other, in the order of the chunks: the same bits always

Of a compressed file a rank takes several adjacent chunks in a round, one at a time, so that no two ranks unpack the
same (`turns`). After each chunk all ranks know whether one of them failed, so a full disk ends the work at once. What
was written is listed beside the data, and the same conversion, started again on any number of ranks, goes on there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import World
from dpnet.conversion.meter import Meter
from dpnet.conversion.stop import ADVICE, Stop
from dpnet.conversion.turns import adjacent, rounds
from dpnet.data.converted.chunk import ConvertedChunk, convert_chunk, keep_chunk, statistics_array, together
from dpnet.data.converted.manifest import Manifest, StoredArray, StoredSplit
from dpnet.data.converted.plan import small_arrays
from dpnet.data.converted.reader import array_sum
from dpnet.data.converted.unfinished import RowWriter, Sums, Unfinished
from dpnet.data.sources import Opened
from dpnet.data.split import Split
from dpnet.data.statistics import chunks
from dpnet.files import writing
from dpnet.training.announce import doing


class Work:
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

    def run(self, written: Sums, stop: Stop, *, check: bool) -> dict[str, ConvertedChunk]:
        """Convert all chunks that are not there yet; returns what was found of each split.

        Raises:
            Preempted: a signal came to some rank.
        """
        whole: dict[str, ConvertedChunk] = {}
        with Meter(self._group, f"converting {self._plan.source['path']}", self.num_bytes) as meter:
            for name, split in self._found.splits.items():
                self._first_row(name, split)
                self._sums[name] = []

                def told(rows: int, row_bytes: int = split.features * split.inputs.itemsize) -> None:
                    meter.add(rows * row_bytes)
                    stop.check()

                for parts in self._rounds(name, split, written, told, check=check):
                    before = [whole[name]] if name in whole else []
                    whole[name] = together([*before, *parts])
                    self._sums[name] += [part.sha256 for part in parts]
                    self.kept += sum(part.kept for part in parts)
        return whole

    def _rounds(
        self, name: str, split: Split, written: Sums, told: Callable[[int], None], *, check: bool
    ) -> Iterator[list[ConvertedChunk]]:
        """The chunks of a split, round by round; `told` is called when all ranks have done one, with all their rows."""
        group, all_chunks = self._group, chunks(len(split))

        def work(number: int | None) -> ConvertedChunk | None:
            if number is None:
                return None
            with writing(self._folder, ADVICE):
                if (expected := written.get((name, number))) is not None:
                    kept = keep_chunk(self.unfinished, name, split, number, expected, check=check)
                    if kept is not None:
                        return kept
                return convert_chunk(self.unfinished, name, split, number, check=check)

        for turns in rounds(len(all_chunks), group.world_size, adjacent(split, group.world_size)):
            mine = []
            for numbers in turns:
                mine.append(everywhere(group, lambda: work(numbers[group.rank])))  # noqa: B023  # It is called at once.
                told(sum(stop - start for start, stop in (all_chunks[one] for one in numbers if one is not None)))
            yield [part for parts in group.allgather(mine) for part in parts if part is not None]

    def _first_row(self, name: str, split: Split) -> None:
        """Put the first row in its place: all statistics count from it, also those of what an earlier start wrote."""

        def work() -> None:
            path, shape = self.unfinished.path(name, "inputs"), (len(split), split.features)
            with writing(self._folder, ADVICE), RowWriter(path, split.inputs.dtype, shape, 0) as writer:
                writer.write(split.block(0, 1))

        on_root(self._group, work)

    def finish(self, done: Mapping[str, ConvertedChunk]) -> None:
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

    def _write_small(self, name: str, split: Split, done: ConvertedChunk) -> StoredSplit:
        arrays = {**small_arrays(split), "statistics": statistics_array(done)}
        for kind, array in arrays.items():
            self.unfinished.write_array(name, kind, array)
        stored = self._plan.splits[name]
        found = replace(stored.arrays["inputs"], sha256=tuple(self._sums[name]))
        of_statistics = StoredArray("<f8", arrays["statistics"].shape, (array_sum(arrays["statistics"]),))
        return replace(stored, arrays={**stored.arrays, "inputs": found, "statistics": of_statistics})
