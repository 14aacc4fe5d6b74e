"""The options of `dpnet estimate`."""

from __future__ import annotations

import argparse

from dpnet.cli.quantities import duration, positive, rate, seconds


def add_estimate(command: argparse.ArgumentParser) -> None:
    """Add all but the job."""
    command.description = (
        "Say how long a step of a job takes on N nodes, before they are queued for: what a node computes is measured, "
        "on the ranks that this command is started on, and what nodes exchange is calculated. Started on several hosts "
        "it also measures the network between them."
    )
    command.add_argument(
        "--nodes",
        type=positive,
        nargs="+",
        default=[],
        metavar="N",
        help="numbers of nodes (default: 1, 2, 4, ... up to 1024, as far as each rank gets a sample)",
    )
    command.add_argument(
        "--ranks-per-node",
        type=positive,
        metavar="R",
        help="ranks of each node (default: those that were started on one); if one was started, it stands for all",
    )
    command.add_argument(
        "--bandwidth",
        type=rate,
        metavar="RATE",
        help="what a node sends while all nodes send: 1Gbit, 25Gbit/s, 2.5GB (default: measured on several hosts)",
    )
    command.add_argument(
        "--latency",
        type=duration,
        metavar="TIME",
        help="of a message between nodes: 2us, 0.5ms (default: measured on several hosts, else 50us)",
    )
    command.add_argument("--weak", action="store_true", help="the batch grows with the nodes: the job's is that of one")
    command.add_argument(
        "--seconds", type=seconds, default=1.0, help="how long to measure each number of samples (default: 1)"
    )
    command.add_argument("--json", action="store_true", help="print it as one line of JSON")
    command.add_argument("--plot", metavar="FILE", help="draw speed-up and efficiency: FILE.png, .svg or .pdf")
