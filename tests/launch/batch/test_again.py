"""A job whose training was cut off gets another turn, or its user is told what to type."""

import time

import pytest

from dpnet.allocation import Allocation
from dpnet.launch.batch.again import again, restarts
from dpnet.launch.batch.record import record
from dpnet.launch.decide import Outcome, Place, queues_again

JOB = Allocation("Slurm", "11_0", {"a": 1})
SHOWN = "JobId=12 JobState={state} Requeue={requeue} Restarts=0 BatchFlag={batch} EndTime=2026-11-28T09:40:15 "
SHOWN += "TimeLimit={limit} Command=/home/me/my job.sh WorkDir=/"
WHERE = ", from the checkpoint of step 40"


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A scontrol that says what is set, and keeps its arguments."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(state="RUNNING", requeue=1, batch=1, limit="01:00:00", refuses=""):
        shown = SHOWN.format(state=state, requeue=requeue, batch=batch, limit=limit)
        path = tmp_path / "scontrol"
        path.write_text(
            f'#!/bin/sh\ncase "$*" in *show*) echo "{shown}";; '
            f'*) echo "$*" > {tmp_path}/called; {f"echo {refuses}; exit 1" if refuses else ":"};; esac\n'
        )
        path.chmod(0o755)
        return tmp_path / "called"

    return make


def test_a_job_is_queued_again_by_the_name_of_its_array_task(scontrol):
    called = scontrol()
    assert again(JOB, WHERE) == (
        True,
        "the job is queued again (scontrol requeue 11_0); it goes on, from the checkpoint of step 40",
    )
    assert called.read_text() == "requeue 11_0\n"


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PREEMPTED", "REQUEUED"])
def test_a_job_that_its_user_or_slurm_is_ending_is_not(scontrol, state):
    called = scontrol(state=state)
    done, told = again(JOB, WHERE)
    assert (done, called.exists()) == (False, False)
    assert told.startswith(f"the job is {state}, and is not queued again")


@pytest.mark.parametrize("forbidden", [{"requeue": 0}, {"batch": 0}, {"refuses": "not now"}])
def test_where_it_cannot_be_its_user_is_told_what_to_type(scontrol, forbidden):
    scontrol(**forbidden)
    done, told = again(JOB, WHERE)
    assert not done
    assert told.endswith("Type: sbatch /home/me/my; it goes on, from the checkpoint of step 40")
    assert ("(not now)" in told) == ("refuses" in forbidden)


def test_without_scontrol_and_under_pbs_its_user_is_told_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done, told = again(JOB, WHERE)
    assert not done
    assert "cannot queue the job again (scontrol: No such file" in told
    assert "Type: sbatch and its script" in told
    assert again(Allocation("PBS", "7", {"a": 1}), WHERE)[1].startswith("type qsub and the script")


def test_the_end_of_a_job_is_what_slurm_says_now(scontrol):
    scontrol()
    expected = time.mktime((2026, 11, 28, 9, 40, 15, 0, 0, -1))
    assert record(JOB, {}).end_s == expected
    assert record(JOB, {"SLURM_JOB_END_TIME": "5"}).end_s == expected
    scontrol(limit="UNLIMITED")
    assert record(JOB, {}).end_s is None


def test_where_slurm_says_nothing_its_variable_does(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record(JOB, {"SLURM_JOB_END_TIME": "1789"}).end_s == 1789.0
    assert record(JOB, {}).end_s is None


def test_pbs_tells_what_a_job_may_take_and_has_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    text = "    Resource_List.walltime = 01:00:00\n    resources_used.walltime = 00:10:00\n"
    (tmp_path / "qstat").write_text(f"#!/bin/sh\necho '{text}'\n")
    (tmp_path / "qstat").chmod(0o755)
    job = Allocation("PBS", "7", {"a": 1})
    assert record(job, {}).end_s == pytest.approx(time.time() + 3000, abs=5)
    (tmp_path / "qstat").write_text("#!/bin/sh\nexit 1\n")
    assert record(job, {"PBS_WALLTIME": "60"}).end_s == pytest.approx(time.time() + 60, abs=5)
    assert record(job, {}).end_s is None


# --- whether ---


def outcome(code=1, error=None, **named):
    return Outcome(code=code, finished=named.pop("finished", False), place=Place(40, 40), error=error, **named)


@pytest.mark.parametrize(
    ("last", "queued"),
    [
        (outcome(75, stopped=True), True),
        (outcome(137), True),
        (outcome(0), True),
        (outcome(1, "CommunicationError: rank 1 is gone"), True),
        (outcome(143, "Preempted: SIGUSR1 came: stopped"), True),
        (outcome(1, timed_out=True), True),
        (outcome(1, "DataError: no such file"), False),
        (outcome(2), False),
        (outcome(130, stopped=True), False),
        (outcome(0, finished=True), False),
        (outcome(1, stopped=True, finished=True), False),
    ],
)
def test_a_job_gets_another_turn_where_something_else_ended_it(last, queued):
    assert queues_again(last, progressed=True, restarts=9) == queued


@pytest.mark.parametrize(("restarted", "queued"), [(0, True), (2, True), (3, False)])
def test_a_job_that_gets_nowhere_is_given_up(restarted, queued):
    assert queues_again(outcome(137), progressed=False, restarts=restarted) == queued


def test_slurm_counts_the_turns():
    assert restarts({"SLURM_RESTART_COUNT": "3"}) == 3
    assert restarts({}) == 0
