"""`dpnet doctor` finds mistakes that were really made: on this machine, and on hosts with a network of their own."""

import json
import os
import sys

import numpy as np
import pytest
from helpers.busy import busy
from helpers.cgroups import real_quota
from helpers.hosts import HEAD, Hosts, obstacle
from helpers.mpirun import mpirun, run_command
from helpers.vendor import vendor

from dpnet.compute.cores.available import core_set
from dpnet.compute.loops.choose import numba_is_installed

pytestmark = [pytest.mark.ranks, pytest.mark.slow]
DOCTOR = [sys.executable, "-m", "dpnet", "doctor", "--json"]
BIN = os.path.dirname(sys.executable)


class Report:
    """What the doctor found."""

    def __init__(self, code, text):
        self.code, self.text = code, text
        lines = [line for line in text.splitlines() if line.startswith('{"verdict"')]
        assert len(lines) == 1, f"exit code {code}\n{text}"
        self.found = json.loads(lines[0])["findings"]

    def faults(self, name):
        """The faults of this name, as text; each comes with a fix, and makes the exit code 1."""
        faults = [one for one in self.found if one["name"] == name and one["verdict"] == "fault"]
        assert all(one["fix"] for one in faults)
        assert not faults or self.code == 1, self.text
        return " / ".join(one["seen"] for one in faults)

    def verdicts(self, *names):
        return {name: {one["verdict"] for one in self.found if one["name"] == name} for name in names}


def examined(folder, *command, env=None):
    return Report(*run_command(["env", "-C", str(folder), *command], timeout_s=60, env=env))


def with_mounts(*lines):
    """The start of a command line whose command sees file systems of its own."""
    if why := obstacle():
        pytest.skip(why)
    return ["unshare", "--mount", "sh", "-ec", " && ".join([*lines, 'exec "$@"']), "sh"]


# --- this machine ---


