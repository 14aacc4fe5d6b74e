"""The command line: parses the arguments, runs the command, and reports its error.

An error that all ranks raise is printed once, by rank 0, and every rank ends with its exit code. An error that only one
rank knows of is printed by that rank, which then ends all others.
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

from dpnet.cli.limits import memory_ran_out
from dpnet.cli.parser import make_parser
from dpnet.comm.abort import abort
from dpnet.environment import launched
from dpnet.errors import INTERRUPTED_EXIT_CODE, DpnetError
from dpnet.output.screen import drop_standard_output
from dpnet.text import complain

if TYPE_CHECKING:
    from dpnet.comm.group import World  # It imports numpy, for which the threads must be set first.

USAGE_EXIT_CODE = 2


def run(argv: Sequence[str]) -> int:
    """Run one command.

    Args:
        argv: the arguments behind `dpnet`.

    Returns:
        exit code: 0 done, 1 error, 2 usage or configuration.
    """
    world: World | None = None
    try:
        if argv[:1] == ["launch"] and "--help" not in argv[:2] and "-h" not in argv[:2]:
            from dpnet.cli.commands import launch

            return launch.run(argv[1:])
        arguments = parse(argv)
        # Not above: parsing needs neither numpy nor MPI.
        from dpnet.cli.given import given_to_this_rank
        from dpnet.comm.alike import check_alike
        from dpnet.comm.connect import connect

        try:
            world = connect()
            check_alike(world, given_to_this_rank(argv, getattr(arguments, "job", None), world.host))
        except DpnetError as error:
            if isinstance(arguments, str) or arguments.command != "doctor":
                raise
            return _examine_alone(arguments, world, error)
        if isinstance(arguments, str):
            return _leave(USAGE_EXIT_CODE, world, arguments)
        arguments.argv = [*argv]
        command = importlib.import_module(f"dpnet.cli.commands.{arguments.command}")
        return _leave(int(command.run(arguments, world)), world)
    except DpnetError as error:
        return _report(error, world)
    except MemoryError as error:
        return _report(DpnetError(memory_ran_out(error)), world)
    except KeyboardInterrupt:
        if launched().rank == 0:
            sys.stderr.write("Interrupted: Ctrl-C\n")
        return _stop(INTERRUPTED_EXIT_CODE, world)
    except BrokenPipeError:
        # The reader of stdout is gone, as behind `dpnet inspect ... | head`.
        drop_standard_output()
        return _stop(1, world)


def parse(argv: Sequence[str]) -> argparse.Namespace | str:
    """Parse the arguments; of several ranks, rank 0 alone prints the help.

    Returns:
        the parsed arguments; on one of several ranks, if they are wrong, why. Whether all ranks were given the same is
        not known yet.

    Raises:
        SystemExit: with code 2 if the arguments of the only rank are wrong, with 0 after the help or the version.
    """
    # argparse would look for translations of each of its words, which dpnet has none of: 170 files that are not there.
    os.environ["LANGUAGE"], language = "C", os.environ.get("LANGUAGE")
    try:
        return _parse(argv)
    finally:
        del os.environ["LANGUAGE"]
        if language is not None:
            os.environ["LANGUAGE"] = language


def _parse(argv: Sequence[str]) -> argparse.Namespace | str:
    me, told = launched(), io.StringIO()
    if me.world_size == 1:
        return make_parser().parse_args(argv)
    try:
        out = sys.stdout if me.rank == 0 else io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
            return make_parser().parse_args(argv)
    except SystemExit as stop:
        if stop.code:
            return told.getvalue()
        if me.rank == 0:
            raise
        _end_after_rank_0(0)


def _examine_alone(arguments: argparse.Namespace, world: World | None, obstacle: DpnetError) -> int:
    """Ranks that do not get together are what a doctor is for: the first one looks alone, and tells."""
    code = 0 if world is None else 1  # Without a world nobody waits for the first one, and an error would end it.
    if (launched().rank if world is None else world.rank) == 0:
        from dpnet.comm.local import LocalGroup

        arguments.obstacle = obstacle
        code = int(importlib.import_module("dpnet.cli.commands.doctor").run(arguments, LocalGroup()))
    return code if world is None else _leave(code, world)


def _report(error: DpnetError, world: World | None) -> int:
    world_size = launched().world_size if world is None else world.world_size
    rank = launched().rank if world is None else world.rank
    if not error.agreed and world_size > 1:
        _print_error(f"{error} (rank {rank}, {socket.gethostname()})", error)
        abort(error.exit_code, world)
    if rank == 0:
        _print_error(str(error), error)
    elif world is None:
        _end_after_rank_0(error.exit_code)  # The ranks have not connected, so `_leave` cannot wait for rank 0.
    return error.exit_code if world is None else _leave(error.exit_code, world)


def _leave(exit_code: int, world: World, why: str = "") -> int:
    if why and world.rank == 0:
        complain(why.rstrip("\n"))
    if exit_code or world.survives_losses:
        world.leave()  # The first rank that exits with an error ends the others: let rank 0 print first.
    if world.survives_losses:
        # MPI is not finalised (see `comm/mpi.py`), so its exit handlers must not run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    return exit_code


def _print_error(text: str, error: DpnetError) -> None:
    sys.stdout.flush()
    complain(f"{type(error).__name__}: {text}")


def _stop(exit_code: int, world: World | None) -> int:
    if launched().world_size > 1:
        # A normal exit would wait in MPI_Finalize for ranks that wait for this one.
        abort(exit_code, world)
    return exit_code


def _end_after_rank_0(exit_code: int) -> NoReturn:
    # The launcher ends all ranks as soon as one of them fails: give rank 0 the time to print why.
    if exit_code:
        time.sleep(1)
    sys.stdout.flush()
    os._exit(exit_code)
