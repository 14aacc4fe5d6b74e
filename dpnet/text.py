"""Words for messages: lists, numbers of things, long values cut short, tables, lines that fit a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence

from dpnet.environment import COLUMNS, launched, opened_terminal_of_mpirun

DEFAULT_COLUMNS = 80
CODE = " " * 4
"""Lines of messages that begin so are lines of a program, to be copied."""
_PROGRAM = r"(?:dpnet(?= [a-z])|mpirun|mpiexec|srun|pip|git|python3?|env|ulimit)"
_ARGUMENT = r"(?:--?[\w-]+ [^\s;,-][^\s;,]*|-[^\s;,]+|[A-Z\d][^\s;,]*|[^\s;,]*[=./\[][^\s;,]*)"
_WHOLE = re.compile(
    rf"""(?:(?<!\S)[a-z]+\.[a-z_]+ = (?:"[^"]*"|\[[^\]]*\]|[\w.]+)|"[^"]*"|(?<!\w)'[^']*'(?!\w)|(?<=\w)\([^()]*\)"""
    rf"""|(?<!\S){_PROGRAM}(?: [a-z]+)?(?: {_ARGUMENT})*(?!\w)|(?<!\S)--?[\w-]+ [^\s-]\S*|\S)+"""
)
"""What is not broken: a setting, what is quoted, a call, a command and its arguments, an option and its value."""


def words(items: Sequence[str], conjunction: str) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = items
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def listed(names: Iterable[str], limit: int = 8) -> str:
    """`names`, sorted and joined for a message; only the first `limit`, and "nothing" for none."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + rest if ordered else "nothing"


def shorten(text: str, limit: int = 60) -> str:
    """The text, cut off at `limit` characters if it is too long for a message."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def first_words(text: str) -> str:
    """The beginning of a page, up to the first line break, comma or zero byte, with single spaces."""
    return " ".join(re.split(r"[\0\n,]", text, maxsplit=1)[0].split())


def counted(number: int, noun: str) -> str:
    """`1 rank`, `2 ranks`, `1,797 samples`, `2 categories`."""
    several = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
    return f"{number:,} {noun if number == 1 else several}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; the first is aligned left, the others right."""
    lines = [list(header), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def broken(line: str, columns: int) -> list[str]:
    """A line of text, broken between words where it is longer than `columns`; what is to be copied stays whole."""
    indent = " " * (len(line) - len(line.lstrip()))
    if len(line) <= columns or line.startswith(CODE) or (indent and re.match(rf" +{_PROGRAM} ", line)):
        return [line]
    lines, before, start, end = [], "", 0, 0
    for piece in _WHOLE.finditer(line):
        if end and len(before) + piece.end() - start > columns:
            lines.append(before + line[start:end])
            before, start = indent + "  ", piece.start()
        end = piece.end()
    return [*lines, before + line[start:end]]


def fitted(text: str, columns: int) -> str:
    """Lines of text, each broken as by `broken`."""
    return "\n".join(part for line in text.split("\n") for part in broken(line, columns))


def complain(text: str) -> None:
    """Print an error, a warning or a note on the standard error: fitted to its terminal, and as it is elsewhere.

    What a rank prints there gets to the standard error of mpirun or of `dpnet launch`, which may be a terminal.
    """
    if sys.stderr is None:
        return  # The shell has closed it.
    print(_fitted_to(2, text), file=sys.stderr, flush=True)


def for_output(text: str) -> str:
    """A text for the standard output: fitted to its terminal, and as it is elsewhere."""
    return text if sys.stdout is None else _fitted_to(1, text)


def _fitted_to(descriptor: int, text: str) -> str:
    columns = _columns_of_standard(descriptor)
    return text if columns is None else fitted(text, columns)


def _columns_of_standard(number: int) -> int | None:
    try:
        stream = (sys.stdout, sys.stderr)[number - 1]
        is_alone = not launched().size_name  # Open MPI's mpirun gives a rank a terminal of its own for its output.
        if stream.isatty() and (is_alone or number == 2):
            return columns_of(stream.fileno())
        if number == 2 and (columns := os.environ.get(COLUMNS)) is not None:
            return int(columns) if columns.isdecimal() else None
        if (descriptor := opened_terminal_of_mpirun(number)) is None:
            return None
        try:
            return columns_of(descriptor)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return None


def columns_of(descriptor: int) -> int:
    """The width of a terminal, now.

    Raises:
        OSError: it is none.
    """
    return os.get_terminal_size(descriptor).columns or DEFAULT_COLUMNS
