"""Scaling as a picture: speed-up and efficiency over numbers of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dpnet.output.picture import new_figure, save


class Scaling(NamedTuple):
    """What some nodes are worth.

    Attributes:
        nodes: how many.
        speedup: samples a second, as a multiple of those of one node.
        exchange: what travels between them, in a word.
    """

    nodes: int
    speedup: float
    exchange: str


def plot_scaling(rows: Sequence[Scaling], title: str, out: Path) -> None:
    """Draw speed-up and efficiency over nodes, both axes of nodes in powers of two.

    Args:
        rows: of each number of nodes, the fewest first.
        title: of the picture.
        out: the picture; its ending chooses the format.

    Raises:
        DpnetError: matplotlib is not installed.
        OutputError: the picture cannot be written.
    """
    figure = new_figure(9, needed_by="dpnet estimate --plot")
    figure.suptitle(title)
    speedups, efficiencies = figure.subplots(1, 2, sharex=True)
    nodes = [row.nodes for row in rows]
    speedups.plot(nodes, nodes, color="0.75", label="ideal")
    speedups.plot(nodes, [row.speedup for row in rows], color="0.4")
    efficiencies.axhline(0.5, color="0.75", linestyle=":")
    efficiencies.plot(nodes, [row.speedup / row.nodes for row in rows], color="0.4")
    for index, exchange in enumerate(dict.fromkeys(row.exchange for row in rows)):
        some = [row for row in rows if row.exchange == exchange]
        at, style = [row.nodes for row in some], {"marker": "o", "linestyle": "none", "color": f"C{index}"}
        speedups.plot(at, [row.speedup for row in some], label=exchange, **style)
        efficiencies.plot(at, [row.speedup / row.nodes for row in some], **style)
    speedups.set(title="speed-up", ylabel="times the samples/s of one node")
    speedups.set_yscale("log", base=2)
    speedups.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    efficiencies.set(
        title="efficiency",
        ylabel="speed-up a node",
        ylim=(0, 1.05 * max(1.0, *(row.speedup / row.nodes for row in rows))),
    )
    efficiencies.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    for axes in (speedups, efficiencies):
        axes.set_xscale("log", base=2)
        axes.set_xticks(nodes, [f"{number:,}" for number in nodes], rotation=45 if len(nodes) > 8 else 0)
        axes.set_xticks([], minor=True)
        axes.set_xlabel("nodes")
        axes.grid(alpha=0.3)
    speedups.legend(title="exchanged", fontsize="small")
    save(figure, out)
