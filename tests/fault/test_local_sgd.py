"""Local SGD in jobs that are killed, preempted and started again on other numbers of ranks: the same bits."""

import re
import sys

import pytest
from helpers.faults import (
    assert_same_result,
    run_with_deeds,
    summary,
    survivable,
    train_arguments,
    undisturbed,
    write_job,
)
from helpers.mpirun import mpirun, run_command
from helpers.vendor import vendor

from dpnet.checkpoint.folder import steps_in

pytestmark = [pytest.mark.ranks, pytest.mark.slow]
LOCAL = ("train.reproducible_shards=0", "train.workers=4", "train.sync_every=8")
"""With a checkpoint every 20 steps: the meetings after steps 24, 40, 64, 80, ..."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    mpirun(1)
    folder = tmp_path_factory.mktemp("whole")
    job = write_job(folder, epochs=10)
    return job, undisturbed(folder, job, *LOCAL)


def test_a_killed_and_preempted_training_goes_on_on_other_numbers_of_ranks(tmp_path, whole):
    job, undisturbed_run = whole
    output = tmp_path / "run"
    arguments = train_arguments(job, output, *LOCAL)
    # A rank of two has two workers, and enters the phase twice in a step.
    kill = {"rank": 1, "phase": "forward", "call": 2 * 45, "what": "SIGKILL"}
    code, text = run_with_deeds(mpirun(2), tmp_path, arguments, [kill], timeout_s=30)
    assert code not in (0, 75), text
    # The checkpoint of step 40 is there, unless the kill came while it was being written.
    begin = max(steps_in(output / "checkpoints"), default=0)
    assert begin in (0, 24, 40), text
    # The signal comes in the eleventh step from there, and is answered at the next meeting, or the one after that if
    # the thread that reads signals had to wait for a core.
    next_meeting = -(-(begin + 11) // 8) * 8
    preempt = {"rank": 0, "phase": "forward", "call": 11, "what": "SIGTERM"}
    code, text = run_with_deeds(mpirun(3), tmp_path, arguments, [preempt], timeout_s=30)
    assert code == 75, text
    answered = int(re.search(r"stopped after step (\d+) of 150, with a checkpoint", text)[1])
    assert answered in range(next_meeting, 150, 8), text
    code, text = run_command([*mpirun(4), sys.executable, "-m", "dpnet", *arguments], timeout_s=60)
    assert code == 0, text
    assert_same_result(output, undisturbed_run)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_ranks_that_are_left_go_back_to_the_last_checkpoint(tmp_path, whole, rank):
    if vendor() != "Open MPI":
        pytest.skip(f"{vendor()} does not survive the loss of a rank")
    job, undisturbed_run = whole
    output = tmp_path / "run"
    kill = {"rank": rank, "phase": "forward", "call": 60, "what": "SIGKILL"}
    arguments = train_arguments(job, output, *LOCAL)
    code, text = run_with_deeds(survivable(3), tmp_path, arguments, [kill], timeout_s=60)
    assert code == 0, text
    assert "going on from the checkpoint of step" in text
    assert summary(output)["ranks_lost"] == 1
    assert_same_result(output, undisturbed_run)
