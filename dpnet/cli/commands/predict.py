"""`dpnet predict`: labels and probabilities, or numbers, from a trained network."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from dpnet.comm.group import World
from dpnet.inference.answers import answers_of
from dpnet.inference.network import load_network
from dpnet.inference.nonfinite import rows_text
from dpnet.inference.predict import predict
from dpnet.training.announce import aside, say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Write the predictions."""
    network = load_network(arguments.checkpoint, group, last=arguments.last, tell=functools.partial(aside, group))
    made = predict(
        network,
        arguments.data,
        Path(arguments.out),
        group,
        split=arguments.split,
        batch_size=arguments.batch_size,
        nonfinite=arguments.nonfinite,
    )
    say(group, f"{made.samples} predictions in {arguments.out}")
    if made.nonfinite:
        skips = arguments.nonfinite == "skip"
        total = made.samples + made.nonfinite * skips
        what = "left out" if skips else f"marked by {answers_of(network).unknown}"
        aside(group, rows_text(made.nonfinite, total, made.nonfinite_rows, what, made.nonfinite_lines))
    return 0
