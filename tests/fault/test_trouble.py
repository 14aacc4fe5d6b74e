"""Numbers that are not finite, ranks that hang, ranks that are slow: the culprit is named."""

import json
import math
import os
import re
import signal
import socket
import sys

import numpy as np
import pytest
from helpers.busy import busy
from helpers.faults import command_with_deeds, pid_of_rank, run_with_deeds, train_arguments, wait_for, write_job
from helpers.jobs import metrics, train
from helpers.mpirun import mpirun, start
from helpers.turns import Turns

from dpnet.checkpoint.folder import steps_in
from dpnet.compute.cores.available import core_set
from dpnet.errors import DivergenceError
from dpnet.nn.losses.softmax_nll import SoftmaxNLL
from dpnet.parallel.plan import Plan
from dpnet.parallel.step import Trainer

pytestmark = [pytest.mark.ranks, pytest.mark.slow]
HOST = socket.gethostname()
BAD_SAMPLE = 77


@pytest.fixture
def bad_data(tmp_path):
    """120 samples, one of which holds a NaN."""
    generator = np.random.default_rng(1)
    x, y = generator.standard_normal((120, 5)).astype(np.float32), np.arange(120) % 3
    x[BAD_SAMPLE, 2] = np.nan
    np.savez(tmp_path / "bad.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    return str(tmp_path / "bad.npz")


def settings(bad_data, **more):
    return {
        "data.source": bad_data,
        "data.check": False,
        "data.scale": "none",
        "train.global_batch_size": 12,
        "train.epochs": 2,
        "checkpoint.every_steps": 2,
        **more,
    }


def place_of_bad_sample(seed):
    """The step, from 0, of the first epoch that takes the bad sample, and its place among the 12 of that step."""
    batches = [Plan(120, 12, seed=seed, num_shards=1).batch(step).tolist() for step in range(10)]
    (step,) = [step for step, batch in enumerate(batches) if BAD_SAMPLE in batch]
    return step, batches[step].index(BAD_SAMPLE)


# The rank of each shard: one shard a rank, or four on three ranks, of which the last has two.
RANKS_OF_SHARDS = {0: [0, 1, 2], 4: [0, 1, 2, 2]}


@pytest.fixture(scope="module")
def turns():
    with Turns() as turns:
        yield turns


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("shards", [0, 4])
def test_the_sample_the_rank_and_the_step_are_named_by_all_ranks_at_once(tmp_path, turns, bad_data, shards, seed):
    arguments = [f"{key}={json.dumps(value)}" for key, value in settings(bad_data).items()]
    arguments = ["train", "--output", str(tmp_path / "run"), *(part for text in arguments for part in ("--set", text))]
    arguments += ["--set", f"train.reproducible_shards={shards}", "--set", f"train.seed={seed}"]
    code, text = turns.run(3, arguments)
    assert code == 1, text
    ranks = RANKS_OF_SHARDS[shards]
    step, place = place_of_bad_sample(seed)
    rank = ranks[place * len(ranks) // 12]
    expected = f"DivergenceError: the loss of step {step + 1} is not finite: rank {rank} on {HOST}: input, sample "
    assert text.count("DivergenceError: ") == 1, text
    assert f"{expected}{BAD_SAMPLE} of the training data. Lower " in text
    assert "Traceback" not in text


def test_a_step_can_be_left_out(tmp_path, bad_data, capfd):
    more = {"resilience.on_nonfinite": "skip", "evaluate.every_steps": 0, "output.progress": "plain", "train.seed": 2}
    summary = train(tmp_path / "run", settings(bad_data, **more))
    assert (summary["status"], summary["steps"]) == ("finished", 20)
    told = [line for line in capfd.readouterr().out.splitlines() if "is not taken" in line]
    assert len(told) == 2, told  # Once in each epoch.
    step, _ = place_of_bad_sample(seed=2)
    start = f"step {step + 1} is not taken, its numbers are not finite: "
    assert told[0] == f"{start}rank 0 on {HOST}: input, sample {BAD_SAMPLE} of the training data"
    assert told[1].endswith(f": rank 0 on {HOST}: input, sample {BAD_SAMPLE} of the training data")
    losses = [row["loss"] for row in metrics(tmp_path / "run") if "loss" in row]
    assert losses
    assert np.isfinite(losses).all()


def test_too_many_steps_left_out_in_a_row_are_an_error(tmp_path):
    diverging = {"optimizer.name": "sgd", "optimizer.learning_rate": 1e30, "evaluate.every_steps": 0}
    more = {"resilience.on_nonfinite": "skip", "resilience.max_skips": 4, "checkpoint.every_steps": 0}
    with pytest.raises(DivergenceError, match=r"of step \d+ is not finite, as in 5 steps in a row"):
        train(tmp_path, diverging | more)


def test_going_back_lowers_the_learning_rate_until_it_goes_well(tmp_path, monkeypatch, capfd):
    step, loss, steps, failures = Trainer.step, SoftmaxNLL.__call__, [], iter([True] * 4)

    def stepping(self, number, *requests, **named):
        steps.append(number)
        return step(self, number, *requests, **named)

    def failing(self, *arguments):
        value, hits = loss(self, *arguments)
        # Twice in the step, and each time once more when its origin is looked for.
        return (math.nan if steps and steps[-1] == 7 and next(failures, False) else value), hits

    monkeypatch.setattr(Trainer, "step", stepping)
    monkeypatch.setattr(SoftmaxNLL, "__call__", failing)
    more = {"resilience.on_nonfinite": "rollback", "checkpoint.every_steps": 5, "output.log_every_steps": 1}
    more |= {"train.epochs": 1, "evaluate.every_steps": 0, "train.kernels": "numpy", "output.progress": "plain"}
    summary = train(tmp_path, more)
    assert (summary["status"], summary["steps"]) == ("finished", 12)
    assert steps == [*range(8), 5, 6, 7, 5, 6, *range(7, 12)]
    rates = {row["step"]: row["learning_rate"] for row in metrics(tmp_path) if "learning_rate" in row}
    assert rates[5] == 1e-3
    assert rates[8] == pytest.approx(0.25e-3)
    assert list(rates) == list(range(1, 13))
    assert "back to step 5, the learning rate times 0.25" in capfd.readouterr().out


def test_nothing_to_go_back_to_is_an_error(tmp_path, bad_data):
    more = {"resilience.on_nonfinite": "rollback", "checkpoint.every_steps": 1000, "train.global_batch_size": 120}
    with pytest.raises(DivergenceError, match="there is no checkpoint yet to go back to"):
        train(tmp_path / "run", settings(bad_data, **more))


@pytest.mark.parametrize("end", [False, True])
def test_a_stopped_rank_is_named_and_the_job_goes_on_or_ends(tmp_path, end):
    output = tmp_path / "run"
    arguments = train_arguments(
        write_job(tmp_path, epochs=400),
        output,
        "resilience.timeout_s=2",
        f'resilience.on_hang="{"end" if end else "warn"}"',
    )
    process = start([*mpirun(3), sys.executable, "-m", "dpnet", *arguments])
    try:
        assert wait_for(lambda: bool(steps_in(output / "checkpoints"))), process.read()
        stopped = pid_of_rank(process, 1)
        os.kill(stopped, signal.SIGSTOP)
        assert wait_for(lambda: "no step for" in process.read(), 8), process.read()
        text = process.read()
        assert f"rank 1 on {HOST} in " in text
        assert "stopped by a signal" in text
        if end:
            assert process.wait(15) not in (0, None), process.read()
            assert wait_for(lambda: not process.pids(), 5)
            assert process.read().count('the job is ended, as resilience.on_hang is "end"') == 1, process.read()
        else:
            os.kill(stopped, signal.SIGCONT)
            assert wait_for(lambda: "dpnet: going on after" in process.read(), 10), process.read()
    finally:
        process.close()
    assert process.process.poll() is not None


def test_a_rank_in_an_endless_loop_is_named(tmp_path):
    output = tmp_path / "run"
    arguments = train_arguments(write_job(tmp_path), output, "resilience.timeout_s=2", 'resilience.on_hang="end"')
    loop = {"rank": 2, "phase": "backward", "call": 40, "what": "loop"}
    code, text = run_with_deeds(mpirun(3), tmp_path, arguments, [loop], timeout_s=30)
    assert code == 1, text
    assert f"rank 2 on {HOST} in backward" in text
    assert "in barrier" in text
    stacks = "".join(path.read_text() for path in output.glob("hang-*/rank-*2.txt"))
    assert "in do" in stacks


def train_until_told(tmp_path, launcher, deeds, *texts):
    """What a training has printed when it tells one of the texts."""
    arguments = train_arguments(write_job(tmp_path, epochs=5000), tmp_path / "run", "checkpoint.every_steps=0")
    command, env = command_with_deeds(launcher, tmp_path, arguments, deeds)
    job = start(command, env=env)
    try:
        assert wait_for(lambda: any(text in job.read() for text in texts), 60), job.read()
        return job.read()
    finally:
        job.close()


def test_a_slow_rank_is_named(tmp_path):
    slow = {"rank": 1, "phase": "forward", "call": 0, "each": True, "what": "sleep", "seconds": 0.02}
    text = train_until_told(tmp_path, mpirun(2), [slow], "is slow", "wait for a core")
    if "wait for a core" in text:
        pytest.skip("other programs use the cores: then no rank is named")
    assert f"rank 1 on {HOST} is slow" in text
    assert "(compute: " in text


def test_other_programs_are_told_of_and_no_rank_is_blamed(tmp_path):
    cores = sorted(core_set())[:2]
    launcher = ["taskset", "-c", ",".join(map(str, cores)), *mpirun(2)]
    with busy(cores, len(cores)):
        text = train_until_told(tmp_path, launcher, [], "is slow", "wait for a core")
    assert re.search(rf"other programs use \d+% of the {len(cores)} cores? of {HOST}: ranks wait", text), text
    assert "is slow" not in text
