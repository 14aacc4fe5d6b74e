"""Which column of a table is what: the target, the name of the rows, an input, an input that is a category."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from dpnet.config.data import DataConfig
from dpnet.config.keys import setting
from dpnet.data.tables.columns import Table
from dpnet.errors import DataError
from dpnet.text import counted, listed

USUAL_TARGETS = ("target", "label", "labels", "class", "y", "species", "diagnosis", "category")


class Roles(NamedTuple):
    """What the columns of a table are.

    Attributes:
        target: column of the labels.
        keeps_labels: the labels are text, as they stand.
        id: column that names the rows; None: there is none.
        weight: column of the weights of the rows; None: there is none.
        inputs: columns that are inputs, in the order of the table.
        categorical: those of them that are categories, whatever they hold.
        split: column that says of each row whether it is trained on; None: there is none.
        more_targets: the other columns of labels, where there are several.
    """

    target: str
    keeps_labels: bool
    id: str | None
    weight: str | None
    inputs: list[str]
    categorical: set[str]
    split: str | None = None
    more_targets: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """All columns of labels, in the order of the outputs."""
        return (self.target, *self.more_targets)

    @property
    def texts(self) -> list[str]:
        """Columns to be read as text."""
        return [*self.categorical, *self.verbatim]

    @property
    def verbatim(self) -> list[str]:
        """Columns of text in which NA is no missing value."""
        return [*[self.target] * self.keeps_labels, *([] if self.id is None else [self.id])]


def find_roles(section: DataConfig, table: Table) -> Roles:
    """What the columns of a table are, as a job says.

    A pattern means inputs alone: the target is text only where data.categorical has its very name.

    Raises:
        DataError: there is no such column, one would be two things, or no input is left.
    """
    targets, name, weight, split = find_targets(section.target, table), section.id, section.weight, section.split
    for key, one in (("data.id", name), ("data.weight", weight), ("data.split", split)):
        if one is not None and one not in table.columns:
            raise no_column(table, one, key)
    if weight is not None and weight in (*targets, name):
        key = "data.target" if weight in targets else "data.id"
        raise DataError(f"data.weight and {key} are both {weight!r}; a column is one of the two: leave one key out.")
    if name in targets:
        raise DataError(
            f"data.id and data.target are both {name!r}; the column that names the rows is not that of their labels: "
            "leave data.id out."
        )
    if split is not None and split in (*targets, name, weight):
        key = "data.target" if split in targets else "data.id" if split == name else "data.weight"
        raise DataError(f"data.split and {key} are both {split!r}; a column is one of the two: leave one key out.")
    other: dict[str | None, str] = {
        **dict.fromkeys(targets, "the target" if len(targets) == 1 else "one of the targets"),
        name: "the name of the rows (data.id)",
        weight: "the weight of the rows (data.weight)",
        split: "what says which rows are trained on (data.split)",
    }
    names = [one for one in table.columns if one not in other]
    chosen = {}
    for key in ("features", "ignore", "categorical"):
        patterns = [one for one in getattr(section, key) if key != "categorical" or one not in targets]
        if twice := [one for one in patterns if one in other]:
            raise DataError(f"data.{key} has {twice[0]!r}, which is {other[twice[0]]}, and no input; leave it out.")
        chosen[key] = set(_matching(patterns, table, f"data.{key}"))
    inputs = [
        one for one in names if one not in chosen["ignore"] and (one in chosen["features"] or not section.features)
    ]
    if not inputs:
        raise DataError(f"{table.file}: no column is left to learn from, of {listed(table.columns)}.")
    keeps, categorical = _keeps_labels(targets, section.categorical), chosen["categorical"] & set(inputs)
    return Roles(targets[0], keeps, name, weight, inputs, categorical, split, targets[1:])


def _keeps_labels(targets: Sequence[str], categorical: Sequence[str]) -> bool:
    """Whether the labels are text, as they stand."""
    named = [name for name in targets if name in categorical]
    if named and len(targets) > 1:
        raise DataError(
            f"data.categorical has {named[0]!r}, one of the targets; several targets are numbers, or yes and no, and "
            "no categories: leave it out."
        )
    return bool(named)


def _matching(patterns: Sequence[str], table: Table, key: str) -> Iterator[str]:
    """The columns that patterns name: the one of this very name, or else all that match as a shell would have it."""
    for pattern in patterns:
        if pattern in table.columns:
            yield pattern
            continue
        found = [name for name in table.columns if fnmatch.fnmatchcase(name, pattern)]
        if not found:
            raise no_column(table, pattern, key)
        yield from found


def no_column(table: Table, name: str, key: str) -> DataError:
    """The error for a column that a key names and the table does not have."""
    close = difflib.get_close_matches(name, table.columns, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {listed(table.columns)}."
    return DataError(f"{table.file} has no column {name!r} ({key}); {hint}")


def guess_target(table: Table, unlikely: Collection[str] = ()) -> str:
    """The column that most likely holds the labels: one of a usual name, else the last that is not unlikely."""
    names = list(table.columns)
    likely = [name for name in names if name not in unlikely] or names
    return next((name for name in names if name.lower() in USUAL_TARGETS), likely[-1])


def find_targets(given: str | int | Sequence[str | int] | None, table: Table) -> tuple[str, ...]:
    """The columns of the labels, in the order in which they were given; those of a pattern in that of the table.

    Args:
        given: data.target.
        table: the training data.

    Raises:
        DataError: there is no such column, or none was said, or one twice.
    """
    if given is None or isinstance(given, str | int):
        return (find_target(given, table),)
    found = [name for one in given for name in _named(one, table)]
    if not found:
        raise DataError(f"data.target is an empty list; name columns of {table.file}: {listed(table.columns)}.")
    if twice := [name for place, name in enumerate(found) if name in found[:place]]:
        raise DataError(f"data.target names column {twice[0]!r} twice; name each once.")
    return tuple(found)


def _named(one: str | int, table: Table) -> Iterator[str]:
    if isinstance(one, int):
        yield find_target(one, table)
    else:
        yield from _matching([one], table, "data.target")


def find_target(target: str | int | None, table: Table) -> str:
    """The column of the labels.

    Args:
        target: its name or its place.
        table: the training data.

    Raises:
        DataError: there is no such column, or none was said.
    """
    names = list(table.columns)
    if target is None:
        raise DataError(
            f"{table.file} is a table with the columns {listed(names)}; say which of them holds the labels: "
            f"{setting('data.target', guess_target(table))}, for example."
        )
    if isinstance(target, int):
        if not -len(names) <= target < len(names):
            raise DataError(f"data.target is {target}, but {table.file} has {counted(len(names), 'column')}.")
        return names[target]
    if target not in table.columns and (found := fnmatch.filter(table.columns, target)):
        raise DataError(
            f"{table.file} has no column {target!r} (data.target); as a pattern it means {listed(found)}, and stands "
            f"in a list: {setting('data.target', [target])}."
        )
    if target not in table.columns:
        raise no_column(table, target, "data.target")
    return target
