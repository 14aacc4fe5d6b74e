"""What `dpnet launch` does about an MPI that fails before the job has begun."""

import subprocess
import sys

import pytest

LAUNCH = """
import sys
from dpnet.launch.launcher import Launcher
from dpnet.launch.options import parse
from dpnet.launch.signals import Signals

options = parse(sys.argv[2:], in_batch=False)
with Signals() as signals:
    sys.exit(Launcher(sys.argv[1], options, None).start(options.mpirun, options.command, signals).code)
"""
MPIRUN = """#!/bin/sh
if [ "$1" = --version ]; then echo 'mpirun (Open MPI) 5.0.11'; exit; fi
echo >> {turns}
if [ $(wc -l < {turns}) -gt {crashes} ]; then echo trained; exit 0; fi
echo '[node3:26929] Signal: Segmentation fault (11)' >&2
echo '[node3:26929] [ 9] /mpi/lib/libmpi.so.40({call}+0x5d)[0x7f0c2a]' >&2
exit 139
"""


def turns_of(folder, crashes, call="PMPI_Init_thread"):
    """How often an mpirun was started whose ranks crash so often; its exit code, and all that was printed."""
    mpirun, turns = folder / "mpirun", folder / "turns"
    mpirun.write_text(MPIRUN.format(turns=turns, crashes=crashes, call=call))
    mpirun.chmod(0o755)
    line = [sys.executable, "-c", LAUNCH, str(mpirun), "-n", "2", "--", "train"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    return len(turns.read_text().splitlines()), done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("crashes", "turns", "code"), [(0, 1, 0), (1, 2, 0), (2, 3, 0), (9, 3, 139)])
def test_ranks_that_crashed_in_the_initialisation_of_mpi_are_started_again(tmp_path, crashes, turns, code):
    seen, exit_code, text = turns_of(tmp_path, crashes)
    assert (seen, exit_code) == (turns, code), text
    assert text.count("all ranks are started again") == turns - 1
    assert ("trained" in text) == (code == 0)


def test_ranks_that_crashed_later_are_not(tmp_path):
    seen, exit_code, text = turns_of(tmp_path, 1, call="MPI_Allreduce")
    assert (seen, exit_code) == (1, 139), text
