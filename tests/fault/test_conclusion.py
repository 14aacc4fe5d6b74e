"""A rank dies while some ranks agree that all work is done, and others have not come that far: all meet, none waits."""

import sys

import pytest
from helpers.faults import survivable
from helpers.mpirun import mpirun, run_command
from helpers.vendor import vendor

pytestmark = [pytest.mark.ranks, pytest.mark.slow]

CONCLUDING = """
import os, signal, sys, threading, time
from dpnet.comm.connect import connect
from dpnet.errors import WorkerLost
world = connect()
me, dies, behind = world.rank, int(sys.argv[1]), int(sys.argv[2])
world.barrier()
if me == dies:
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
try:
    if me == behind:
        time.sleep(0.8)
        world.barrier()  # The others have left the collective before the conclusion; one of them has died since.
    world.conclude()
    state = "concluded"
except WorkerLost:
    world.shrink()
    state = "goes on"
    world.barrier()
    world.conclude()
sys.stdout.write(f"{state} {world.world_size}\\n")
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize(("dies", "behind", "ranks_per_node"), [(1, 0, 0), (0, 2, 0), (2, 1, 2)])
def test_ranks_in_the_conclusion_and_ranks_before_it_go_on_together(tmp_path, dies, behind, ranks_per_node):
    mpirun(1)
    if vendor() != "Open MPI":
        pytest.skip(f"{vendor()} does not survive the loss of a rank")
    script = tmp_path / "script.py"
    script.write_text(CONCLUDING)
    command = [*survivable(4), sys.executable, str(script), str(dies), str(behind)]
    code, text = run_command(command, timeout_s=60, env={"DPNET_RANKS_PER_NODE": str(ranks_per_node)})
    assert code == 0, text
    assert text.count("goes on 3") == 3, text
