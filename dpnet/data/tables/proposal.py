"""What a job file should say of a table: which column is the target, and which columns had better be no inputs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpnet.config.data import DataConfig
from dpnet.config.keys import of_section
from dpnet.config.model import Task
from dpnet.data.classes import label_list, label_text
from dpnet.data.parts.of_table import is_split_column, rows_of
from dpnet.data.split import Split
from dpnet.data.tables.column import Column
from dpnet.data.tables.columns import Table
from dpnet.data.tables.files import is_text, read_table
from dpnet.data.tables.fit import MAX_DETECTED
from dpnet.data.tables.labels.guess import labels_text, names_text, task_of
from dpnet.data.tables.roles import find_targets, guess_target
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.source import open_tables
from dpnet.data.tables.textfile import look_at
from dpnet.data.tables.texts import stands_for
from dpnet.errors import DataError
from dpnet.text import counted

IDENTIFIER = re.compile(r"(.*[_ -])?(?i:id|index|row|nr|no|number|key|uuid)|.*[a-z](Id|ID|Nr|No|Number|Key)")
"""Names of columns that only number the rows, if every value in them is another one."""
ROW_NAMES = re.compile(r"Unnamed: \d+(\.\d+)*|level_\d+|\.\.\.\d+|_c0|(?i:row[._ ]?names?)")
"""How pandas, readr, Spark and R call the names or numbers of rows that were saved as a column."""
IS_IDENTIFIER = "looks like identifiers"
MANY = 10
"""So many rows are not numbered by chance, and so many values may well be classes."""
SHOWN = 60
"""Most columns that are described."""
FEW = 5
"""So many texts of a column are listed."""
TEST_SHARE = 0.2
"""Share of the rows that is held out."""


@dataclass(frozen=True)
class Proposal:
    """What a job file should say.

    Attributes:
        settings: values by the full names of their keys.
        lines: what was found, to stand above them.
    """

    settings: dict[str, Any]
    lines: list[str]


def propose_table(source: str, path: str, given: Mapping[str, Any]) -> Proposal:
    """What suits a table.

    Args:
        source: as it was given.
        path: of the file.
        given: settings that are kept, by the full names of their keys. Without data.target it is a column of a usual
            name, else the last; without data.header it is a guess.

    Raises:
        DataError: the table cannot be read, or cannot be trained on in any case.
        ConfigError: pyarrow is not installed.
    """
    target, header = given.get("data.target"), given.get("data.header")
    head = look_at(path).head if is_text(path) else None
    if header is None and head is not None and head.names != "yes":
        header = False
    table = read_table(path, header=header)
    split = next((other for other, column in table.columns.items() if is_split_column(column)), None)
    split = given.get("data.split", split)
    targets = (guess_target(table, but=split),) if target is None else find_targets(target, table)
    split = None if split in targets else split
    others = [other for other in table.columns if other not in targets]
    reasons = {other: _reason(other, table.columns[other], table.rows) for other in others}
    named = targets[0] if len(targets) == 1 else target
    settings: dict[str, Any] = {"data.source": source, "data.target": named, **_held_out(table, split)}
    if split is not None:
        reasons[split] = "says which rows are trained on (data.split)"
    if header is not None:
        settings["data.header"] = header
    settings |= _left_out({other: reason for other, reason in reasons.items() if other != split})
    if given.keys() & {"data.ignore", "data.features"}:
        reasons = dict.fromkeys(reasons, "")  # What is no input is said already.
    if any(table.columns[other].missing is not None for other, reason in reasons.items() if not reason):
        settings["data.missing"] = "mean"
    settings |= {**given, "data.target": named}
    section = DataConfig(**of_section(settings, "data"))
    task: Task = given.get("model.task") or task_of([table.columns[name] for name in targets])
    if task != "classification":
        settings["model.task"] = task
    splits, schema = _opened(section, path, task, reasons, guessed=target is None)
    guessed = "" if target is not None else _doubt(path, table, targets[0], task)
    lines = [
        f"{source} has {counted(table.rows, 'row')} and {counted(len(table.columns), 'column')}; {schema.text()}.",
        f"{names_text(targets)}{guessed}.",
        labels_text(splits),
    ]
    if head is not None and not table.header:
        doubt = f"; {head.why}, which is no proof: if it holds names, dpnet init --header true" if head.why else ""
        lines.insert(1, f"The first line is taken for a sample, and the columns are called 0, 1 and so on{doubt}.")
    return Proposal(settings, [*lines, *_columns(table, reasons)])


def _left_out(reasons: Mapping[str, str]) -> dict[str, Any]:
    """The keys that leave out columns for which there is a reason. A single column of identifiers names the rows."""
    ignored = [name for name, reason in reasons.items() if reason]
    settings: dict[str, Any] = {}
    identifiers = [name for name in ignored if reasons[name] == IS_IDENTIFIER]
    if len(identifiers) == 1:
        settings["data.id"] = identifiers[0]
        ignored.remove(identifiers[0])
    return {**settings, "data.ignore": ignored} if ignored else settings


def _held_out(table: Table, split: str | None) -> dict[str, Any]:
    """The keys that say which rows are held out, given the column that says it, if there is one."""
    share = {} if split is not None and "test" in rows_of(table, split) else {"data.test": TEST_SHARE}
    return share if split is None else {"data.split": split, **share}


def _columns(table: Table, reasons: dict[str, str]) -> Iterator[str]:
    """A line for each column but the target, with the reason why it is no input."""
    names = {other: label_text(other) for other in list(reasons)[:SHOWN]}
    width = max(map(len, names.values()))
    for other, text in names.items():
        why = f"; left out, as it {reasons[other]}" if reasons[other] else ""
        yield f"  {text:{width}}  {_described(table.columns[other])}{why}"
    if len(reasons) > SHOWN:
        yield f"  and {len(reasons) - SHOWN:,} more"


def _doubt(path: str, table: Table, name: str, task: Task) -> str:
    """That the target is a guess, and what to do where it is another column."""
    first = next(iter(table.columns))
    if task == "classification" or first == name or not 1 < len(np.unique(table.columns[first].values)) <= MANY:
        return " (a guess: if it is another column, change data.target)"
    way = f"dpnet init --data {shlex.quote(path)} --target {shlex.quote(first)}"
    return f" (a guess: if it is another column, such as {label_text(first)}: {way})"


def _opened(
    section: DataConfig, path: str, task: Task, reasons: dict[str, str], *, guessed: bool
) -> tuple[list[Split], Schema]:
    """The data as the job would train on them, the training samples first.

    Args:
        section: of the job.
        path: of the table.
        task: of the network.
        reasons: why each column but the target is left out, or "".
        guessed: nobody has said what the target is.
    """
    name = section.target
    hint, other = "", next((other for other, reason in reasons.items() if not reason), None)
    if guessed and other is not None:
        hint = (
            f"\nThe target, column {name!r}, is a guess; if it is another: dpnet init --data {shlex.quote(path)} "
            f"--target {shlex.quote(other)}, for example."
        )
    if not reasons:
        seen = f"one column, {name!r}" if isinstance(name, str | int) else "no column but the targets"
        raise DataError(f"{path} has {seen}; expected inputs beside the labels.")
    if all(reasons.values()):
        others = "; ".join(f"{other!r} {reason}" for other, reason in [*reasons.items()][:FEW])
        more = f"; and {len(reasons) - FEW:,} more" if len(reasons) > FEW else ""
        raise DataError(
            f"{path}: no column is left to learn from. The target is {name!r}, and the others had better be no inputs: "
            f"{others}{more}. Make numbers or categories of them."
        )
    try:
        *splits, schema = open_tables(section, path, 0, task)
    except DataError as error:
        of_target = hint if f"column {name!r}" in str(error) else ""
        raise DataError(f"{error}{of_target}") from error
    return [split for split in splits if split is not None], schema


def _reason(name: str, column: Column, rows: int) -> str:
    """Why a column should not be an input; empty: it should."""
    if column.kind == "other":
        return "holds neither numbers nor text"
    if column.missing is not None and column.missing.all():
        return "holds no value"
    if column.wide is not None:
        return "holds integers beyond 2**53, which a network cannot tell apart"
    distinct = len(column.texts) if column.kind == "text" else 0
    if column.kind != "boolean" and (found := _of_rows(name, column, rows)):
        return found
    if column.kind == "text" and (kind := stands_for(column)[0]):
        return f"holds {kind} as text"
    if distinct > MAX_DETECTED:
        return "looks like free text or names"
    return ""


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
