"""Ranks on the hosts that PBS has given a job, in the file that it names: hosts of this machine, and no real PBS."""

import os
import sys

import pytest
from helpers.hosts import Hosts, obstacle
from helpers.mpirun import mpirun, run_command
from helpers.vendor import vendor

REACH = {"Open MPI": ("--prtemca", "plm_ssh_agent"), "MPICH": ("-launcher-exec",)}
SHORT = ["train", "--set", "train.steps=3", "--set", "checkpoint.every_steps=0", "--set", "train.kernels=numpy"]


@pytest.mark.ranks
@pytest.mark.slow
def test_ranks_are_on_every_host_of_a_job_of_pbs_as_often_as_it_is_listed(tmp_path):
    mpirun(1)
    if why := obstacle():
        pytest.skip(why)
    (tmp_path / "hosts").mkdir()
    (tmp_path / "nodes").write_text("node1\nnode1\nnode2\n")
    job = {"PBS_JOBID": "1.server", "PBS_NODEFILE": str(tmp_path / "nodes")}
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    with Hosts(tmp_path / "hosts", 2) as hosts:
        reach = [*REACH[vendor()], str(hosts.agent)]
        launch = [sys.executable, "-m", "dpnet", "launch", *reach, "--", *SHORT, "--output", str(tmp_path / "run")]
        code, text = run_command(hosts.on("node1", launch), timeout_s=60, env={**job, "PATH": path})
    assert code == 0, text
    assert "3 ranks on 2 hosts" in text
    assert (tmp_path / "run/summary.json").exists()
