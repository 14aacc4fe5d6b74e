"""`dpnet estimate`: how long a step of a job takes on several nodes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dpnet.cli.commands.shared import load_job
from dpnet.cli.estimate_text import estimate_record, estimate_text, title
from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.errors import CommunicationError
from dpnet.launch.flags import fault_tolerance, find_mpirun
from dpnet.output.picture import new_figure
from dpnet.output.scaling_plot import Scaling, plot_scaling
from dpnet.training.announce import aside, say
from dpnet.training.estimate.estimate import Estimate, estimate
from dpnet.training.estimate.wanted import Wanted


def run(arguments: argparse.Namespace, group: World) -> int:
    """Measure, and print and draw what is to be expected."""
    job = load_job(arguments, group)
    if arguments.plot:
        on_root(group, lambda: _check_picture(Path(arguments.plot)))
    wanted = Wanted(
        nodes=arguments.nodes,
        ranks=arguments.ranks_per_node,
        bytes_s=arguments.bandwidth,
        latency_s=arguments.latency,
        weak=arguments.weak,
        seconds=arguments.seconds,
        banks=on_root(group, _banks),
    )
    found = estimate(job, group, wanted)
    say(group, json.dumps(estimate_record(found)) if arguments.json else estimate_text(found))
    if arguments.plot:
        on_root(group, lambda: _plot(found, Path(arguments.plot)))
        aside(group, f"wrote {arguments.plot}")
    return 0


def _banks() -> int:
    """Banks of the state, see `state.banks`: those of a training that `dpnet launch` starts."""
    try:
        return 2 if fault_tolerance(find_mpirun(), []) else 1
    except CommunicationError:
        return 1


def _check_picture(out: Path) -> None:
    """Raises DpnetError, before anything is measured, if nothing can be drawn."""
    new_figure(1, needed_by="dpnet estimate --plot")


def _plot(found: Estimate, out: Path) -> None:
    rows = [Scaling(row.case.nodes, found.speedup(row), row.travels) for row in found.rows]
    plot_scaling(rows, title(found), out)
