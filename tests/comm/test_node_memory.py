"""Shared memory of ranks that are killed: nothing of it stays in /dev/shm, whatever they were doing."""

import os
import random
import sys
import tempfile
import time

import pytest
from helpers.faults import wait_for
from helpers.mpirun import mpirun, start
from helpers.night import times

pytestmark = pytest.mark.ranks

ALLOCATING = """
import os, pathlib
from dpnet.comm.connect import connect
from dpnet.comm.node_memory import SharedMemory
group = connect()
memory = SharedMemory(group, os.environ["MEMORY"])
while True:
    vector = memory.zeros(1 << 20, "f4")
    pathlib.Path(f"{os.environ['FOLDER']}/{group.rank}").touch()
"""


@pytest.fixture
def memory():
    """A folder in memory, in place of /dev/shm, which other programs use as well."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield folder


@pytest.mark.parametrize("seed", range(times("DPNET_TEST_ALLOCATIONS", day=1, night=20)))
def test_ranks_that_are_killed_while_they_allocate_leave_nothing(tmp_path, memory, seed):
    script = tmp_path / "script.py"
    script.write_text(ALLOCATING)
    job = start([*mpirun(2), sys.executable, str(script)], env={"FOLDER": str(tmp_path), "MEMORY": memory})
    try:
        assert wait_for(lambda: (tmp_path / "0").exists() and (tmp_path / "1").exists()), job.read()
        time.sleep(random.Random(seed).random() * 0.1)
    finally:
        job.close()  # SIGKILL to mpirun and all ranks at once.
    assert os.listdir(memory) == []
