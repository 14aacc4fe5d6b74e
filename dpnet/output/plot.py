"""Learning curves as a picture: loss and test accuracy of one or several runs, from their metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpnet.errors import DataError, DpnetError, OutputError
from dpnet.files import writing
from dpnet.output.run_directory import METRICS

Row = dict[str, Any]
KEYS = ("epoch", "loss", "eval_loss", "eval_accuracy")
"""The keys of a row that are drawn."""


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
    """Draw training loss, test loss and test accuracy over epochs.

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
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    for index, run in enumerate(runs):
        rows, colour, name = read_metrics(run), f"C{index}", run.resolve().name
        for axes, key, style, label in (
            (losses, "loss", "-", f"{name}, training"),
            (losses, "eval_loss", "o--", f"{name}, test"),
            (accuracies, "eval_accuracy", "o-", f"{name}, test"),
        ):
            points = [(row["epoch"], row[key]) for row in rows if None not in (row.get("epoch"), row.get(key))]
            if points:
                axes.plot(*zip(*points, strict=True), style, color=colour, label=label, markersize=4)
    losses.set(xlabel="epoch", ylabel="negative log-likelihood (nats)", yscale="log")
    accuracies.set(xlabel="epoch", ylabel="accuracy")
    accuracies.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    for axes in (losses, accuracies):
        axes.grid(alpha=0.3)
        if axes.get_lines():  # A run without evaluations has no test scores.
            axes.legend(fontsize="small")
    with writing(out):
        try:
            figure.savefig(out, dpi=150)
        except ValueError as error:  # matplotlib does not know the format.
            raise OutputError(f"cannot write {out}: {error}") from error
