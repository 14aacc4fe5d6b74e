"""Ctrl-Z and `fg`, and a terminal that is closed, as a person at a shell meets them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.faults import wait_for
from helpers.jobs import metrics
from helpers.mpirun import Started, mpirun, start

from dpnet.launch.escalation import Escalation, Limits
from dpnet.launch.signals import Signals

LAUNCH = [sys.executable, "-m", "dpnet", "launch"]
ENDLESS = ["--set", "train.steps=100000000", "--set", "checkpoint.every_steps=0", "--set", "output.log_every_steps=20"]


def state(pid: int) -> str:
    """The state of a process: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def ranks(job: Started) -> list[int]:
    names = (b"\0OMPI_COMM_WORLD_RANK=", b"\0PMI_RANK=")
    return [pid for pid in job.pids() if any(name in Path(f"/proc/{pid}/environ").read_bytes() for name in names)]


def last_step(folder: Path) -> int:
    return next((row["step"] for row in reversed(metrics(folder)) if "step" in row), 0)


@pytest.fixture
def running(tmp_path):
    """An endless training on two ranks that has begun, and its run directory."""
    mpirun(1)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # The tests may run under nohup.
    command = [*LAUNCH, "-n", "2", "--time-limit", "600", "--", "train", "--output", str(tmp_path / "run"), *ENDLESS]
    job = start([*command, "--set", "resilience.timeout_s=3", "--set", "resilience.on_hang='end'"])
    signal.signal(signal.SIGHUP, before)
    assert wait_for(lambda: (tmp_path / "run/metrics.jsonl").exists() and last_step(tmp_path / "run") > 0), job.read()
    yield job, tmp_path / "run"
    job.close()


@pytest.mark.ranks
@pytest.mark.slow
def test_ctrl_z_stops_the_whole_job_and_fg_continues_it_without_an_alarm(running):
    job, folder = running
    found = ranks(job)
    assert len(found) == 2
    job.process.send_signal(signal.SIGTSTP)
    assert wait_for(lambda: all(state(pid) == "T" for pid in [job.process.pid, *found])), job.read()
    step = last_step(folder)
    time.sleep(4)  # Longer than the time without a step after which the watchdog of these ranks ends the job.
    assert last_step(folder) == step
    job.process.send_signal(signal.SIGCONT)
    assert wait_for(lambda: last_step(folder) > step + 100), job.read()
    assert job.process.poll() is None
    assert "no step for" not in job.read()
    assert not list(folder.glob("hang-*"))


@pytest.mark.ranks
@pytest.mark.slow
def test_a_job_that_is_killed_while_it_is_stopped_leaves_no_ranks(running):
    job, _ = running
    found = ranks(job)
    job.process.send_signal(signal.SIGTSTP)
    assert wait_for(lambda: all(state(pid) == "T" for pid in [job.process.pid, *found])), job.read()
    job.process.kill()
    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found))


def test_ctrl_z_is_left_alone_where_ranks_run_on_other_hosts():
    with Signals():
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    with Signals(job_control=True):
        assert signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL


@pytest.mark.ranks
@pytest.mark.slow
def test_a_closed_terminal_ends_the_training_with_a_checkpoint(running):
    job, folder = running
    job.process.send_signal(signal.SIGHUP)
    assert job.wait(60) == 75, job.read()
    assert (folder / "checkpoints/latest").exists()


@pytest.mark.ranks
@pytest.mark.slow
def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path):
    mpirun(1)
    command = ["nohup", *LAUNCH, "-n", "2", "--", "train", "--output", str(tmp_path / "run"), *ENDLESS]
    job = start(command)
    try:
        assert wait_for(lambda: (tmp_path / "run/metrics.jsonl").exists() and last_step(tmp_path / "run") > 0)
        job.process.send_signal(signal.SIGHUP)  # mpirun has a session of its own, to which the terminal is not known.
        step = last_step(tmp_path / "run")
        assert wait_for(lambda: last_step(tmp_path / "run") > step + 100), job.read()
        assert job.process.poll() is None
    finally:
        job.close()


def test_the_time_limit_does_not_run_while_the_job_is_stopped():
    with subprocess.Popen(["true"]) as process:
        escalation = Escalation(process, lambda: None, Limits(1.0, 50.0))
        escalation.put_off(100.0)
        assert 140.0 < escalation.left_s() <= 150.0
