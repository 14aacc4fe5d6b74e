"""Trainings on a real Slurm: ranks on every host, signals of every form, the end of the time, lost hosts."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.faults import assert_same_result, undisturbed, wait_for
from helpers.hosts import Hosts
from helpers.mpirun import mpirun, vendor
from helpers.slurm import Slurm, obstacle, obstacle_to_pmix
from helpers.slurm_jobs import Submitted, write_job

from dpnet.allocation import expand

pytestmark = [pytest.mark.ranks, pytest.mark.slow, pytest.mark.timeout(900)]
NUM_HOSTS = 4
RECIPES = ("slurm.sbatch", "slurm-srun.sbatch", "mpirun", "srun")
SHORT_TIME = ("--time=1", "--signal=B:USR1@0")
OURS = ("dpnet", "mpirun", "prterun", "prted", "hydra", "srun")


@pytest.fixture(scope="module")
def slurm():
    mpirun(1)
    if why := obstacle() or (obstacle_to_pmix() if vendor() == "Open MPI" else ""):
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="dpnet-slurm-", dir="/tmp") as folder:
        for name in ("hosts", "slurm"):
            Path(folder, name).mkdir()
        with Hosts(Path(folder, "hosts"), NUM_HOSTS) as hosts, Slurm(Path(folder, "slurm"), hosts) as made:
            yield made


@pytest.fixture
def left(slurm):
    """After a test nothing of its jobs runs on any host."""
    yield
    assert wait_for(lambda: not processes(slurm), 10), processes(slurm)


def processes(slurm):
    """Command lines of what dpnet and launchers of ranks run on the hosts."""
    found = []
    for name in slurm.hosts.names:
        for pid in slurm.hosts.pids(name):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if any(word in line for word in OURS) and "slurmd" not in line:
                found.append(f"{name}: {line}")
    return found


# --- where ranks run ---


@pytest.mark.parametrize(("nodes", "tasks", "cpus"), [(2, 2, 1), (4, 1, 2)])
def test_each_recipe_has_the_ranks_that_were_asked_for_on_every_host(tmp_path, slurm, left, nodes, tasks, cpus):
    job = write_job(tmp_path, steps=3, shards=0)
    asked = (f"--nodes={nodes}", f"--ntasks-per-node={tasks}", f"--cpus-per-task={cpus}")
    jobs = [Submitted(slurm, tmp_path / name, name, job, *asked) for name in RECIPES]
    for made in jobs:
        assert made.ended() == "COMPLETED", f"{made.name}: {made.read()}"
        assert made.ranks() == dict.fromkeys([f"node{number + 1}" for number in range(nodes)], tasks) or (
            sorted(made.ranks().values()) == [tasks] * nodes
        ), f"{made.name}: {made.read()}"
        assert made.status() == "finished"


def test_the_list_of_hosts_is_read_as_slurm_reads_it(slurm):
    for text in ("node[1-4]", "a[08-11,3],c,d[1-2]e[0-1]", "x"):
        assert expand(text) == slurm.call("scontrol", "show", "hostnames", text).split()


@pytest.mark.parametrize("start", ["dpnet train", "mpirun -n 1 dpnet train", "dpnet launch -n 1 -- train"])
def test_an_idle_host_is_refused_with_what_to_do_about_it(tmp_path, slurm, left, start):
    script = tmp_path / "script.sh"
    root = "--allow-run-as-root" if vendor() == "Open MPI" else ""
    script.write_text(
        f"#!/bin/bash\nexport PATH={os.path.dirname(sys.executable)}:$PATH\n{start.replace('-n 1 d', f'{root} -n 1 d')}"
    )
    output = tmp_path / "output.txt"
    asked = (f"--output={output}", "--nodes=2", f"--chdir={tmp_path}")
    number = slurm.submit(script, *asked)
    assert slurm.wait(number, 10) == "FAILED", output.read_text()
    assert slurm.job(number)["ExitCode"] == "2:0"
    assert "dpnet launch -- train" in output.read_text() or "leave out -n" in output.read_text()
    assert "node2" in output.read_text()
    assert not (tmp_path / "runs").exists()


# --- another turn ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    job = write_job(folder, steps=120)
    return job, undisturbed(folder, job)


def assert_completed_after_turns(made, undisturbed_run, turns=1):
    assert made.ended() == "COMPLETED", f"{made.name}: {made.read()}"
    assert int(made.job()["Restarts"]) >= turns, f"{made.name}: {made.read()}"
    assert_same_result(made.output, undisturbed_run)


def test_a_signal_of_every_form_leads_to_a_checkpoint_and_another_turn(tmp_path, slurm, left, whole):
    job, undisturbed_run = whole
    forms = {
        "steps": ("slurm.sbatch", ["--signal=USR1"]),
        "batch": ("slurm.sbatch", ["--batch", "--signal=USR1"]),
        "full": ("slurm.sbatch", ["--full", "--signal=USR1"]),
        "steps of srun": ("slurm-srun.sbatch", ["--signal=USR1"]),
    }
    asked = ("--nodes=2", "--ntasks-per-node=1")
    jobs = {
        form: Submitted(slurm, tmp_path / form, name, job, *asked, pause_s=0.08) for form, (name, _) in forms.items()
    }
    for form, made in jobs.items():
        made.at_step(30)
        slurm.call("scancel", *forms[form][1], made.number)
    for form, made in jobs.items():
        assert_completed_after_turns(made, undisturbed_run)
        assert "with a checkpoint" in made.read(), form
        assert "the job is queued again (scontrol requeue " in made.read(), form
