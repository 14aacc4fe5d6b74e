"""Pictures of results: a panel for each workload."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def picture(workloads: Iterable[str], path: str, *, width: float, xlabel: str, ylabel: str) -> Iterator[dict[str, Any]]:
    """Give the axes of each workload, to be drawn on; then write the file.

    Args:
        workloads: their names.
        path: of the file.
        width: of a panel, in inches.
        xlabel: of every panel.
        ylabel: of all panels, which share their scale.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(workloads)
    figure, panels = pyplot.subplots(1, len(names), figsize=(width * len(names), 3.6), squeeze=False, sharey=True)
    yield dict(zip(names, panels[0], strict=True))
    for name, panel in zip(names, panels[0], strict=True):
        panel.set(title=name, xlabel=xlabel)
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel(ylabel)
    panels[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
