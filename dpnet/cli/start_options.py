"""What the command line says of the commands that start ranks, `dpnet launch`, or queue them: `dpnet submit`."""

from __future__ import annotations

import argparse
import re

from dpnet.launch.templates import folder

LAUNCH = (
    "Start a dpnet command on N ranks, with the mpirun beside this Python or on PATH. SIGTERM, SIGUSR1, SIGUSR2 and "
    "SIGHUP reach the ranks as SIGUSR1, which asks them to end. Options: --max-restarts K: start a training that was "
    "cut off again, from its newest checkpoint, up to K times (default: 0). --grace S: seconds that the ranks have to "
    "end when asked to (default: 30). --time-limit S: seconds for one attempt. --ft, --no-ft: turn on the fault "
    "tolerance of Open MPI, or do not (default: for train alone). --srun: in a job of Slurm, start ranks with srun in "
    "the place of mpirun. In a batch job ranks are placed on all of its hosts, and -n is not needed. All other options "
    f"go to mpirun. Scripts for batch jobs, and launch/README.md, which describes all of this: {folder()}"
)
"""The description of `dpnet launch`, which parses its options itself."""
ASKED = {
    "nodes": (("-N", "--nodes"), "NODES", "hosts"),
    "ranks_per_node": (("--ranks-per-node",), "R", "ranks on each host"),
    "time": (("--time",), "HH:MM:SS", "time of a turn; at its end dpnet goes on in another one"),
    "cpus_per_rank": (("--cpus-per-rank",), "C", "cores of a rank (default: 1)"),
    "scheduler": (("--scheduler",), "slurm|pbs", "who takes the job (default: whichever is installed)"),
    "partition": (("--partition",), "P", "partition of Slurm, or queue of PBS (default: that of the site)"),
    "account": (("--account",), "A", "account that pays"),
    "name": (("--name",), "N", "name of the job (default: dpnet)"),
}
"""What a scheduler is asked for, which a profile may say as well: options, a word for the value, and help, by key."""


def add_submit(command: argparse.ArgumentParser) -> None:
    """Add the options, but for the job file and its settings."""
    command.description = (
        "Check a job, its data, and its shards or workers against the number of ranks; write a script for a batch job "
        "into the run directory, show it, and submit it. Files to start from by hand, and launch/README.md, which "
        f"describes profiles: {folder()}"
    )
    for key, (names, word, text) in ASKED.items():
        command.add_argument(*names, dest=key, metavar=word, help=text)
    words = "let Slurm's srun start the ranks, in the place of mpirun"
    command.add_argument("--srun", action="store_const", const=True, help=words)
    words = "TOML file of defaults: nodes, ranks_per_node, time, partition, account, environment, setup, options, ..."
    command.add_argument("--profile", metavar="FILE", help=words)
    command.add_argument("--output", metavar="DIR", help="run directory; of several seeds the folder of theirs")
    command.add_argument("--seeds", type=_seeds, metavar="1..3", help="an array: one training for each seed")
    command.add_argument("--dry-run", action="store_true", help="show the script; write and submit nothing")
    command.add_argument("--wait", action="store_true", help="wait for the end; the exit code is that of the training")


def _seeds(text: str) -> range:
    found = re.fullmatch(r"(\d{1,9})(?:\.\.(\d{1,9}))?", text, re.ASCII)
    if found is None or (seeds := range(int(found[1]), int(found[2] or found[1]) + 1)) == range(0):
        raise argparse.ArgumentTypeError(f"{text!r} is no seed, nor a range of seeds as 1..3")
    return seeds
