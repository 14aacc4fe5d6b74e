"""A picture and its file; matplotlib is imported here, when the first picture is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dpnet.errors import DpnetError, OutputError
from dpnet.files import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 3.9
"""Inches."""


def new_figure(width: float, *, needed_by: str = "dpnet plot") -> Figure:
    """An empty picture, `width` inches wide.

    Raises:
        DpnetError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DpnetError(f"{needed_by} needs matplotlib: pip install 'dpnet[plot]'") from error
    return Figure(figsize=(width, HEIGHT), layout="constrained")


def save(figure: Figure, out: Path) -> None:
    """Write a picture; the ending of the file's name chooses the format.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(out):
        try:
            figure.savefig(out, dpi=150)
        except ValueError as error:  # matplotlib does not know the format.
            raise OutputError(f"cannot write {out}: {error}") from error
