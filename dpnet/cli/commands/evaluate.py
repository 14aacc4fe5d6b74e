"""`dpnet evaluate`: exact scores of a trained network."""

from __future__ import annotations

import argparse
import functools

from dpnet.cli.scores import details_text, evaluation_json
from dpnet.comm.group import World
from dpnet.inference.evaluate import Evaluation, evaluate
from dpnet.inference.network import load_network
from dpnet.inference.nonfinite import rows_text
from dpnet.parallel.scores import scores_text
from dpnet.text import counted
from dpnet.training.announce import aside, say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Print the scores and the number of samples, and what else is asked for."""
    network = load_network(arguments.checkpoint, group, last=arguments.last, tell=functools.partial(aside, group))
    scores = evaluate(
        network,
        arguments.data,
        group,
        split=arguments.split,
        batch_size=arguments.batch_size,
        nonfinite=arguments.nonfinite,
        unknown_labels=arguments.unknown_labels,
        details=arguments.details,
        top_k=arguments.top_k,
    )
    say(group, evaluation_json(scores) if arguments.json else _text(scores))
    if scores.unknown:
        aside(group, f"note: {counted(scores.unknown, 'sample')} left out, of classes that the network does not know")
    if scores.left_out:
        total, rows, lines = scores.samples + scores.left_out, scores.left_out_rows, scores.left_out_lines
        aside(group, rows_text(scores.left_out, total, rows, "left out", lines))
    return 0


def _text(scores: Evaluation) -> str:
    line = f"{scores_text(scores.measures, digits=6, between='  ')}  samples {scores.samples}"
    return line if scores.details is None else f"{line}\n\n{details_text(scores.details)}"
