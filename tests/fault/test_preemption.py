"""A signal to any rank: all stop after the same step with a checkpoint, exit code 75, and go on to the same bits."""

import os
import random
import re
import signal
import sys
import time

import pytest
from helpers.faults import (
    assert_same_result,
    pid_of_rank,
    survivable,
    train_arguments,
    undisturbed,
    wait_for,
    write_job,
)
from helpers.mpirun import mpirun, start
from helpers.night import at_night, times
from helpers.vendor import vendor

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import steps_in

pytestmark = [pytest.mark.ranks, pytest.mark.slow]
NUM_JOBS = times("DPNET_TEST_PREEMPTIONS", day=1, night=50)
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    mpirun(1)
    folder = tmp_path_factory.mktemp("whole")
    job = write_job(folder, epochs=10 * (NUM_JOBS + 2))
    return job, undisturbed(folder, job)


LAUNCHERS = {
    "mpirun": lambda n: [*mpirun(n), sys.executable, "-m", "dpnet"],
    "fault tolerant mpirun": lambda n: [*survivable(n), sys.executable, "-m", "dpnet"],
    "dpnet launch": lambda n: [sys.executable, "-m", "dpnet", "launch", "-n", str(n), "--"],
}


def run_and_signal(how, job, output, chance, num_ranks, number):
    """Start a job, signal a random rank, or dpnet launch, at a random moment, and return exit code and output."""
    process = start([*LAUNCHERS[how](num_ranks), *train_arguments(job, output)])
    try:
        before = max(steps_in(output / "checkpoints"), default=0)
        begun = wait_for(
            lambda: max(steps_in(output / "checkpoints"), default=0) > before or process.process.poll() is not None
        )
        assert begun, process.read()
        time.sleep(chance.random() * 0.05)
        if number is not None and process.process.poll() is None:
            to_rank = how != "dpnet launch"
            os.kill(pid_of_rank(process, chance.randrange(num_ranks)) if to_rank else process.process.pid, number)
        return process.wait(300 if number is None else 30), process.read()  # The last one does all that is left.
    finally:
        process.close()


@pytest.mark.timeout(480 + 80 * NUM_JOBS)
# By default dpnet launch takes a fault tolerant mpirun too.
@pytest.mark.parametrize("how", ["mpirun", at_night("fault tolerant mpirun"), "dpnet launch"])
def test_a_signal_stops_all_ranks_and_changes_no_bit(tmp_path, whole, how):
    if how == "fault tolerant mpirun" and vendor() != "Open MPI":
        pytest.skip(f"{vendor()} has no fault tolerance")
    job, undisturbed_run = whole
    chance = random.Random(NUM_JOBS)
    output, preempted = tmp_path / "run", 0
    for job_number in range(NUM_JOBS + 1):
        number = chance.choice(SIGNALS) if job_number < NUM_JOBS else None
        num_ranks = chance.choice([2, 3, 4])
        code, text = run_and_signal(how, job, output, chance, num_ranks, number)
        assert code in (0, 75), text
        if code == 0:
            break
        preempted += 1
        assert len(re.findall(r"Preempted: SIG\w+ came: stopped after step", text)) == 1, text
        assert not (output / "summary.json").exists()
        for step in steps_in(output / "checkpoints"):
            checkpoint.read(output / "checkpoints" / checkpoint.step_name(step))  # Raises if it is not whole.
    assert preempted
    assert code == 0, text
    assert_same_result(output, undisturbed_run)


@pytest.mark.parametrize("num_ranks", [at_night(2), 3])
def test_ctrl_c_on_one_rank_stops_all_of_them_with_a_checkpoint(tmp_path, whole, num_ranks):
    job, _ = whole
    output = tmp_path / "run"
    process = start([*mpirun(num_ranks), sys.executable, "-m", "dpnet", *train_arguments(job, output)])
    try:
        assert wait_for(lambda: bool(steps_in(output / "checkpoints"))), process.read()
        os.kill(pid_of_rank(process, num_ranks - 1), signal.SIGINT)
        code, text = process.wait(60), process.read()
    finally:
        process.close()
    assert code == 130, text
    stopped = re.findall(r"Interrupted: stopped after step ([\d,]+) of [\d,]+, with a checkpoint\. Go on with", text)
    assert len(stopped) == 1, text
    checkpoint.read(output / "checkpoints" / checkpoint.step_name(int(stopped[0].replace(",", ""))))


def test_ctrl_c_on_dpnet_launch_ends_with_130_and_a_checkpoint(tmp_path, whole):
    job, _ = whole
    output = tmp_path / "run"
    process = start([*LAUNCHERS["dpnet launch"](2), *train_arguments(job, output)])
    try:
        assert wait_for(lambda: bool(steps_in(output / "checkpoints"))), process.read()
        process.process.send_signal(signal.SIGINT)
        code, text = process.wait(60), process.read()
    finally:
        process.close()
    assert code == 130, text
    assert text.count("with a checkpoint") == 2, text  # What launch will do, what the ranks did.
    assert f"dpnet launch: go on with:\n  dpnet launch -n 2 -- train {job}" in text


def test_the_exit_code_and_the_signals_can_be_chosen(tmp_path, whole):
    job, _ = whole
    output = tmp_path / "run"
    settings = ("resilience.preempted_exit_code=9", 'resilience.signals=["SIGUSR2"]')
    process = start([*mpirun(2), sys.executable, "-m", "dpnet", *train_arguments(job, output, *settings)])
    try:
        assert wait_for(lambda: bool(steps_in(output / "checkpoints"))), process.read()
        os.kill(pid_of_rank(process, 1), signal.SIGUSR2)
        assert process.wait(30) == 9, process.read()
    finally:
        process.close()


def test_a_second_signal_ends_a_rank_at_once_even_if_it_waits_for_another(tmp_path, whole):
    job, _ = whole
    output = tmp_path / "run"
    process = start([*mpirun(2), sys.executable, "-m", "dpnet", *train_arguments(job, output)])
    try:
        assert wait_for(lambda: bool(steps_in(output / "checkpoints"))), process.read()
        os.kill(pid_of_rank(process, 0), signal.SIGSTOP)
        waiting = pid_of_rank(process, 1)
        os.kill(waiting, signal.SIGTERM)
        time.sleep(2.3)  # Two signals within two seconds are one.
        assert process.process.poll() is None
        os.kill(waiting, signal.SIGTERM)
        assert wait_for(lambda: not os.path.exists(f"/proc/{waiting}/exe"), 5)
    finally:
        process.close()
    for step in steps_in(output / "checkpoints"):
        checkpoint.read(output / "checkpoints" / checkpoint.step_name(step))
