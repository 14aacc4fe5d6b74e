"""Tables that may be larger than memory: all ranks read them together, once, into the spool of a conversion.

    rank 0        rank 1        rank 2            a round
    piece 0       piece 1       piece 2           each reads its piece, by Arrow, and writes it as columns

What a column of text holds is known when all pieces were read. Where a piece took 0 and 1 for numbers, and the column
is text, that piece is read again.
"""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import World
from dpnet.config.data import DataConfig
from dpnet.conversion.meter import Meter
from dpnet.conversion.stop import ADVICE, Stop
from dpnet.data.converted.manifest import Manifest
from dpnet.data.converted.spool import Spool, Stored, begin_spool
from dpnet.data.in_parts import reading_in_parts
from dpnet.data.tables.column import guarded_arrow
from dpnet.data.tables.columns import Table
from dpnet.data.tables.files import is_table, is_text, read_names, read_table
from dpnet.data.tables.pieces import row_blocks
from dpnet.data.tables.pieces.interface import Pieces
from dpnet.data.tables.pieces.spooled import Spooled, SpooledTable, converts, joined_type
from dpnet.data.tables.pieces.stored import stored_pieces
from dpnet.data.tables.pieces.text_blocks import TextBlocks
from dpnet.data.tables.roles import Roles, find_roles
from dpnet.data.tables.text.file import open_text
from dpnet.data.tables.text.quotes import check_quotes
from dpnet.errors import DataError
from dpnet.files import writing


def spool_tables(
    section: DataConfig, folder: Path, outline: Manifest, group: World, stop: Stop
) -> dict[str, SpooledTable]:
    """Read the tables that a job names; collective.

    Args:
        section: of the job.
        folder: of the conversion.
        outline: of the conversion; pieces that an earlier start of another one has left are removed.
        group: all ranks.
        stop: is asked after each round.

    Returns:
        each table, by its path; none if the source is no table.

    Raises:
        DataError: a table cannot be read, or a column is missing.
        OutputError: the folder cannot be written.
        ConfigError: pyarrow is not installed.
        Preempted: a signal came.
    """
    path = os.path.expanduser(section.source)
    if not is_table(path):
        return {}
    names, roles = everywhere(group, lambda: _names(path, section))
    labels = [roles.target] if outline.task == "classification" else []
    on_root(group, lambda: _begin(folder, outline))
    found = {
        path: _Reading(path, Spool(folder, 0, group.rank), group, stop).read(roles.texts, labels, header=names.header)
    }
    for number, value in enumerate((section.validation, section.test), 1):
        other = os.path.expanduser(value) if isinstance(value, str) else ""
        if is_table(other) and other not in found and (trained := found[path]) is not None:
            of_text = everywhere(group, lambda: _texts(path, trained, roles, names))
            reading = _Reading(other, Spool(folder, number, group.rank), group, stop)
            found[other] = reading.read(of_text, labels, header=names.header)
    return {one: table for one, table in found.items() if table is not None}


def _begin(folder: Path, outline: Manifest) -> None:
    with writing(folder, ADVICE):
        record = outline.record()
        begin_spool(folder, {**record, "source": record["source"]["files"], "block_bytes": row_blocks.BLOCK_BYTES})


def _names(path: str, section: DataConfig) -> tuple[Table, Roles]:
    """The columns of the training data without a row, and what they are."""
    names = read_names(path, header=section.header)
    return names, find_roles(section, names)


def _texts(path: str, trained: SpooledTable, roles: Roles, names: Table) -> list[str]:
    """What `Schema.texts` of the training data will be: the columns of other tables that are to be taken as text."""
    header = names.header if is_text(path) else None
    with reading_in_parts({path: trained}):
        columns = read_table(path, as_text=roles.texts, verbatim=roles.verbatim, header=header).columns
        inputs = [name for name in roles.inputs if columns[name].kind == "text"]
        of_target = [roles.target] if columns[roles.target].kind == "text" else []
    return [*inputs, *of_target, *roles.verbatim]


