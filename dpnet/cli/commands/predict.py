"""`dpnet predict`: labels and probabilities from a trained network."""

from __future__ import annotations

import argparse
from pathlib import Path

from dpnet.comm.group import World
from dpnet.inference.network import load_network
from dpnet.inference.predict import predict
from dpnet.training.announce import say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Write the predictions."""
    network = load_network(arguments.checkpoint, group)
    count = predict(
        network,
        arguments.data,
        Path(arguments.out),
        group,
        split=arguments.split,
        batch_size=arguments.batch_size,
    )
    say(group, f"{count} predictions in {arguments.out}")
    return 0
