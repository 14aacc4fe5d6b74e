"""Trainings on a real Slurm: ranks on every host, signals of every form, the end of the time, lost hosts."""

import os
import random
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers.faults import assert_same_result, summary, undisturbed, wait_for
from helpers.hosts import Hosts
from helpers.mpirun import mpirun
from helpers.night import NIGHT, at_night, times
from helpers.own_files import ROOT
from helpers.slurm import Slurm, obstacle, obstacle_to_pmix
from helpers.slurm_jobs import Submitted, write_job
from helpers.vendor import vendor

from dpnet.allocation import expand
from dpnet.compute.cores.available import available_cores

pytestmark = [pytest.mark.ranks, pytest.mark.slow, pytest.mark.timeout(900)]
NUM_HOSTS = 4
RECIPES = ("slurm.sbatch", "slurm-srun.sbatch", "mpirun", "srun")
TWO_HOSTS = ("--nodes=2", "--ntasks-per-node=1")


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
def one_mpi():
    """By day, what is Slurm's own affair is tried with one MPI alone."""
    if vendor() != "Open MPI" and not NIGHT:
        pytest.skip("tried with Open MPI")


def assert_nothing_left(*jobs):
    """Assert that no process of these jobs, which have ended, runs on any host."""
    for made in jobs:
        assert wait_for(lambda made=made: not made.processes(), 10), (made.name, made.processes())


# --- where ranks run ---


