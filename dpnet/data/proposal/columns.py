"""The columns of a table that had better be no inputs, and what each column holds, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dpnet.data.classes import label_list, label_text
from dpnet.data.tables.categories import counts_of
from dpnet.data.tables.column import Column
from dpnet.data.tables.columns import Table
from dpnet.data.tables.texts import stands_for
from dpnet.text import counted

IDENTIFIER = re.compile(r"(.*[_ -])?(?i:id|index|row|nr|no|number|key|uuid)|.*[a-z](Id|ID|Nr|No|Number|Key)")
"""Names of columns that only number the rows, if every value in them is another one."""
ROW_NAMES = re.compile(r"Unnamed: \d+(\.\d+)*|level_\d+|\.\.\.\d+|_c0|(?i:row[._ ]?names?)")
"""How pandas, readr, Spark and R call the names or numbers of rows that were saved as a column."""
IS_IDENTIFIER = "looks like identifiers"
FREE_TEXT = "looks like free text or names"
MANY = 10
"""So many rows are not numbered by chance, and so many values may well be classes."""
SHOWN = 60
"""Most columns that are described."""
FEW = 5
"""So many texts of a column are listed."""


def described(table: Table, reasons: Mapping[str, str], of_rows: str | None) -> Iterator[str]:
    """A line for each column but the target, with the reason why it is no input; `of_rows` is data.id."""
    names = {other: label_text(other) for other in list(reasons)[:SHOWN]}
    width = max(map(len, names.values()))
    for other, text in names.items():
        is_left_out = "names the rows (data.id)" if other == of_rows else "left out"
        why = f"; {is_left_out}, as it {reasons[other]}" if reasons[other] else ""
        yield f"  {text:{width}}  {_described(table.columns[other])}{why}"
    if len(reasons) > SHOWN:
        yield f"  and {len(reasons) - SHOWN:,} more"


def why_no_input(name: str, column: Column, rows: int, min_frequency: int = 1) -> str:
    """Why a column should not be an input, given data.min_frequency; empty: it should."""
    if column.kind == "other":
        return "holds neither numbers nor text"
    if column.missing is not None and column.missing.all():
        return "holds no value"
    if column.wide is not None:
        return "holds integers beyond 2**53, which a network cannot tell apart"
    if column.kind != "boolean" and (found := _of_rows(name, column, rows)):
        return found
    if column.kind == "text" and (kind := stands_for(column)[0]):
        return f"holds {kind} as text"
    return _of_free_text(column, min_frequency) if column.kind == "text" else ""


def _of_free_text(column: Column, min_frequency: int) -> str:
    """What to say of a column of too many texts, and of the key that makes categories of the frequent ones."""
    counts = counts_of(column)
    if not counts.are_free(min_frequency):
        return ""
    if (least := counts.proposed()) is None:
        return FREE_TEXT
    made = counted(len(counts.frequent(least)), "category")
    return f"{FREE_TEXT} (data.min_frequency = {least} would make it {made} and unknown)"


def _of_rows(name: str, column: Column, rows: int) -> str:
    """What to say of a column that names or numbers the rows; in rows that are sorted it would give the labels away.

    One of the names may well be NA, and be taken for a missing one.
    """
    known = column.values if column.missing is None else column.values[~column.missing]
    if 2 * len(known) <= rows or len(np.unique(known)) < len(known) or (known != np.floor(known)).any():
        return ""
    if IDENTIFIER.fullmatch(name):
        return IS_IDENTIFIER
    if ROW_NAMES.fullmatch(name):
        return IS_IDENTIFIER if column.kind == "text" else "only numbers the rows"
    counts = column.kind == "number" and len(known) == rows >= MANY and known[0] in (0, 1)
    return "only numbers the rows" if counts and (np.diff(known.astype(np.float64)) == 1).all() else ""


def left_out(reasons: Mapping[str, str]) -> dict[str, Any]:
    """The keys that leave out columns for which there is a reason. A single column of identifiers names the rows."""
    ignored = [name for name, reason in reasons.items() if reason]
    settings: dict[str, Any] = {}
    identifiers = [name for name in ignored if reasons[name] == IS_IDENTIFIER]
    if len(identifiers) == 1:
        settings["data.id"] = identifiers[0]
        ignored.remove(identifiers[0])
    return {**settings, "data.ignore": ignored} if ignored else settings


def _described(column: Column) -> str:
    gone = "" if column.missing is None else f", {counted(int(column.missing.sum()), 'value')} missing"
    if column.kind == "other":
        return column.words
    if column.kind == "text":
        texts = sorted(map(str, column.texts))
        shown = label_list(texts) if len(texts) <= FEW else f"such as {label_text(texts[0])}"
        return f"text, {len(texts):,} different: {shown}{gone}"
    known = column.values if column.missing is None else column.values[~column.missing]
    if column.kind == "boolean" or not len(known):
        return f"{column.kind}{gone}"
    return f"number, {known.min():g} to {known.max():g}{gone}"
