"""Learning curves as a picture: loss and accuracy (or absolute error) of runs, from their metrics.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpnet.errors import DataError
from dpnet.output.picture import new_figure, save
from dpnet.output.run_directory import METRICS
from dpnet.parallel.scores import MEASURES, SHARES
from dpnet.text import shorten, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]
Point = tuple[float, float]
YLABELS = {
    "accuracy": ("cross-entropy per sample (nats)", "samples classified correctly"),
    "mae": ("loss per sample (of standardized targets)", "mean absolute error (units of the target)"),
    "subset_accuracy": ("cross-entropy per sample and label (nats)", "samples all of whose labels are right"),
}
"""What the two axes show, by the measure beside the loss."""
KEYS = ("epoch", *(f"{which}{name}" for which in ("", "eval_") for name in ("loss", *YLABELS)))
"""The keys of a row that are drawn."""
MAX_MARKERS = 60
"""Points of a curve of which each has a marker; the markers of more would hide the curve."""


def read_metrics(run: Path) -> list[Row]:
    """The rows of a run's learning curve; a last line that is not complete yet is left out.

    Raises:
        DataError: the file cannot be read, has no row, or has one that dpnet did not write.
    """
    path = run / METRICS
    try:
        text = path.read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give a run directory of dpnet train") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not all(isinstance(row.get(key, 0.0), int | float | None) for key in KEYS):
            raise DataError(f"{path} line {number} is no row of a learning curve: {row!r:.60}")
    if not rows:
        raise DataError(f"{path} has no row yet")
    return rows


def plot_runs(runs: Sequence[Path], out: Path) -> None:
    """Draw the loss, and the measure of the task beside it, over epochs, of training and validation or test data.

    Args:
        runs: run directories; one colour each.
        out: the picture; its ending chooses the format.

    Raises:
        DataError: a run has no learning curve, or the runs are of several tasks.
        DpnetError: matplotlib is not installed.
        OutputError: the picture cannot be written.
    """
    figure = new_figure(9)
    both = figure.subplots(1, 2, sharex=True)
    names = [run.resolve().name for run in runs]
    curves = [read_metrics(run) for run in runs]
    measure = _measure(curves)
    all_losses: list[float] = []
    for index, (rows, name) in enumerate(zip(curves, names, strict=True)):
        all_losses += [value for key in ("loss", "eval_loss") for _, value in _points(rows, key)]
        for axes, what in zip(both, ("loss", measure), strict=True):
            _draw(axes, training_points(rows, what), "-", color=f"C{index}", label=f"{name}, training", alpha=0.6)
            label = f"{name}, {_evaluated_on(rows)}"
            _draw(axes, _points(rows, f"eval_{what}"), "o--", color=f"C{index}", label=label)
    figure.suptitle(shorten(", ".join(names), 100))
    losses, measures = both
    losses.set(title="loss", xlabel="epoch", ylabel=YLABELS[measure][0])
    _scale(losses, all_losses)
    measures.set(title=MEASURES[measure], xlabel="epoch", ylabel=YLABELS[measure][1])
    if measure in SHARES:
        measures.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    for axes in both:
        axes.grid(alpha=0.3)
        if axes.get_lines():
            axes.legend(fontsize="small")
    save(figure, out)


def _measure(curves: Sequence[Sequence[Row]]) -> str:
    """What is drawn beside the loss: what is measured of training samples, too."""
    found = {name for rows in curves for row in rows for name in YLABELS if name in row or f"eval_{name}" in row}
    if len(found) > 1:
        of = words([f"some have {MEASURES[name]}" for name in YLABELS if name in found], "and")
        raise DataError(f"these runs are of several tasks: {of}; draw them in pictures of their own")
    return found.pop() if found else "accuracy"


def training_points(rows: Sequence[Row], key: str) -> list[Point]:
    """What a training reported, each value in the middle of the steps that it is the mean of: (epoch, value).

    A row is written after these steps. They begin after the training row before it.
    """
    points, start = [], 0.0
    for epoch, value in _points(rows, key):
        points.append(((start + epoch) / 2, value))
        start = epoch
    return points


def _evaluated_on(rows: Sequence[Row]) -> str:
    """The data that evaluations took; an earlier dpnet took the test data, and did not say so."""
    return "validation" if any(row.get("eval_split") == "validation" for row in rows) else "test"


def _points(rows: Sequence[Row], key: str) -> list[Point]:
    return [(row["epoch"], row[key]) for row in rows if None not in (row.get("epoch"), row.get(key))]


def _draw(axes: Axes, points: Sequence[Point], style: str, **options: Any) -> None:
    if points:
        if len(points) == 1:
            style = "o"  # A line through one point is invisible.
        elif len(points) > MAX_MARKERS:
            style = style.replace("o", "")
        axes.plot(*zip(*points, strict=True), style, markersize=4, **options)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Make the axis of these values logarithmic; with a place for 0 below the least other value, if there is a 0."""
    positive = [value for value in values if 0 < value < math.inf]
    if not positive:
        return
    if 0 not in values:
        axes.set_yscale("log")
        return
    axes.set_yscale("symlog", linthresh=min(positive), linscale=0.5)
    axes.set_ylim(bottom=-0.05 * min(positive))