@pytest.mark.parametrize(("nodes", "tasks", "cpus"), [(2, 2, 1), at_night(4, 1, 2)])
def test_each_recipe_has_the_ranks_that_were_asked_for_on_every_host(tmp_path, slurm, nodes, tasks, cpus):
    job = write_job(tmp_path, steps=3, shards=0)
    asked = (f"--nodes={nodes}", f"--ntasks-per-node={tasks}", f"--cpus-per-task={cpus}")
    jobs = [Submitted(slurm, tmp_path / name, name, job, *asked) for name in RECIPES]
    for made in jobs:
        # Open MPI's ranks may crash in MPI_Init where srun starts them on a busy host; launch/README.md has it.
        if made.ended() == "FAILED" and made.name == "srun" and "mca_pml_ob1_recv_frag" in made.read():
            slurm.call("scontrol", "requeue", made.number)
        assert made.ended() == "COMPLETED", f"{made.name}: {made.read()}"
        hosts, threads = expand(made.job()["NodeList"]), min(cpus, max(1, available_cores() // tasks))
        assert len(hosts) == nodes
        assert made.ranks() == [(host, threads) for host in hosts for _ in range(tasks)], f"{made.name}: {made.read()}"
        assert made.status() == "finished"
    assert_nothing_left(*jobs)


def test_the_list_of_hosts_is_read_as_slurm_reads_it(slurm):
    for text in ("node[1-4]", "a[08-11,3],c,d[1-2]e[0-1]", "x"):
        assert expand(text) == slurm.call("scontrol", "show", "hostnames", text).split()


@pytest.mark.parametrize("start", ["mpirun -n 1 dpnet train", "dpnet launch -n 1 -- train", at_night("dpnet train")])
def test_an_idle_host_is_refused_with_what_to_do_about_it(tmp_path, slurm, start):
    script = tmp_path / "script.sh"
    root = "--allow-run-as-root" * (vendor() == "Open MPI")
    script.write_text(
        f"#!/bin/bash\nexport PATH={os.path.dirname(sys.executable)}:$PATH\n{start.replace('-n 1 d', f'{root} -n 1 d')}"
    )
    output = tmp_path / "output.txt"
    number = slurm.submit(script, f"--output={output}", "--nodes=2", f"--chdir={tmp_path}")
    assert slurm.wait(number, 10) == "FAILED", output.read_text()
    assert slurm.job(number)["ExitCode"] == "2:0"
    assert "dpnet launch -- train" in output.read_text() or "leave out -n" in output.read_text()
    assert "node2" in output.read_text()
    assert not (tmp_path / "runs").exists()


def test_a_training_that_is_submitted_is_followed_to_its_end(tmp_path, slurm, one_mpi, monkeypatch):
    folder = tmp_path / "a 'b\" c%j #"
    folder.mkdir()
    monkeypatch.chdir(folder)
    job = write_job(folder, steps=3).name
    asked = ["--nodes=2", "--ranks-per-node=1", "--time=00:05:00", "--partition=main", job]
    submit = [sys.executable, "-m", "dpnet", "submit", *asked]
    array = re.search(r"submitted: job (\d+)", slurm.call(*submit, "--seeds=1..2", "--output=both"))[1]
    told = slurm.call(*submit, "--wait", "--output=run")
    number = re.search(r"submitted: job (\d+)", told)[1]
    assert "2 ranks on 2 hosts" in told
    assert "2 ranks on 2 hosts" in (folder / f"run/slurm-{number}.out").read_text()
    for task in ("1", "2"):
        assert slurm.wait(f"{array}_{task}", 60) == "COMPLETED", (folder / f"both/slurm-{array}_{task}.out").read_text()
    seen = [summary(folder / name) for name in ("run", "both/seed-1", "both/seed-2")]
    assert [(one["status"], one["world_size"]) for one in seen] == [("finished", 2)] * 3
    assert len({one["digest"] for one in seen[1:]}) == 2, "both tasks have one seed"


# --- another turn ---


@pytest.fixture(scope="module")
def timed(tmp_path_factory, slurm):
    """Jobs with too little time, and the run directory of one that has enough."""
    folder = tmp_path_factory.mktemp("timed")
    job = write_job(folder, steps=150)
    # Slurm sends the signal up to a minute early.
    ways = {"no signal": "--time=1", "no exec": "--time=1", "slurm.sbatch": "--time=2 --signal=B:USR1@75"}
    if vendor() != "Open MPI":
        ways = {}  # Slurm's clock is the same for all.
    jobs = [
        Submitted(slurm, folder / name.replace(" ", "-"), name, job, *options.split(), *TWO_HOSTS, pause_s=0.3)
        for name, options in ways.items()
    ]
    return undisturbed(folder, job), jobs


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    job = write_job(folder, steps=120)
    return job, undisturbed(folder, job)


def assert_completed_after_turns(made, undisturbed_run, turns=1):
    assert made.ended() == "COMPLETED", f"{made.name}: {made.read()}"
    assert int(made.job()["Restarts"]) >= turns, f"{made.name}: {made.read()}"
    assert_same_result(made.output, undisturbed_run)


def test_a_signal_of_every_form_leads_to_a_checkpoint_and_another_turn(tmp_path, slurm, whole):
    job, undisturbed_run = whole
    forms = {
        "steps": ("slurm.sbatch", "--signal=USR1"),
        "batch": ("slurm.sbatch", "--batch --signal=USR1"),
        "full": ("slurm.sbatch", "--full --signal=USR1"),
        "steps-of-srun": ("slurm-srun.sbatch", "--signal=USR1"),
        "array": ("slurm.sbatch", "--signal=USR1"),
    }
    jobs = {}
    for form, (name, _) in forms.items():
        options = (*TWO_HOSTS, *["--array=0-1"] * (form == "array"))
        jobs[form] = Submitted(slurm, tmp_path / form, name, job, *options, pause_s=0.08)
    for form, made in jobs.items():
        made.at_step(30)
        slurm.call("scancel", *forms[form][1].split(), made.number)
    for form, made in jobs.items():
        assert_completed_after_turns(made, undisturbed_run)
        assert "with a checkpoint" in made.read(), form
        assert f"the job is queued again (scontrol requeue {made.number})" in made.read(), form
    assert slurm.job(jobs["array"].number.replace("_0", "_1"))["Restarts"] == "0"
    assert_nothing_left(*jobs.values())


@pytest.mark.night  # No time of a job is shorter than a minute.
def test_the_end_of_the_time_leads_to_a_checkpoint_and_another_turn(slurm, one_mpi, timed):
    undisturbed_run, jobs = timed
    for made in jobs:
        assert_completed_after_turns(made, undisturbed_run)
        assert made.name == "slurm.sbatch" or "the time of the job is nearly up" in made.read()
    assert_nothing_left(*jobs)


def test_jobs_that_are_not_to_go_on_do_not_and_say_what_to_type(tmp_path, slurm, one_mpi, whole):
    ways = {"cancelled": (), "forbidden": ("--no-requeue",)}
    cancelled, forbidden = (
        Submitted(slurm, tmp_path / way, "slurm.sbatch", whole[0], *TWO_HOSTS, *options, pause_s=0.08)
        for way, options in ways.items()
    )
    cancelled.at_step(10)
    slurm.call("scancel", cancelled.number)
    forbidden.at_step(10)
    slurm.call("scancel", "--batch", "--signal=USR1", forbidden.number)
    assert cancelled.ended() == "CANCELLED"
    assert cancelled.job()["Restarts"] == "0"
    assert forbidden.ended() == "FAILED"
    assert forbidden.job()["ExitCode"] == "75:0"
    assert f"Type: sbatch {ROOT}/launch/slurm.sbatch" in forbidden.read()
    assert (cancelled.status(), forbidden.status()) == ("", "")
    assert_nothing_left(cancelled, forbidden)


@pytest.mark.night  # Slurm takes half a minute to notice.
@pytest.mark.parametrize(("the_first", "cut"), [(False, False), (True, False), (False, True)])
def test_after_a_host_has_died_the_job_goes_on_on_others(tmp_path, slurm, one_mpi, whole, the_first, cut):
    job, undisturbed_run = whole
    made = Submitted(slurm, tmp_path / "job", "slurm.sbatch", job, *TWO_HOSTS, pause_s=0.08)
    made.at_step(30)
    first = made.job()["BatchHost"]
    name = first if the_first else next(host for host in expand(made.job()["NodeList"]) if host != first)
    slurm.hosts.crash(name)
    if cut:
        slurm.hosts.cut(name)
    try:
        assert_completed_after_turns(made, undisturbed_run)
    finally:
        slurm.hosts.mend(name)
        slurm.start_node(name)
    assert_nothing_left(made)


# --- any end ---

SENT = {
    "steps USR1": ["scancel", "--signal=USR1"],
    "steps TERM": ["scancel", "--signal=TERM"],
    "cancel": ["scancel"],
    "batch USR1": ["scancel", "--batch", "--signal=USR1"],
    "batch TERM": ["scancel", "--batch", "--signal=TERM"],
    "full USR1": ["scancel", "--full", "--signal=USR1"],
    "full TERM": ["scancel", "--full", "--signal=TERM"],
    "requeue": ["scontrol", "requeue"],
}
"""What is sent to a job."""
KILLED = {
    "rank": ["-m dpnet train"],
    "mpirun": ["mpirun ", "prterun ", "srun "],
    "daemon": ["prted ", "hydra_pmi_proxy "],
    "launch": ["dpnet launch"],
}
"""A process of these is killed, if the job has any."""
FOR_GOOD = ("launch", "cancel")
"""What nobody queues the job again after: who would is gone, or its user does not want it."""


@pytest.mark.night
@pytest.mark.parametrize("first", range(0, times("DPNET_TEST_SLURM", day=2, night=50), 2))
def test_no_job_counts_as_completed_without_its_result(tmp_path, slurm, one_mpi, whole, first):
    (job, undisturbed_run), jobs, asked = whole, [], ("--nodes=2", "--ntasks-per-node=2")
    for seed in (first, first + 1):
        chance = random.Random(seed)
        name, what = chance.choice(["slurm.sbatch", "slurm-srun.sbatch"]), chance.choice([*SENT, *KILLED])
        made = Submitted(slurm, tmp_path / str(seed), name, job, *asked, pause_s=0.05)
        jobs.append((made, what, chance))
    for made, what, chance in jobs:
        made.at_step(chance.randint(5, 80))
        time.sleep(chance.random() / 5)
        end(made, what, chance)
    for made, what, _ in jobs:
        state = made.ended()
        assert (state == "COMPLETED") == (made.status() == "finished"), f"{what}, {made.name}: {state} {made.read()}"
        assert state == "COMPLETED" or what in FOR_GOOD, f"{what}, {made.name}: {state} {made.read()}"
        if state == "COMPLETED":
            assert_same_result(made.output, undisturbed_run)
    assert_nothing_left(*(made for made, _, _ in jobs))


def end(made, what, chance):
    """Do it to a job."""
    if what in SENT:
        made.slurm.call(*SENT[what], made.number, check=False)
        return
    lines = {pid: line for pid, line in made.processes().items() if ("dpnet launch" in line) == (what == "launch")}
    there = [pid for pid, line in lines.items() if any(text in line for text in KILLED[what])]
    for pid in there and [chance.choice(there)]:
        os.kill(pid, signal.SIGKILL)
