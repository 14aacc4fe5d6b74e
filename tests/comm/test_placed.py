"""Ranks are where the batch job has hosts, on all of them, and nowhere else."""

import socket

import pytest
from helpers.jobs import train

from dpnet.comm.local import LocalGroup
from dpnet.comm.placed import check_hosts, expected_hosts, misplaced
from dpnet.environment import HOSTS
from dpnet.errors import ConfigError

JOB = {"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_TASKS_PER_NODE": "2(x2)"}
PROXY = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NODELIST": "node2"}


def test_an_idle_host_is_named():
    assert "no rank runs on node2. Start it with `dpnet launch" in misplaced(["node1", "node2"], ["node1"])


def test_a_host_that_the_job_has_not_is_named():
    assert "ranks run on c, which is not among them" in misplaced(["a"], ["a", "c"])
    assert "no rank runs on b and ranks run on c" in misplaced(["a", "b"], ["a", "c"])


@pytest.mark.parametrize(
    ("expected", "hosts"),
    [
        (["a", "b"], ["b", "a"]),
        (["a", "b"], ["a.site.org", "b.site.org"]),
        (["a.site.org"], ["a"]),
        ([], ["a"]),
        (["node1", "node2"], ["ip-10-0-0-1"]),  # Slurm's names, none of which is a host's own.
    ],
)
def test_ranks_that_are_right_or_that_nobody_can_judge_are_left_alone(expected, hosts):
    assert misplaced(expected, hosts) == ""


@pytest.mark.parametrize(
    ("environ", "hosts"),
    [
        ({}, []),
        (JOB, ["node1", "node2"]),
        # srun's own ranks, with either plugin, have the hosts of the step.
        ({**JOB, **PROXY}, ["node2"]),
        ({**JOB, **PROXY, "PMI_RANK": "0", "PMI_SIZE": "1"}, ["node2"]),
        # mpirun has srun start its helpers: their step is not that of the ranks.
        ({**JOB, **PROXY, "PMI_RANK": "0", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "1"}, ["node1", "node2"]),
        ({**JOB, **PROXY, "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, ["node1", "node2"]),
        ({**JOB, HOSTS: "node1"}, ["node1"]),
        ({**JOB, HOSTS: "any"}, []),
    ],
)
def test_what_is_expected_follows_from_who_has_started_the_rank(environ, hosts):
    assert expected_hosts(environ) == hosts


def test_all_ranks_refuse_an_idle_host(monkeypatch):
    group = LocalGroup()
    group.host = "node1"
    with pytest.raises(ConfigError, match="no rank runs on node2") as refused:
        check_hosts(group, JOB)
    assert refused.value.agreed
    assert check_hosts(group, {**JOB, HOSTS: "any"}) == ""


def test_a_training_beside_an_idle_host_is_refused_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_JOB_NODELIST", f"{socket.gethostname()},other")
    with pytest.raises(ConfigError, match="no rank runs on other"):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_step_with_a_part_of_the_job_is_told():
    group = LocalGroup()
    group.host = "node2"
    assert check_hosts(group, {**JOB, **PROXY}) == "this step of the job has 1 host of 2"