def test_nothing_ordinary_is_a_fault(tmp_path):
    report = examined(tmp_path, *DOCTOR, env={"PATH": f"{BIN}:{os.environ['PATH']}"})
    names = {one["name"] for one in report.found if one["verdict"] == "fault"}
    assert names <= {"load"}, report.text  # Others may be at work here.
    assert report.code == len(names)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Several mistakes that a process makes alone."""
    folder = tmp_path_factory.mktemp("planted")
    other = folder / "bin/mpirun"
    says = "HYDRA build details:" if vendor() == "Open MPI" else "mpirun (Open MPI) 5.0.1"
    other.parent.mkdir()
    other.write_text(f"#!/bin/sh\necho '{says}'\n")
    other.chmod(0o755)
    (folder / "run").mkdir()
    mounts = with_mounts("mount -t tmpfs -o size=16m tmpfs /dev/shm", f"mount -t tmpfs -o ro tmpfs {folder}/run")
    return examined(
        folder,
        *mounts,
        *DOCTOR,
        "--output",
        "run/digits",
        env={
            "PATH": f"{other.parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "999",
            "OPENBLAS_NUM_THREADS": "999",
            "NUMBA_CACHE_DIR": "/proc/none",
            "SLURM_JOB_NUM_NODES": "2",
        },
    )


def test_an_mpirun_of_another_mpi_on_path_is_found(planted):
    assert f", and mpi4py loads {vendor()}" in planted.faults("mpirun")


def test_more_threads_than_cores_are_found(planted):
    assert "1 rank of 999 threads on" in planted.faults("threads")


def test_a_small_shared_memory_is_found(planted):
    assert "MiB are free on" in planted.faults("/dev/shm")


def test_a_run_directory_that_cannot_be_written_is_found(planted):
    assert "/run cannot be written: Read-only file system" in planted.faults("run directory")


def test_a_cache_of_numba_that_cannot_be_written_is_found(planted):
    if not numba_is_installed():
        pytest.skip("there is no numba")
    assert "NUMBA_CACHE_DIR=/proc/none cannot be written" in planted.faults("numba cache")


def test_a_host_that_stands_idle_is_found(planted):
    assert "1 host of the 2 that were allocated" in planted.faults("ranks")


def test_a_file_system_without_locks_is_found(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import fcntl, errno\ndef flock(*_):\n    raise OSError(errno.ENOLCK, 'No locks')\nfcntl.flock = flock\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    report = examined(tmp_path, *DOCTOR, env={"PYTHONPATH": path})
    assert "has no locks" in report.faults("run directory")


def test_ranks_bound_to_one_core_are_found(tmp_path):
    core = str(min(core_set()))
    report = examined(tmp_path, *mpirun(2), "taskset", "-c", core, *DOCTOR)
    assert f"2 ranks on {os.uname().nodename} share 1 core ({core})" in report.faults("binding")


def test_ranks_that_are_worlds_of_their_own_are_found(tmp_path):
    mpirun(1)
    clean = {name: "" for name in os.environ if name.startswith(("SLURM_", "OMPI_COMM", "PMI"))}
    report = examined(tmp_path, *DOCTOR, env={**clean, "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"})
    assert "the launcher started 2 ranks (SLURM_STEP_NUM_TASKS), but MPI sees 1" in report.faults("start")


def test_a_quota_below_the_ranks_is_found(tmp_path):
    with real_quota(1.0) as group:
        join = ["sh", "-ec", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
        report = examined(tmp_path, *join, *mpirun(2), *DOCTOR)
    assert "and a CPU quota of 1 cores: it stops them" in report.faults("quota")


def test_other_programs_on_the_cores_are_found(tmp_path):
    with busy(core_set(), programs=len(core_set())):
        report = examined(tmp_path, *DOCTOR)
    assert "other programs use" in report.faults("load")


# --- several hosts ---

JOB = """
[data]
source = "data.npz"
[output]
dir = "runs/here"
"""


@pytest.fixture(scope="module")
def on_hosts(tmp_path_factory):
    """What the doctor finds on two hosts that are alike, and on two that are not."""
    mpirun(1)
    if why := obstacle():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "names").mkdir()
    with Hosts(folder / "names", 2) as hosts:
        x, y = np.arange(400, dtype=np.float32).reshape(100, 4), np.arange(100) % 3
        for name, inputs in (("data", x), ("other", x + (np.arange(100) == 7)[:, None])):
            np.savez(folder / f"{name}.npz", x_train=inputs, y_train=y, x_test=x[:9], y_test=y[:9])
        for name in ("runs", "private"):
            (folder / name).mkdir()
        (folder / "job.toml").write_text(JOB)
        line = hosts.on(HEAD, ["env", "-C", str(folder), *hosts.mpirun(), *DOCTOR, "job.toml"])
        yield examined(folder, *line), _planted_on(hosts, folder, line)


def _planted_on(hosts, folder, line):
    program = "import os; os.environ['OPENBLAS_CORETYPE'] = 'Prescott'; import numpy; numpy.__version__ = '0.9'"
    hosts.shape("node2", "80mbit")
    with (
        hosts.put("node2", folder / "other.npz", folder / "data.npz"),
        hosts.put("node2", folder / "private", folder / "runs"),
        hosts.at_start("node2", folder, program) as env,
    ):
        return examined(folder, *line, env=env)


def test_hosts_that_are_alike_have_no_faults(on_hosts):
    report, _ = on_hosts
    for name, verdicts in report.verdicts("versions", "data", "run directory", "clocks", "network", "ranks").items():
        assert verdicts == {"ok"}, (name, report.text)


def test_another_numpy_on_a_host_is_found(on_hosts):
    assert f"numpy is {np.__version__} on node1 and 0.9 on node2" in on_hosts[1].faults("versions")


def test_other_data_on_a_host_are_found(on_hosts):
    assert "the hosts see other data in data.npz: the content of the training" in on_hosts[1].faults("data")


def test_a_slow_link_is_found(on_hosts):
    assert "node1 and node2: " in on_hosts[1].faults("network")


def test_a_slow_host_is_found(on_hosts):
    assert "rank 1 on node2 computes" in on_hosts[1].faults("slow host")


def test_a_run_directory_that_a_host_does_not_see_is_found(on_hosts):
    assert "/runs is not shared: node2 cannot see" in on_hosts[1].faults("run directory")


def test_another_dpnet_on_a_host_is_found(tmp_path):
    mpirun(1)
    if why := obstacle():
        pytest.skip(why)
    (tmp_path / "names").mkdir()
    with Hosts(tmp_path / "names", 2) as hosts:
        program = "import dpnet.about; dpnet.about.__version__ = '9.9'"
        with hosts.at_start("node2", tmp_path, program) as env:
            report = examined(tmp_path, *hosts.on(HEAD, [*hosts.mpirun(), *DOCTOR]), env=env)
    assert "on node1 and 9.9 on node2; install the same version" in report.faults("start")
