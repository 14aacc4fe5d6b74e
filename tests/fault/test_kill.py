"""SIGKILL to the whole job at random moments: nothing is lost, and the resumed training ends with the same bits."""

import json
import os
import random
import sys
import time
from pathlib import Path

import pytest
from mpirun import mpirun, run_command, start

from dpnet import checkpoint
from dpnet.checkpoints import steps_in

pytestmark = [pytest.mark.ranks, pytest.mark.slow]
KILLS = int(os.environ.get("DPNET_TEST_KILLS", "20"))
JOB = """
[model]
hidden_layers = [32]
[train]
epochs = 40
global_batch_size = 100
reproducible_shards = 4
[optimizer]
clip_norm = 1.0
[evaluate]
every_steps = 37
[checkpoint]
every_steps = 3
[output]
log_every_steps = 7
"""


def command(num_ranks, job, output):
    launcher = [] if num_ranks == 1 else mpirun(num_ranks)
    return [*launcher, sys.executable, "-m", "dpnet", "train", str(job), "--output", str(output)]


def last_step(output: Path) -> int:
    """The newest step of which there is a checkpoint."""
    return max(steps_in(output / "checkpoints"), default=0)


def undisturbed(tmp_path, job):
    code, text = run_command(command(1, job, tmp_path / "whole"), timeout_s=120)
    assert code == 0, text
    return json.loads((tmp_path / "whole/summary.json").read_text())


@pytest.mark.timeout(400)
def test_a_killed_job_goes_on_to_the_same_bits_on_any_number_of_ranks(tmp_path):
    mpirun(2)
    job = tmp_path / "job.toml"
    job.write_text(JOB)
    expected = undisturbed(tmp_path, job)
    output = tmp_path / "killed"
    chance = random.Random(20)
    kills = 0
    for _ in range(3 * KILLS):
        process = start(command(chance.choice([1, 2, 3, 4]), job, output))
        # Until it has got somewhere, or cannot any more; then a random moment in the next few steps.
        reached, deadline = last_step(output), time.monotonic() + 30
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
    summary = json.loads((output / "summary.json").read_text())
    for key in ("status", "steps", "digest", "eval_accuracy", "eval_loss"):
        assert summary[key] == expected[key], key
    assert _curve(output) == _curve(tmp_path / "whole")


def _curve(output: Path) -> list[dict]:
    """The learning curve without what depends on time."""
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "samples_per_s"} for row in rows]
