"""A proposal for a table: which columns are labels, which had better be no inputs, and which rows are held out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from dpnet.config.data import DataConfig
from dpnet.config.keys import of_section
from dpnet.config.model import Task
from dpnet.data.classes import label_text
from dpnet.data.parts.of_table import is_split_column, rows_of
from dpnet.data.proposal.columns import FEW, MANY, described, left_out, why_no_input
from dpnet.data.proposal.labels import labels_text, names_text, task_of
from dpnet.data.proposal.proposal import SHARES, Proposal, held_out_text
from dpnet.data.split import Split
from dpnet.data.tables.columns import Table
from dpnet.data.tables.files import is_text, read_table
from dpnet.data.tables.roles import find_targets, guess_target
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.source import open_tables
from dpnet.data.tables.text.file import look_at
from dpnet.errors import DataError
from dpnet.text import counted

NAMES_PARTS = "names parts of the data, as data.split takes them"
NO_GUESS = {f"data.{key}" for key in ("split", "id", "features", "ignore", "categorical", "test", "validation")}
"""Keys that may already say of a column that names parts what it is, or of which rows data are tested."""


def propose_table(source: str, path: str, given: Mapping[str, Any]) -> Proposal:
    """What suits a table.

    Args:
        source: as it was given.
        path: of the file.
        given: settings that are kept, by the full names of their keys; the others are guesses.

    Raises:
        DataError: the table cannot be read, or cannot be trained on in any case.
        ConfigError: pyarrow is not installed.
    """
    target, header, least = given.get("data.target"), given.get("data.header"), given.get("data.min_frequency", 1)
    head = look_at(path).head if is_text(path) else None
    if header is None and head is not None and head.names != "yes":
        header = False
    table = read_table(path, header=header)
    split = given.get("data.split")
    if not given.keys() & NO_GUESS:
        split = next((other for other, column in table.columns.items() if is_split_column(column)), None)
    reasons = {other: why_no_input(other, column, table.rows, least) for other, column in table.columns.items()}
    unlikely = [other for other, reason in reasons.items() if reason or other == split]
    names = (guess_target(table, unlikely),) if target is None else find_targets(target, table)
    split = None if split in names else split
    reasons = {other: reason for other, reason in reasons.items() if other not in names}
    settings: dict[str, Any] = {"data.source": source, **_held_out(table, split)}
    if split is not None:
        reasons[split] = "says which rows are trained on (data.split)"
    elif not given.keys() & {"data.split", "data.id", "data.categorical"}:
        reasons |= {other: NAMES_PARTS for other in reasons if is_split_column(table.columns[other])}
    settings |= {} if header is None else {"data.header": header}
    settings |= left_out({other: reason for other, reason in reasons.items() if other != split})
    if given.keys() & {"data.ignore", "data.features"}:
        reasons = dict.fromkeys(reasons, "")  # What is no input is said already.
    if any(table.columns[other].missing is not None for other, reason in reasons.items() if not reason):
        settings["data.missing"] = "mean"
    settings |= {**given, "data.target": names[0] if len(names) == 1 else target}
    task: Task = given.get("model.task") or task_of([table.columns[name] for name in names])
    if task != "classification":
        settings["model.task"] = task
    splits, schema = _fitted(settings, given, path, task, reasons)
    guessed = "" if target is not None else _doubt(path, table, names[0], task)
    lines = [
        f"{source} has {counted(table.rows, 'row')} and {counted(len(table.columns), 'column')}; {schema.text()}.",
        f"{names_text(names)}{guessed}.",
        labels_text(splits, names),
    ]
    if head is not None and not table.header:
        doubt = f"; {head.why}, which is no proof: if it holds names, dpnet init --header true" if head.why else ""
        lines.insert(1, f"The first line is taken for a sample, and the columns are called 0, 1 and so on{doubt}.")
    columns = described(table, reasons, settings.get("data.id"))
    return Proposal(settings, [*lines, *columns, *held_out_text(settings)])


def _held_out(table: Table, split: str | None) -> dict[str, Any]:
    """The keys that say which rows are held out, given the column that says it, if there is one."""
    named = set() if split is None else {f"data.{part}" for part in rows_of(table, split)}
    shares: dict[str, Any] = {key: share for key, share in SHARES.items() if key not in named}
    return shares if split is None else {"data.split": split, **shares}


def _doubt(path: str, table: Table, name: str, task: Task) -> str:
    """That the target is a guess, and what to do where it is another column."""
    first = next(iter(table.columns))
    if task == "classification" or first == name or not 1 < len(np.unique(table.columns[first].values)) <= MANY:
        return " (a guess: if it is another column, change data.target)"
    way = f"dpnet init --data {shlex.quote(path)} --target {shlex.quote(first)}"
    return f" (a guess: if it is another column, such as {label_text(first)}: {way})"


def _fitted(
    settings: dict[str, Any], given: Mapping[str, Any], path: str, task: Task, reasons: Mapping[str, str]
) -> tuple[list[Split], Schema]:
    """As `_opened`, for a job of these settings; without a share to validate with, where the rows are too few."""

    def opened() -> tuple[list[Split], Schema]:
        section = DataConfig(**of_section(settings, "data"))
        return _opened(section, path, task, reasons, guessed="data.target" not in given)

    try:
        return opened()
    except DataError as error:
        if "data.validation" in given or not str(error).startswith("data.validation"):
            raise
        del settings["data.validation"]
        return opened()


def _opened(
    section: DataConfig, path: str, task: Task, reasons: Mapping[str, str], *, guessed: bool
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
        of_another = any(f"column {other!r}" in str(error) for other in reasons)
        raise DataError(f"{error}{'' if of_another else hint}") from error
    return [split for split in splits if split is not None], schema
