"""Several hosts with a network of their own: a rank is killed, a cable is cut, a host dies."""

import os
import random
import signal
import sys

import pytest
from helpers.faults import assert_same_result, train_arguments, undisturbed, write_job
from helpers.hosts import HEAD, LAUNCH, Hosts, obstacle
from helpers.jobs import metrics
from helpers.mpirun import mpirun, start
from helpers.night import times
from helpers.vendor import vendor

from dpnet.output.metrics_file import last_step

pytestmark = [pytest.mark.ranks, pytest.mark.slow, pytest.mark.timeout(900)]
NUM_HOSTS = 4
SEEDS = range(times("DPNET_TEST_HOSTS", day=1, night=20))
EPOCHS = 15


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    mpirun(1)
    if vendor() != "Open MPI":
        pytest.skip(f"{vendor()} does not survive the loss of a rank")
    if why := obstacle():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("whole")
    job = write_job(folder, epochs=EPOCHS)
    return job, undisturbed(folder, job)


@pytest.fixture
def hosts(tmp_path):
    folder = tmp_path / "hosts"
    folder.mkdir()
    with Hosts(folder, NUM_HOSTS) as made:
        yield made


def assert_survived(hosts, whole, output, chance, restarts, deed):
    """Train on all hosts, one rank each, and do something to them at some step; the result stays the same."""
    job, undisturbed_run = whole
    listed = ",".join(f"{name}:1" for name in hosts.names)
    options = ["-n", str(NUM_HOSTS), "--host", listed, "--prtemca", "plm_ssh_agent", str(hosts.agent)]
    launch = [sys.executable, "-c", LAUNCH, "launch", "--max-restarts", str(restarts), *options, "--"]
    line = hosts.on(HEAD, [*launch, *train_arguments(job, output, "resilience.timeout_s=60")])
    started = start(line, env={"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"})
    try:
        at_step = chance.randint(10, 170)
        assert started.reaches(lambda: last_step(output / "metrics.jsonl") >= at_step, 60), started.read()
        deed()
        assert started.wait(120) == 0, started.read()
    finally:
        started.close()
    assert_same_result(output, undisturbed_run)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rank_killed_on_one_of_several_hosts_is_survived(tmp_path, whole, hosts, seed):
    chance = random.Random(seed)
    name = chance.choice(hosts.names)

    def kill():
        (pid,) = ranks_on(hosts, name)
        os.kill(pid, signal.SIGKILL)

    assert_survived(hosts, whole, tmp_path / "run", chance, 0, kill)
    (loss,) = [row for row in metrics(tmp_path / "run") if row.get("event") == "ranks_lost"]
    assert loss["hosts"] == [name]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_host_whose_cable_is_cut_is_survived(tmp_path, whole, hosts, seed):
    chance = random.Random(seed)
    name = chance.choice(hosts.names)
    assert_survived(hosts, whole, tmp_path / "run", chance, 2, lambda: hosts.cut(name))


@pytest.mark.night  # By day the cable that is cut stands for it: nobody hears of the host any more, and it is left out.
@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_host_has_died_the_job_is_restarted_on_the_others(tmp_path, whole, hosts, seed):
    chance = random.Random(seed)
    name = chance.choice(hosts.names)

    def crash():
        hosts.crash(name)
        hosts.cut(name)

    assert_survived(hosts, whole, tmp_path / "run", chance, 2, crash)


def ranks_on(hosts, name):
    """Processes of ranks on a host."""
    found = []
    for pid in hosts.pids(name):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        if b"train" in words and b"python" in words[0]:
            found.append(pid)
    return found
