"""`dpnet doctor`: what is wrong with a machine, an installation or a start."""

from __future__ import annotations

import argparse
import json
import shutil

from dpnet.cli.commands.shared import load_job
from dpnet.comm.group import World
from dpnet.launch.doctor.examine import examine
from dpnet.launch.doctor.finding import fault, table, worst
from dpnet.training.announce import doing, say

MOST_COLUMNS = 100


def run(arguments: argparse.Namespace, group: World) -> int:
    """Look, and print what was found; returns 1 if there is a fault."""
    job = load_job(arguments, group)
    with doing(group, "looking"):
        findings = examine(group, job, with_data=arguments.job is not None or bool(arguments.overrides))
    if (obstacle := getattr(arguments, "obstacle", None)) is not None:
        findings.insert(0, fault("start", str(obstacle), "the rest is what the first rank sees alone"))
    verdict = worst(findings)
    if arguments.json:
        say(group, json.dumps({"verdict": verdict, "findings": [finding.record() for finding in findings]}))
    else:
        say(group, table(findings, min(MOST_COLUMNS, shutil.get_terminal_size().columns)))
    return int(verdict == "fault")
