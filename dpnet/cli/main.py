"""The command line: what may be said, and how an error is told.

An error that all ranks raise is told once, by rank 0, and every rank ends with its exit code. An error that only one
rank knows of is told by that rank, which then ends all others.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from dpnet.cli.parser import make_parser
from dpnet.comm.abort import abort
from dpnet.environment import launched
from dpnet.errors import DpnetError

if TYPE_CHECKING:
    from dpnet.comm.group import Group  # It imports numpy, for which the threads must be set first.

USAGE_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130  # As a shell has it: 128 + SIGINT.


def run(argv: Sequence[str]) -> int:
    """Run one command.

    Args:
        argv: the arguments behind `dpnet`.

    Returns:
        exit code: 0 done, 1 error, 2 usage or configuration.
    """
    group: Group | None = None
    try:
        if argv[:1] == ["launch"] and "--help" not in argv[:2] and "-h" not in argv[:2]:
            from dpnet.launch.supervise import launch

            return launch(argv[1:])
        arguments = parse(argv)
        # Not above: parsing needs neither numpy nor MPI.
        from dpnet.comm.connect import connect

        command = importlib.import_module(f"dpnet.cli.commands.{arguments.command}")
        group = connect()
        return _leave(int(command.run(arguments, group)), group)
    except DpnetError as error:
        return _tell(error, group)
    except KeyboardInterrupt:
        return _stop(INTERRUPTED_EXIT_CODE, group)
    except BrokenPipeError:
        # Nobody reads on, as behind `dpnet inspect ... | head`. Python would try again at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _stop(1, group)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; only rank 0 tells what is wrong with them, or prints the help.

    Raises:
        SystemExit: with code 2 if they are wrong, with 0 after the help or the version.
    """
    if launched().rank == 0:
        return make_parser().parse_args(argv)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return make_parser().parse_args(argv)
    except SystemExit as stop:
        _end_after_rank_0(int(stop.code or 0))


def _tell(error: DpnetError, group: Group | None) -> int:
    world_size = launched().world_size if group is None else group.world_size
    rank = launched().rank if group is None else group.rank
    if not error.agreed and world_size > 1:
        _print_error(f"{error} (rank {rank}, {socket.gethostname()})", error)
        abort(error.exit_code, group)
    if rank == 0:
        _print_error(str(error), error)
    elif group is None:
        _end_after_rank_0(error.exit_code)  # No rank has met another yet.
    return error.exit_code if group is None else _leave(error.exit_code, group)


def _leave(exit_code: int, group: Group) -> int:
    if exit_code or group.survives_losses:
        group.leave()  # The first rank to end with an error ends the others: let rank 0 speak first.
    if group.survives_losses:
        # MPI is not finalised, see `comm/mpi.py`: what its library would do at the end of the process is not to be had.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    return exit_code


def _print_error(text: str, error: DpnetError) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"{type(error).__name__}: {text}\n")
    sys.stderr.flush()


def _stop(exit_code: int, group: Group | None) -> int:
    if launched().world_size > 1:
        # Leaving by the front door would wait in MPI_Finalize for ranks that wait for this one.
        abort(exit_code, group)
    return exit_code


def _end_after_rank_0(exit_code: int) -> NoReturn:
    # The launcher ends all ranks as soon as one of them fails: leave rank 0 the time to say why.
    if exit_code:
        time.sleep(1)
    sys.stdout.flush()
    os._exit(exit_code)
