"""`dpnet launch`: start ranks that run a dpnet command.

Neither numpy nor pydantic is imported before something has to be read from a job file: a mere start of ranks needs
neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpnet.cli.parser import make_parser
from dpnet.launch.session import session
from dpnet.launch.supervise import launch

if TYPE_CHECKING:
    from dpnet.config.job import Job


def run(argv: Sequence[str]) -> int:
    """Launch as the arguments behind `launch` say; returns the exit code.

    Unlike other commands, this one takes its arguments as they are, since most of them are for mpirun, and no group: it
    runs once, and the ranks are its children.
    """
    with session():
        return launch(argv, job_of)


def job_of(command: Sequence[str]) -> Job:
    """The job that the arguments of `dpnet train`, with `train` itself in front, describe.

    Raises:
        DpnetError: see `shared.read_job`.
        SystemExit: the command line is wrong, or asks for help.
    """
    from dpnet.cli.commands.shared import read_job

    return read_job(make_parser().parse_args(list(command)))
