"""The first lines of a file of text: what separates its cells, and whether line 1 holds names or a sample already.

    5.1,3.5,1.4,0.2,setosa     numbers above numbers: a sample, most likely
    country,2019,2020,2021     numbers in a row above numbers: years, most likely names
    length,width,species       words above numbers: names

A first line that is taken for names by mistake is a sample lost, and nobody sees it. So a doubtful one is not guessed.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np

from dpnet.data.tables.text.delimiters import best
from dpnet.errors import DataError
from dpnet.text import shorten

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None", "?")
"""What stands for a missing value as text, in all files: what pandas takes for it, and the question mark of UCI's."""
MAX_LINE = 1 << 24
"""Most characters of a line."""
HEAD_CHARACTERS = 1 << 20
HEAD_LINES = 1000
"""So much is looked at, and at least two lines."""
PLAIN = re.compile(r"[ \t]*[-+]?(?:\d+(?:\.\d*)?|\.\d+|inf|infinity|nan)(?:e[-+]?\d+)?[ \t]*", re.IGNORECASE | re.ASCII)
"""A number as programs write it, and as Arrow reads it."""
MANY = 6
"""So many numbers do not rise by chance."""
BLANKS = re.compile(r"[-–—.*_]+|\\N|unknown|missing|none|nil|null|nan|n\.?/?[ad]\.?|not available", re.IGNORECASE)
"""What people and programs write where a value is missing, beside `MISSING`."""
NO_NAME = re.compile(rf"{BLANKS.pattern}|true|false|yes", re.IGNORECASE)
"""What is hardly the name of a column; No may be short for number."""
ODD = re.compile(r"[-+<>≤≥~≈=$€£¥(\s]*\d[\d.,'’_\s]*\s?(?:[%)+]|[^\W\d_]{1,3}|°\s?[CF])?", re.IGNORECASE)
"""A number as people write it: >100, 12 kg, 1,234."""


@dataclass(frozen=True)
class Head:
    """The first lines of a file of text.

    Attributes:
        delimiter: between cells.
        skip: lines before the first that counts: empty ones, and comments.
        cells: of that line.
        names: whether these are names: "yes", "no" (a sample), or "unclear".
        why: names are unclear; in words.
        alone: no other line follows.
    """

    delimiter: str
    skip: int
    cells: list[str]
    names: Literal["yes", "no", "unclear"]
    why: str = ""
    alone: bool = False

    @property
    def shown(self) -> str:
        """The line, for a message."""
        text = self.delimiter.join(self.cells)
        return f"line {self.skip + 1} ({shorten(text if text.isprintable() else repr(text), 70)})"


def is_plain(text: str) -> bool:
    """Whether it is a number as programs write it."""
    return PLAIN.fullmatch(text) is not None


def is_number(cell: str) -> bool:
    """Whether a cell of a file of text is a number, or stands for a missing one."""
    return is_plain(cell) or cell.strip() in MISSING


def read_head(path: str, *, packed: bool) -> Head:
    """Reads the first lines of a file of text.

    Args:
        path: of the file.
        packed: by gzip.

    Raises:
        DataError: a line is too long.
        UnicodeDecodeError: the file is not UTF-8.
    """
    with gzip.open(path, "rt", encoding="utf-8-sig") if packed else open(path, encoding="utf-8-sig") as stream:
        lines = list(_first_lines(stream, path))
    delimiter, records = best(lines, path).taken()
    if not records:
        return Head(delimiter, 0, [], "yes")
    skip, cells = records[0]
    _refuse_spaces(path, [row for _, row in records])
    judged = _judged(cells, [row for _, row in records[1:] if len(row) == len(cells)])
    return Head(delimiter, skip, cells, *judged, alone=len(records) == 1)


def _refuse_spaces(path: str, records: Sequence[Sequence[str]]) -> None:
    """Refuse lines of one cell each that are several numbers, or a number and words, with spaces between."""
    pieces = [row[0].split() for row in records if len(row) == 1]
    names, widths = records[0], {len(row) for row in pieces[1:]}
    width = len(pieces[0]) if len(pieces) == len(records) > 1 else 1
    # R's write.table names the rows as well, but not their column.
    if width > 1 and widths in ({width}, {width + 1}) and all(any(map(is_plain, row)) for row in pieces[1:]):
        hint = " In R: write.csv(..., row.names = FALSE)." if '"' in names[0] or widths == {width + 1} else ""
        raise DataError(
            f"{path}: spaces seem to stand between the cells, such as {shorten(names[0].strip(), 40)!r}; expected "
            f"commas, semicolons, tabs or |. Put one of these in place of the spaces.{hint}"
        )


def _first_lines(stream: IO[str], path: str) -> Iterator[str]:
    size = number = 0
    while (size < HEAD_CHARACTERS and number < HEAD_LINES) or number < 2:
        if not (line := stream.readline(MAX_LINE)):
            return
        number += 1
        if len(line) == MAX_LINE:
            raise DataError(
                f"{path}, line {number} has more than {MAX_LINE >> 20} million characters; expected the cells of a "
                "sample. Data of so many columns are better saved by numpy: np.savez."
            )
        size += len(line)
        yield line