class _Reading:
    """The work of all ranks on one table.

    Args:
        path: of the table.
        spool: where its pieces are written.
        group: all ranks.
        stop: see `spool_tables`.
    """

    def __init__(self, path: str, spool: Spool, group: World, stop: Stop) -> None:
        self._path, self._spool, self._group, self._stop = path, spool, group, stop

    def read(self, as_text: Sequence[str], labels: Sequence[str], *, header: bool) -> SpooledTable | None:
        """Read all pieces; collective. None: the table has no row.

        Args:
            as_text: of a file of text, see TextBlock.
            labels: see there.
            header: of a file of text, see `open_text`.
        """
        pieces = everywhere(self._group, lambda: self._pieces(as_text, labels, header=header))
        stored = self._all(pieces)
        while True:
            tables = everywhere(self._group, lambda: self._mapped(stored))  # noqa: B023  # It is called at once.
            schema = _schema_of(tables)
            odd = _odd(tables, schema)
            if not any(odd):
                break
            stored = self._again(pieces, stored, tables, odd)
        if not sum(table.num_rows for table in tables):
            return None
        found = Spooled(tables, schema)
        if isinstance(pieces, TextBlocks):
            everywhere(self._group, lambda: self._check_quotes(pieces, tables, found))
        return SpooledTable(found, pieces.parts)

    def _pieces(self, as_text: Sequence[str], labels: Sequence[str], *, header: bool) -> Pieces:
        if not is_text(self._path):
            return stored_pieces(self._path)
        with guarded_arrow(self._path):
            return TextBlocks(open_text(self._path, header=header), as_text, labels)

    def _all(self, pieces: Pieces) -> list[Stored]:
        """Where each piece lies, once it was read."""
        group, iterator, mine, numbers = self._group, iter(pieces), dict[int, Stored](), itertools.count()
        listed = on_root(group, self._listed)

        def work() -> tuple[int, bool]:
            """A piece for each rank, of which this rank reads its own; returns their bytes, and whether they end."""
            num_bytes = 0
            for _ in range(group.world_size):
                if (piece := next(iterator, None)) is None:
                    return num_bytes, True
                number, num_bytes = next(numbers), num_bytes + piece.num_bytes
                if number % group.world_size == group.rank:
                    mine[number] = self._kept(listed.get(number)) or self._write(number, piece.tables())
            return num_bytes, False

        with Meter(group, f"reading {self._path}", pieces.num_bytes) as meter:
            ended = [False]
            while not any(ended):
                num_bytes, mine_ended = everywhere(group, work)
                meter.add(num_bytes)
                self._stop.check()
                ended = group.allgather(mine_ended)
        if len(set(group.allgather(next(numbers)))) > 1:
            raise DataError(f"{self._path} changed while it was read; convert it once nobody writes it.", agreed=True)
        return self._shared(mine)

    def _listed(self) -> dict[int, Stored]:
        with writing(self._spool.folder):
            return self._spool.listed()

    def _kept(self, stored: Stored | None) -> Stored | None:
        """A piece that an earlier start has read, if it is what was written then."""
        with guarded_arrow(str(self._spool.folder)):
            return stored if stored is not None and self._spool.is_whole(stored) else None

    def _write(self, number: int, tables: Iterable[Any]) -> Stored:
        with writing(self._spool.folder, ADVICE):
            return self._spool.write(number, tables)

    def _shared(self, mine: dict[int, Stored], before: Mapping[int, Stored] | None = None) -> list[Stored]:
        """All pieces, in order: those of all ranks, in the place of those that were there before; collective."""
        found = dict(before or {})
        for of_rank in self._group.allgather(mine):
            found |= of_rank
        return [found[number] for number in sorted(found)]

    def _mapped(self, stored: Sequence[Stored]) -> list[Any]:
        with guarded_arrow(str(self._spool.folder)):
            return self._spool.mapped([one for one in stored if one.num_bytes])

    def _again(
        self, pieces: Pieces, stored: Sequence[Stored], tables: Sequence[Any], odd: Sequence[dict[str, Any]]
    ) -> list[Stored]:
        """Read columns of some pieces again, as other types; returns where all pieces lie then; collective.

        Args:
            pieces: of a file of text.
            stored: where each lies.
            tables: what each holds.
            odd: for each its columns that are to be read again, with their types.
        """
        assert isinstance(pieces, TextBlocks)

        def work() -> dict[int, Stored]:
            mine = {}
            for number, block in enumerate(pieces):
                if odd[number] and number % self._group.world_size == self._group.rank:
                    table = tables[number]
                    for name, column in block.again(odd[number]).items():
                        table = table.set_column(table.column_names.index(name), name, column)
                    mine[number] = self._write(number, [table])
            return mine

        return self._shared(everywhere(self._group, work), dict(enumerate(stored)))

    def _check_quotes(self, pieces: TextBlocks, tables: Sequence[Any], whole: Spooled) -> None:
        """Look for quotation marks that swallow rows in the pieces of this rank."""
        first = 0
        for number, table in enumerate(tables):
            if number % self._group.world_size == self._group.rank:
                with guarded_arrow(self._path):
                    rows = whole.slice(first, table.num_rows).table()
                    check_quotes(pieces.text, rows, first, is_last=number == len(tables) - 1)
            first += table.num_rows


def _schema_of(tables: Sequence[Any]) -> Any:
    """The columns of all pieces, each with its type as a whole."""
    arrow = importlib.import_module("pyarrow")
    names = tables[0].column_names if tables else []
    kinds = [joined_type([table.schema.field(place).type for table in tables]) for place in range(len(names))]
    return arrow.schema(list(zip(names, kinds, strict=True)))


def _odd(tables: Sequence[Any], schema: Any) -> list[dict[str, Any]]:
    """For each piece its columns whose values are not those of the type as a whole, with that type."""
    return [
        {
            field.name: field.type
            for field, seen in zip(schema, table.schema, strict=True)
            if not converts(seen.type, field.type)
        }
        for table in tables
    ]
