"""Ranks on the hosts of a batch job, as options of what starts them."""

import pytest

from dpnet.allocation import Allocation
from dpnet.errors import ConfigError
from dpnet.launch.batch.placement import AGENT, HYDRA, INTEL, OPEN_MPI, SRUN, Place, flags, placed, spread, variables

TASKS = {"a": 2, "b": 2, "c": 1}
JOB = Allocation("Slurm", "12", TASKS)
FEW = Allocation("Slurm", "12", {"a": 2, "b": 2}, cpus_per_task=3)


@pytest.fixture(autouse=True)
def no_threads(monkeypatch):
    monkeypatch.setattr("dpnet.launch.batch.placement.threads_from_user", lambda: 0)


@pytest.mark.parametrize(
    ("ranks", "dealt"), [(5, [2, 2, 1]), (3, [1, 1, 1]), (4, [2, 1, 1]), (8, [3, 3, 2]), (12, [5, 4, 3])]
)
def test_every_host_has_ranks(ranks, dealt):
    assert list(spread(ranks, TASKS).values()) == dealt


def test_no_host_has_more_ranks_than_tasks_while_others_have_room():
    assert list(spread(5, {"a": 4, "b": 1, "c": 1}).values()) == [3, 1, 1]


def test_fewer_ranks_than_hosts_are_refused_with_what_to_do():
    with pytest.raises(
        ConfigError, match=r"-n 2 leaves 1 host of this job without a rank \(c\): leave out -n for 5 ranks"
    ):
        spread(2, TASKS)


@pytest.mark.parametrize(
    ("starter", "expected"),
    [
        (OPEN_MPI, "--host a:2,b:2 -n 4 -x A"),
        (HYDRA, "-hosts a:2,b:2 -n 4 -x A"),
        (INTEL, "-hosts a,b -ppn 2 -n 4 -x A"),
        (SRUN, "--nodes 2 --cpus-per-task 3 -n 4 -x A"),
    ],
)
def test_the_allocation_is_passed_on_explicitly(starter, expected):
    assert placed(["-x", "A"], Place(FEW, starter)) == expected.split()


def test_hosts_and_numbers_of_the_user_stay():
    assert placed(["-n", "3"], Place(JOB, OPEN_MPI)) == ["--host", "a:1,b:1,c:1", "-n", "3"]
    assert placed(["-n", "3", "--host", "a:3"], Place(JOB, OPEN_MPI)) == ["-n", "3", "--host", "a:3"]
    assert placed(["-n", "3", "-w", "a"], Place(JOB, SRUN)) == ["-n", "3", "-w", "a"]


def test_ranks_learn_which_hosts_to_expect_and_how_many_cores_they_have():
    found = variables(["--host", "a:2,b:2", "-n", "4"], Place(FEW, OPEN_MPI))
    assert found["DPNET_HOSTS"] == "a,b"
    assert found["OMP_NUM_THREADS"] == found["SLURM_CPUS_PER_TASK"] == "3"
    assert "OMP_NUM_THREADS" not in variables(["--host", "a:2"], Place(JOB, OPEN_MPI))


def test_open_mpi_finds_room_for_what_was_dealt_also_without_a_host_that_was_lost():
    assert variables(["--host", "a:4,c:1", "-n", "5"], Place(JOB, OPEN_MPI))["SLURM_TASKS_PER_NODE"] == "4,1,1"
    assert variables(["--host", "a:4,c:1", "-n", "5"], Place(JOB, OPEN_MPI))["DPNET_HOSTS"] == "a,c"
    assert "SLURM_TASKS_PER_NODE" not in variables(["-hosts", "a:4", "-n", "4"], Place(JOB, HYDRA))


def test_threads_of_the_user_win(monkeypatch):
    monkeypatch.setattr("dpnet.launch.batch.placement.threads_from_user", lambda: 4)
    assert "OMP_NUM_THREADS" not in variables(["--host", "a:2"], Place(FEW, OPEN_MPI))


def test_hosts_in_a_file_are_not_known():
    assert variables(["--hostfile", "f"], Place(JOB, OPEN_MPI))["DPNET_HOSTS"] == "any"


def test_daemons_of_open_mpi_outlive_a_signal_to_all_steps():
    found = flags(["-n", "2"], Place(JOB, OPEN_MPI), {"DPNET_HOSTS": "a", "OTHER": "1"})
    assert found == ["-x", "DPNET_HOSTS", "--prtemca", "prte_launch_agent", f"sh {AGENT} prted"]
    assert AGENT.exists()
    assert flags(["--prtemca", "prte_launch_agent", "mine"], Place(JOB, OPEN_MPI), {}) == []
    assert flags([], Place(JOB, HYDRA), {"DPNET_HOSTS": "a"}) == []
