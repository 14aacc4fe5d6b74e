"""Quotation marks that stand in a file of text by mistake, and swallow the rows up to the next one."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any

from dpnet.data.tables.text.head import is_number
from dpnet.data.tables.text.lines import Lines
from dpnet.errors import DataError
from dpnet.text import counted, shorten


def check_quotes(text: Lines, table: Any, first: int = 0, *, is_last: bool = True) -> None:
    """Refuse a quotation mark that encloses rows, and one that encloses the end of the file.

    Args:
        text: the file.
        table: some of its rows, as a table of Arrow.
        first: number of the first of them.
        is_last: they are the last rows of the file.

    Raises:
        DataError: there is such a mark.
    """
    compute, numbers = importlib.import_module("pyarrow.compute"), _numbers(table.schema)
    if not first:
        check_names(text, table.schema)
    for place, name in enumerate(table.column_names):
        if place in numbers:
            continue
        array = table.column(place)
        broken = compute.or_(compute.match_substring(array, "\n"), compute.match_substring(array, "\r"))
        for row in compute.indices_nonzero(broken).to_pylist():
            lines = _lines(array[row].as_py())
            at_end = is_last and place == table.num_columns - 1 and row == table.num_rows - 1
            never = at_end and text.is_open()
            if never or _holds_rows(text, lines, place, numbers):
                raise _quote(text, f"line {text.line(first + row)}, column {name!r}", lines, never=never)


def check_names(text: Lines, schema: Any) -> None:
    """Refuse such a mark among the names of the columns.

    Args:
        text: the file.
        schema: of Arrow: the names, and the types of the first rows or of all.

    Raises:
        DataError: there is one.
    """
    numbers = _numbers(schema)
    for place, name in enumerate(schema.names if text.header else ()):
        if _holds_rows(text, lines := _lines(name), place, numbers, of_names=True):
            where = f"line {text.head.skip + 1}, the name {shorten(repr(name), 40)}"
            raise _quote(text, where, lines, never=False)


def _numbers(schema: Any) -> set[int]:
    """The places of columns that are no text."""
    arrow = importlib.import_module("pyarrow")
    return {place for place, kind in enumerate(schema.types) if not arrow.types.is_string(kind)}


def _quote(text: Lines, where: str, lines: list[str], *, never: bool) -> DataError:
    closes = "never closes it" if never else f"closes it {counted(len(lines) - 1, 'line')} below, as one value"
    return DataError(
        f"{text.path}, {where}: a quotation mark opens the cell, and {closes}. Take the mark out; or if it is part "
        "of the text, write it twice, and quote the whole cell."
    )


def _holds_rows(text: Lines, lines: list[str], place: int, numbers: Collection[int], *, of_names: bool = False) -> bool:
    """Whether the lines of a cell are the end of its row, other rows, and the beginning of the row that it closes.

    Args:
        text: the file.
        lines: of the cell.
        place: of its column.
        numbers: places of columns of numbers.
        of_names: its row is that of the names, which are no numbers anywhere.
    """
    width, delimiter = len(text.head.cells), text.head.delimiter
    widths = [line.count(delimiter) for line in lines]
    if len(lines) == 1 or width == 1:
        return False
    if widths != [width - 1 - place, *[width - 1] * (len(lines) - 2), place]:
        return False
    # The first and the last cell are both parts of the column itself.
    cells = [cell for line in lines for cell in line.split(delimiter)]
    places = [place, *(one % width for one in range(place + 1, place + len(cells) - 1)), place]
    first = width - place if of_names else 0
    pairs = list(zip(places, cells, strict=True))[first:]
    return all(is_number(cell) for one, cell in pairs if one in numbers)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
