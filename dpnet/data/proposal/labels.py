"""What the columns of the labels of a table look like, and how that is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dpnet.config.keys import setting
from dpnet.config.model import Task
from dpnet.data.classes import UNKNOWN, label_text
from dpnet.data.label_sets import label_sets_text
from dpnet.data.labels import NO_REGRESSION
from dpnet.data.split import Split, require_labels
from dpnet.data.tables.column import Column
from dpnet.data.tables.labels.yes_or_no import says_yes_or_no
from dpnet.data.targets import looks_like_targets, targets_text
from dpnet.text import counted, listed

MANY = 5
"""So many targets are named."""
MANY_CLASSES = 20
"""More classes that are numbers than these may well be numbers to predict."""


def task_of(columns: Sequence[Column]) -> Task:
    """What the columns of the labels look like."""
    if len(columns) > 1:
        return "multilabel" if all(map(says_yes_or_no, columns)) else "regression"
    [column] = columns
    return "regression" if column.kind == "number" and looks_like_targets(column.values) else "classification"


def names_text(targets: Sequence[str]) -> str:
    """The columns of the labels: `The target is price`, `The targets are news, sport`."""
    named = [label_text(name) for name in targets[:MANY]]
    if len(targets) == 1:
        return f"The target is {named[0]}"
    more = f" and {len(targets) - MANY:,} more" if len(targets) > MANY else ""
    return f"The targets are {', '.join(named)}{more}"


def labels_text(splits: Sequence[Split], targets: Sequence[str]) -> str:
    """The labels of some data, the training samples first, in these columns, and what they are taken for."""
    return TEXTS[splits[0].task](splits, targets)


def _numbers(splits: Sequence[Split], targets: Sequence[str]) -> str:
    numbers = np.concatenate([require_labels(split) for split in splits])
    what, ways = "They hold", 'model.task = "regression"'
    if len(targets) == 1:
        # A fraction is the label of a class only where it is kept as text.
        kept = "" if (numbers == np.floor(numbers)).all() else f", and {setting('data.categorical', list(targets))}"
        what, ways = "It holds", f"{ways}; for classes, leave that out{kept}"
    return f"{what} numbers ({targets_text(numbers)}): {ways}."


def _classes(splits: Sequence[Split], targets: Sequence[str]) -> str:
    """The classes, and how many rows the rarest has; and labels that no row to train on has."""
    classes = splits[0].classes
    numbers = [classes.number_of(split.classes)[require_labels(split)] for split in splits]
    unknown = [split.classes.values[classes.number_of(split.classes) == UNKNOWN] for split in splits]
    found = np.concatenate(numbers)
    counts = np.bincount(found[found != UNKNOWN], minlength=len(classes))
    order = np.argsort(-counts, kind="stable")
    rare = f"{label_text(classes.values[order[-1]])}, has {counted(int(counts[order[-1]]), 'row')}"
    said = f"It has {len(classes):,} classes: {classes.text()}; the rarest, {rare}."
    if classes.kind in ("integers", "numbers") and len(classes) > MANY_CLASSES:
        said += f" {NO_REGRESSION}"
    strange = sorted({label_text(value) for values in unknown for value in values})
    if not strange:
        return said
    rows = counted(int((found == UNKNOWN).sum()), "row")
    return (
        f"{said} Of {rows} held out no row to train on has the label: {listed(strange, 3)}. "
        'data.unknown_labels = "ignore" leaves such rows out of the scores.'
    )


def _label_sets(splits: Sequence[Split], targets: Sequence[str]) -> str:
    sets = np.concatenate([require_labels(split) for split in splits])
    said = label_sets_text(sets, splits[0].classes, "rows")
    return f'Of each label a row says yes or no: model.task = "multilabel"; {said}.'


TEXTS: dict[Task, Callable[[Sequence[Split], Sequence[str]], str]] = {
    "classification": _classes,
    "regression": _numbers,
    "multilabel": _label_sets,
}
"""How labels are told, by task."""
