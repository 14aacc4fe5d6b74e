"""`dpnet launch`: start ranks that run a dpnet command.

Neither numpy nor pydantic is imported before something has to be read from a job file: a mere start of ranks needs
neither.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpnet.cli.parser import COMMANDS, make_parser
from dpnet.cli.usage import no_command
from dpnet.errors import ConfigError
from dpnet.launch.options import is_program
from dpnet.launch.session import session
from dpnet.launch.supervise import launch

if TYPE_CHECKING:
    from dpnet.config.job import Job


def run(argv: Sequence[str]) -> int:
    """Launch as the arguments behind `launch` say; returns the exit code.

    Unlike other commands, this one takes its arguments as they are, since most of them are for mpirun, and no group: it
    runs once, and the ranks are its children.
    """
    arguments = checked(argv)
    with session():
        return launch(arguments, job_of)


def checked(argv: Sequence[str]) -> list[str]:
    """The arguments of `dpnet launch`, with a command of dpnet, or a Python program, behind `--`.

    Raises:
        ConfigError: there is something else.
    """
    if "--" not in argv or argv[-1] == "--":
        return [*argv]
    cut = list(argv).index("--") + 1
    before, command = [*argv[:cut]], [*argv[cut:]]
    if command[0] == "dpnet" and len(command) > 1:  # As one would type it without `dpnet launch`.
        command = command[1:]
    first = command[0]
    if first in COMMANDS or is_program(command) or first.startswith("-"):
        return [*before, *command]
    typed = shlex.join(["dpnet", "launch", *before])
    if first.endswith(".toml"):
        raise ConfigError(f"{first} is no command; to train it: {typed} {shlex.join(['train', *command])}")
    if first.endswith(".py"):
        raise ConfigError(f"{first} is no command; to run it on the ranks: {typed} {shlex.join(['python', *command])}")
    raise ConfigError(f"{no_command(first, COMMANDS)}; or python and a program")


def job_of(command: Sequence[str]) -> Job:
    """The job that the arguments of `dpnet train`, with `train` itself in front, describe.

    Raises:
        DpnetError: see `shared.read_job`.
        SystemExit: the command line is wrong, or asks for help.
    """
    from dpnet.cli.commands.shared import read_job

    return read_job(make_parser().parse_args(list(command)))
