"""Ranks and cores: how many ranks there are by default, when there are too many, and when each keeps to a core."""

import os
import subprocess
import sys

import pytest
from helpers.cgroups import real_quota

from dpnet.compute import threads
from dpnet.compute.cores.available import core_set
from dpnet.errors import ConfigError
from dpnet.launch import cores, launcher, options
from dpnet.launch.cores import allowed_cores, binding_obstacle


@pytest.mark.parametrize(
    ("given", "ranks"),
    [([], "6"), (["-x", "A"], "6"), (["-n", "2"], "2"), (["--np", "9"], "9"), (["--host", "a", "-n", "3"], "3")],
)
def test_without_n_there_is_a_rank_for_each_core(monkeypatch, given, ranks):
    monkeypatch.setattr(options, "available_cores", lambda: 6)
    found, command = options.split_arguments([*given, "--", "train"])
    assert options.num_ranks(found) == int(ranks)
    assert [word for word in found if word not in ("-n", "6")] == [word for word in given if word not in ("-n", "6")]
    assert command == ["train"]


@pytest.mark.parametrize("name", ["SLURM_JOB_NODELIST", "PBS_NODEFILE"])
def test_the_cores_of_this_host_say_nothing_about_a_batch_job_of_several(monkeypatch, name):
    monkeypatch.setenv(name, "node[1-2]")
    assert not options.on_this_host(["-n", "2"])
    with pytest.raises(ConfigError, match="the number of ranks on all hosts together, -n N, is missing"):
        options.split_arguments(["--", "train"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-n", "2", "--", "train"], ""),
        (["-n", "3", "--", "train"], "3 ranks for only 2 cores: 2 ranks are faster, with the same result"),
        (["--host", "localhost:3", "-n", "3", "--", "train"], "3 ranks for only 2 cores: 2 ranks are faster, "),
        (["--host", "localhost:2,elsewhere:1", "-n", "3", "--", "train"], ""),
        (["-n", "3", "--", "python", "s.py"], "3 ranks for only 2 cores: they take turns"),
        (["-n", "3", "--", "digest", "run"], ""),
    ],
)
def test_more_ranks_than_cores_are_told_at_once_where_they_are_known(monkeypatch, capsys, arguments, told):
    monkeypatch.setattr(threads, "available_cores", lambda core_sets=(): 2)
    monkeypatch.setattr(threads, "cores_text", lambda core_sets=(): "2 cores")
    monkeypatch.setattr(launcher, "forwards_signals", lambda mpirun: True)
    monkeypatch.setattr(launcher, "fault_tolerance", lambda mpirun, options: [])  # There may be no mpirun on PATH.
    launcher.Launcher("mpirun", options.parse(arguments), None)
    text = capsys.readouterr().err
    assert text.startswith(f"dpnet launch: {told}") if told else not text


@pytest.fixture
def quiet(monkeypatch):
    """A machine of four idle cores, all of them for this process; sets what is different."""

    def use(*, available=4, free=range(4), allowed=range(4), busy=(0.0,) * 4):
        monkeypatch.setattr(cores, "available_cores", lambda: available)
        monkeypatch.setattr(cores, "core_set", lambda: frozenset(free))
        monkeypatch.setattr(cores, "allowed_cores", lambda: frozenset(allowed))
        monkeypatch.setattr(
            "dpnet.compute.cores.usage.busy_shares", lambda chosen, seconds: list(busy) if chosen == set(free) else None
        )

    use()
    return use


@pytest.mark.parametrize(
    ("ranks", "threads", "free"), [(4, 1, True), (3, 1, True), (5, 1, False), (2, 1, False), (4, 2, False)]
)
def test_each_rank_keeps_to_a_core_where_there_is_one_for_each_and_none_for_another_job(quiet, ranks, threads, free):
    obstacle, unexpected = binding_obstacle(ranks, threads)
    assert (obstacle == "") == free
    assert not unexpected


@pytest.mark.parametrize(
    ("machine", "part"),
    [
        ({"available": 3}, "quota"),
        ({"free": range(1, 4), "available": 3, "busy": (0.0,) * 3}, "affinity"),
        ({"busy": (0.0, 0.9, 0.0, 0.1)}, "other programs use 25% of 4 cores"),
    ],
)
def test_no_rank_keeps_to_a_core_where_that_would_be_wrong(quiet, machine, part):
    quiet(**machine)
    obstacle, unexpected = binding_obstacle(3, 1)
    assert part in obstacle
    assert unexpected == ("busy" in machine and "free" not in machine)


@pytest.mark.parametrize("busy", [(), (0.05, 0.3, 0.2, 0.0)])
def test_cores_that_are_nearly_idle_or_unknown_are_no_obstacle(quiet, busy):
    quiet(busy=busy)
    assert binding_obstacle(4, 1) == ("", False)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_the_affinity_of_this_process_is_told_from_its_cpuset():
    before = core_set()
    assert allowed_cores() >= before
    code = "from dpnet.launch.cores import *; a = allowed_cores(); print(len(a), len(core_set()))"
    narrowed = ["taskset", "-c", str(min(before)), sys.executable, "-c", code]
    result = subprocess.run(narrowed, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(len(allowed_cores())), "1"]
    assert core_set() == before


def test_a_real_quota_makes_fewer_ranks():
    if len(core_set()) < 2:
        pytest.skip("one core")
    code = "from dpnet.launch.options import parse; print(parse(['--', 'train']).mpirun)"
    with real_quota(1.5) as group:
        line = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", sys.executable, "-c", code]
        result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.stdout == "('-n', '1')\n", result.stderr
