"""Scores of an evaluation in detail: for people, in 80 columns, and as JSON."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dpnet.cli.number_scores import numbers_json, numbers_text
from dpnet.data.classes import Classes, label_text
from dpnet.inference.details import Counts, Details, LabelDetails
from dpnet.inference.evaluate import AnyDetails, Evaluation
from dpnet.inference.residuals import NumberDetails
from dpnet.parallel.label_scores import LabelCounts
from dpnet.text import shorten, table

COLUMNS = 80
MAX_NAME = 20
"""Characters of a label in a table, about: longer ones are cut."""
MAX_CLASSES = 30
"""Classes that are shown one by one."""
WORST, MISTAKES = 20, 10
"""Classes and kinds of mistakes that are shown where there are too many for all."""


def details_text(details: AnyDetails) -> str:
    """The scores of a classifier beyond loss and accuracy; or those of every label, or of every output."""
    if isinstance(details, NumberDetails):
        return numbers_text(details)
    above = "support and predicted are sums of weights\n" if details.weighted else ""
    if isinstance(details, LabelDetails):
        return above + _each("label", details.counts, _names(details.labels))
    names = _names(details.classes)
    return "\n\n".join([_scores(details), above + _each("class", details, names), _confusion(details, names)])


def _names(labels: Classes) -> list[str]:
    return [shorten(label_text(label), MAX_NAME) for label in labels.values.tolist()]


def evaluation_json(scores: Evaluation) -> str:
    """The scores as one line of JSON, under the names that they have in Evaluation and Details.

    Labels stand in it as they are in the data. A score that is not defined, or not finite, is null.
    """
    found: dict[str, Any] = {**scores.measures, "samples": scores.samples}
    found |= {"left_out": scores.left_out, "unknown": scores.unknown}
    found["weighted"] = scores.weighted
    details = scores.details
    if isinstance(details, NumberDetails):
        found |= numbers_json(details)
    elif isinstance(details, LabelDetails):
        found["labels"] = _rows(details.counts, details.labels)
    elif details is not None:
        names = ("balanced_accuracy", "macro_f1", "top_k", "top_k_accuracy", "log_loss", "auc")
        found |= {name: getattr(details, name) for name in names}
        found["classes"] = _rows(details, details.classes)
        found["confusion"] = None if details.confusion is None else details.confusion.tolist()
    return json.dumps(_finite(found), allow_nan=False)


def _rows(scores: Details | LabelCounts, labels: Classes) -> list[dict[str, Any]]:
    """An object for each class or label."""
    columns = {name: getattr(scores, name) for name in ("precision", "recall", "f1", "support", "predicted")}
    columns = {"label": labels.values, **columns}
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _finite(value: Any) -> Any:
    """A value of JSON, with null for a number that is not finite."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scores(details: Details) -> str:
    rows = [
        ("balanced accuracy", f"{details.balanced_accuracy:.4%}"),
        ("macro F1", f"{details.macro_f1:.6f}"),
        ("log loss", f"{details.log_loss:.6f}"),
    ]
    if details.top_k is not None:
        rows.append((f"top-{details.top_k} accuracy", f"{details.top_k_accuracy:.4%}"))
    if len(details.classes) == 2:
        rows.append(("AUC", "undefined" if details.auc is None else f"{details.auc:.6f}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows)


def _each(what: str, details: Details | LabelCounts, names: Sequence[str]) -> str:
    """A row for every class or label, or for those with the lowest F1; "-" stands for a ratio of nothing."""
    shown, above = list(range(len(names))), ""
    if len(names) > MAX_CLASSES:
        seen = details.support + details.predicted
        occurring = np.flatnonzero(seen if seen.any() else seen == 0)
        worst = occurring[np.argsort(details.f1[occurring], kind="stable")][:WORST]
        shown = worst.tolist()
        many = "classes" if what == "class" else "labels"
        above = f"{many} of lowest F1: {len(shown)} of {len(names):,} (--json has all)\n"
    header = (what, "support", "predicted", "precision", "recall", "F1")
    columns = (
        (details.precision, details.predicted),
        (details.recall, details.support),
        (details.f1, details.support + details.predicted),
    )
    rows = [
        (
            names[place],
            f"{details.support[place]:,.10g}",
            f"{details.predicted[place]:,.10g}",
            *(f"{ratio[place]:.4f}" if whole[place] else "-" for ratio, whole in columns),
        )
        for place in shown
    ]
    return above + table(header, rows)


def _confusion(details: Details, names: Sequence[str]) -> str:
    """The confusion matrix if it fits, else the most frequent mistakes."""
    if details.confusion is None:
        return f"no confusion matrix: there are {len(names):,} classes"
    for header, rows in _matrices(details.confusion, names):
        text = table(header, rows)
        if max(map(len, text.splitlines())) <= COLUMNS:
            return f"confusion matrix; row: label, column: prediction\n{text}"
    return _mistakes(details.confusion, names)


def _matrices(confusion: Counts, names: Sequence[str]) -> Iterable[tuple[list[str], list[list[Any]]]]:
    """The matrix with the names of the classes above its columns, and with letters there."""
    if len(names) <= MAX_CLASSES:
        yield ["", *names], [[name, *map(_count, row)] for name, row in zip(names, confusion.tolist(), strict=True)]
    if len(names) <= len(letters := string.ascii_lowercase):
        rows = zip(letters, names, confusion.tolist(), strict=False)
        yield ["", *letters[: len(names)]], [[f"{letter} = {name}", *map(_count, row)] for letter, name, row in rows]


def _count(number: int | float) -> str:
    """A number of samples, or the sum of their weights."""
    return str(number) if isinstance(number, int) else f"{number:.6g}"


def _mistakes(confusion: Counts, names: Sequence[str]) -> str:
    wrong = confusion - np.diag(np.diag(confusion))
    kinds = int(np.count_nonzero(wrong))
    text = f"the confusion matrix, {len(names):,}×{len(names):,}, is too wide to be shown (--json has it)"
    if kinds == 0:
        return f"{text}; there are no mistakes"
    most = np.argsort(-wrong, axis=None, kind="stable")[: min(kinds, MISTAKES)]
    places = zip(*np.unravel_index(most, wrong.shape), strict=True)
    rows = [(names[label], names[guess], f"{wrong[label, guess]:,.10g}") for label, guess in places]
    header = ("label", "prediction", "samples")
    return f"{text}\n\nmost frequent mistakes: {len(rows)} of {kinds:,} kinds\n{table(header, rows)}"
