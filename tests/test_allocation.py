"""The hosts of a batch job, from the variables of Slurm and PBS."""

import pytest

from dpnet.allocation import Allocation, allocation, expand
from dpnet.errors import ConfigError

SLURM = {"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "node[1-3]", "SLURM_TASKS_PER_NODE": "4(x2),1"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node1", "node1"),
        ("node[1-3,07-10]", "node1 node2 node3 node07 node08 node09 node10"),
        ("a[1-2]-ib,b", "a1-ib a2-ib b"),
        ("r[1-2]n[0-1]", "r1n0 r1n1 r2n0 r2n1"),
        ("n[098-101]", "n098 n099 n100 n101"),
        ("gpu-a,gpu-[b,c]", "gpu-a gpu-b gpu-c"),
    ],
)
def test_a_list_of_nodes_is_read(text, names):
    assert expand(text) == names.split()


def test_a_job_of_slurm_has_hosts_with_tasks():
    assert allocation(SLURM) == Allocation("Slurm", "12", {"node1": 4, "node2": 4, "node3": 1})
    assert allocation({**SLURM, "SLURM_CPUS_PER_TASK": "2"}).cpus_per_task == 2


def test_a_task_of_an_array_is_named_as_scontrol_takes_it():
    assert allocation({**SLURM, "SLURM_ARRAY_JOB_ID": "11", "SLURM_ARRAY_TASK_ID": "0"}).job == "11_0"


def test_a_shell_in_a_step_has_the_hosts_of_the_step():
    step = {"SLURM_STEP_NODELIST": "node2", "SLURM_STEP_TASKS_PER_NODE": "3", "SLURM_TASKS_PER_NODE": "3"}
    assert allocation({**SLURM, **step}).tasks == {"node2": 3}


def test_hosts_and_tasks_that_do_not_belong_together_are_refused():
    for text in ("4(x2)", "4,?"):
        with pytest.raises(ConfigError, match=r"do not belong together: they stand for 3 and"):
            allocation({**SLURM, "SLURM_TASKS_PER_NODE": text})


def test_a_job_of_pbs_has_the_hosts_of_its_file(tmp_path):
    (tmp_path / "nodes").write_text("b\nb\na\nb\n")
    environ = {"PBS_JOBID": "7.server", "PBS_NODEFILE": str(tmp_path / "nodes")}
    assert allocation(environ) == Allocation("PBS", "7.server", {"b": 3, "a": 1})
    assert list(allocation(environ).tasks) == ["b", "a"]
    assert allocation({**environ, "PBS_NODEFILE": str(tmp_path / "elsewhere")}) is None


def test_outside_of_a_batch_job_there_is_none():
    assert allocation({}) is None
    assert allocation({"SLURM_JOB_ID": "12"}) is None