def _judged(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Literal["yes", "no", "unclear"], str]:
    """Whether the cells of the first line are names, by the rows below; and why that is unclear."""
    columns = [[row[place] for row in rows] for place in range(len(cells))]
    present = [place for place, cell in enumerate(cells) if cell.strip() not in MISSING]
    numbers = [place for place in present if is_number(cells[place])]
    again = [place for place in present if cells[place] in set(columns[place])]
    if len(numbers) == len(present):
        return _judged_numbers(cells, columns, set(again))
    if not rows and numbers:
        return "unclear", "no line stands below it"
    over = {place for place in present if _mostly_numbers(columns[place])}
    above, named = [place for place in numbers if place in over], over - {*numbers, *again}
    repeated = [place for place in again if place not in numbers]
    twice = [cell for cell, count in Counter(cells[place] for place in present).items() if count > 1]
    if above:
        usual = repeated or twice or set(above) <= set(again) or _usual(cells, columns, above)
        if not usual and _in_a_row([float(cells[place]) for place in numbers]):
            return "yes", ""
        return "unclear", f"numbers such as {cells[above[0]].strip()} stand in it above numbers"
    # What stands above numbers speaks for names; but in `\N,red,yes` above `5,red,no` less than the others against.
    if len({cells[place] for place in named}) > len(repeated) and not all(_is_odd(cells[place]) for place in named):
        return "yes", ""
    blank = [place for place, cell in enumerate(cells) if cell.strip() and place not in present]
    doubtful = sorted(named) or [place for place in blank if _mostly_numbers(columns[place])]
    if doubtful and not repeated:
        return "unclear", f"{shorten(repr(cells[doubtful[0]].strip()), 40)} above numbers may stand for a value"
    if repeated or twice:
        where = "in the same column below" if repeated else "in it twice"
        return "unclear", f"{shorten(repr(cells[repeated[0]] if repeated else twice[0]), 40)} stands {where}"
    if strange := [cell.strip() for cell in cells if NO_NAME.fullmatch(cell.strip())]:
        return "unclear", f"{strange[0]!r} is hardly a name"
    return "yes", ""


def _judged_numbers(
    cells: Sequence[str], columns: Sequence[Sequence[str]], again: set[int]
) -> tuple[Literal["yes", "no", "unclear"], str]:
    """The same of a line of numbers alone: a sample, but for names such as 0, 1, 2 or 400.5, 401.0, 401.5."""
    counts = len(cells) > 2 and list(cells) == [str(place) for place in range(len(cells))]
    if counts:  # As pandas names columns without a name.
        return (
            ("unclear", "it counts, but all its numbers stand below too") if len(again) == len(cells) else ("yes", "")
        )
    for place, column in enumerate(columns):
        if cells[place].strip() not in MISSING and place not in again and _mostly_words(column):
            return "unclear", f"the number {cells[place].strip()} stands in it above words"
    if len(cells) < 3 or any(cell.strip() in MISSING for cell in cells):
        return "no", ""
    values = [float(cell) for cell in cells]
    below = [[float(cell) for cell in column if is_plain(cell)] for column in columns]
    usual = [min(known) <= value <= max(known) for value, known in zip(values, below, strict=True) if known]
    if _in_a_row(values) and 2 * sum(usual) < len(values):
        return "unclear", "its numbers stand in a row, as names do"
    return "no", ""


def _is_odd(cell: str) -> bool:
    """Whether a cell above numbers may well be one of them, and no name: it stands for a missing one, or has a unit."""
    return BLANKS.fullmatch(cell.strip()) is not None or ODD.fullmatch(cell) is not None


def _usual(cells: Sequence[str], columns: Sequence[Sequence[str]], above: Sequence[int]) -> bool:
    """Whether a few numbers, and no years, are as those below them."""
    if len(above) >= MANY or all(1900 <= float(cells[place]) <= 2100 for place in above):
        return False
    below = [[float(cell) for cell in columns[place] if is_plain(cell)] for place in above]
    within = [min(known) <= float(cells[place]) <= max(known) for place, known in zip(above, below, strict=True)]
    return 2 * sum(within) > len(above)


def _mostly_numbers(column: Sequence[str]) -> bool:
    known = [cell for cell in column if cell.strip() not in MISSING]
    return 2 * sum(map(is_plain, known)) > len(known)


def _mostly_words(column: Sequence[str]) -> bool:
    known = [cell for cell in column if cell.strip() not in MISSING]
    return 2 * sum(map(is_plain, known)) < len(known)


def _in_a_row(values: Sequence[float]) -> bool:
    """Whether numbers follow each other as years or wavelengths do."""
    steps = np.diff(values)
    if not len(steps) or not (np.isfinite(steps).all() and ((steps > 0).all() or (steps < 0).all())):
        return False
    alike = np.ptp(steps) <= 0.01 * abs(steps).max()
    return bool(len(values) >= MANY or (alike and (len(values) > 2 or abs(steps[0]) == 1)))
