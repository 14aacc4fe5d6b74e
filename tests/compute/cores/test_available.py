"""Affinity and quotas count as cores do."""

import os
import subprocess
import sys

import pytest
from helpers.cgroups import real_quota

from dpnet.compute.cores import available
from dpnet.compute.cores.available import available_cores, cores_text


@pytest.fixture
def of_sixteen(monkeypatch):
    """A machine of 16 cores: sets those that this process may run on, and its quota."""

    def use(cores=16, quota=None):
        monkeypatch.setattr(os, "cpu_count", lambda: 16)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
        monkeypatch.setattr(available, "quota", lambda: quota)

    return use


@pytest.mark.parametrize(
    ("cores", "quota", "expected", "text"),
    [
        (16, None, 16, "16 cores"),
        (16, 99.0, 16, "16 cores"),
        (16, 16.0, 16, "16 cores"),
        (16, 4.5, 4, "4 cores (of 16: a CPU quota of 4.5)"),
        (16, 0.5, 1, "1 core (of 16: a CPU quota of 0.5)"),
        (3, None, 3, "3 cores (of 16: the affinity of this process)"),
        (3, 8.0, 3, "3 cores (of 16: the affinity of this process)"),
        (3, 2.0, 2, "2 cores (of 16: a CPU quota of 2)"),
    ],
)
def test_cores_are_those_of_the_affinity_and_no_more_than_the_quota(of_sixteen, cores, quota, expected, text):
    of_sixteen(cores, quota)
    assert available_cores() == expected
    assert cores_text() == text


def test_ranks_that_share_cores_out_have_all_of_theirs(of_sixteen):
    of_sixteen(4, 6.0)
    assert available_cores([frozenset({0, 1}), frozenset({1, 2, 3})]) == 4
    assert available_cores(frozenset({core}) for core in range(12)) == 6


def test_without_affinity_the_cores_of_the_machine_count(monkeypatch):
    monkeypatch.setattr(available, "quota", lambda: None)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


def test_a_real_quota_counts():
    code = "from dpnet.compute.cores.available import cores_text; print(cores_text())"
    with real_quota(1.0) as group:
        if (os.cpu_count() or 1) == 1:
            pytest.skip("one core, which is what the quota grants")
        line = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", sys.executable, "-c", code]
        result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.stdout == f"1 core (of {os.cpu_count()}: a CPU quota of 1)\n", result.stderr
