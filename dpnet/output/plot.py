"""Learning curves as a picture: loss and accuracy of one or several runs, from their metrics.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpnet.errors import DataError, DpnetError, OutputError
from dpnet.files import writing
from dpnet.output.run_directory import METRICS
from dpnet.text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]
Point = tuple[float, float]
KEYS = ("epoch", "loss", "accuracy", "eval_loss", "eval_accuracy")
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
    """Draw loss and accuracy over epochs, of training and of validation or test data.

    Args:
        runs: run directories; one colour each.
        out: the picture; its ending chooses the format.

    Raises:
        DataError: a run has no learning curve.
        DpnetError: matplotlib is not installed.
        OutputError: the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DpnetError("dpnet plot needs matplotlib: pip install 'dpnet[plot]'") from error
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    both = figure.subplots(1, 2, sharex=True)
    names = [run.resolve().name for run in runs]
    all_losses: list[float] = []
    for index, (run, name) in enumerate(zip(runs, names, strict=True)):
        rows = read_metrics(run)
        all_losses += [value for key in ("loss", "eval_loss") for _, value in _points(rows, key)]
        for axes, what in zip(both, ("loss", "accuracy"), strict=True):
            _draw(axes, training_points(rows, what), "-", color=f"C{index}", label=f"{name}, training", alpha=0.6)
            label = f"{name}, {_evaluated_on(rows)}"
            _draw(axes, _points(rows, f"eval_{what}"), "o--", color=f"C{index}", label=label)
    figure.suptitle(shorten(", ".join(names), 100))
    losses, accuracies = both
    losses.set(title="loss", xlabel="epoch", ylabel="cross-entropy per sample (nats)")
    _scale(losses, all_losses)
    accuracies.set(title="accuracy", xlabel="epoch", ylabel="samples classified correctly")
    accuracies.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    for axes in both:
        axes.grid(alpha=0.3)
        if axes.get_lines():
            axes.legend(fontsize="small")
    with writing(out):
        try:
            figure.savefig(out, dpi=150)
        except ValueError as error:  # matplotlib does not know the format.
            raise OutputError(f"cannot write {out}: {error}") from error


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
