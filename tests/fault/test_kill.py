"""SIGKILL to the whole job at random moments: nothing is lost, and the resumed training ends with the same bits."""

import random
import sys
import time
from pathlib import Path

import pytest
from helpers.faults import assert_same_result, undisturbed, write_job
from helpers.jobs import metrics
from helpers.mpirun import mpirun, start
from helpers.night import times

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import steps_in

pytestmark = [pytest.mark.ranks, pytest.mark.slow]
KILLS = times("DPNET_TEST_KILLS", day=4, night=100)


def command(num_ranks, job, output):
    launcher = [] if num_ranks == 1 else mpirun(num_ranks)
    return [*launcher, sys.executable, "-m", "dpnet", "train", str(job), "--output", str(output)]


def last_step(output: Path) -> int:
    """The newest step of which there is a checkpoint."""
    return max(steps_in(output / "checkpoints"), default=0)


@pytest.mark.timeout(400 + 60 * KILLS)
def test_a_killed_job_goes_on_to_the_same_bits_on_any_number_of_ranks(tmp_path):
    mpirun(2)
    job = write_job(tmp_path, epochs=2 * KILLS + 4, every_steps=3)
    whole = undisturbed(tmp_path, job)
    output = tmp_path / "killed"
    chance = random.Random(20)
    kills = 0
    for _ in range(3 * KILLS):
        process = start(command(chance.choice([1, 2, 3, 4]), job, output))
        # Until it has got somewhere, or cannot any more; then a random moment in the next few steps.
        reached, deadline = last_step(output), time.monotonic() + 150
        while process.process.poll() is None and last_step(output) <= reached and time.monotonic() < deadline:
            time.sleep(0.01)
        if kills < KILLS:
            time.sleep(chance.random() * 0.05)
            if process.process.poll() is None:
                kills += 1
            process.close()
            for step in steps_in(output / "checkpoints"):
                checkpoint.read(output / "checkpoints" / checkpoint.step_name(step))  # Raises if it is not whole.
        else:
            assert process.wait(60) == 0, process.read()
            process.close()
            break
    assert kills == KILLS, f"only {kills} kills: the job ended too early"
    assert_same_result(output, whole)
    assert [row["event"] for row in metrics(output) if "event" in row] == ["time_spent"]
