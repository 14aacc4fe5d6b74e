"""Trainings by local SGD on one rank: what is due waits for a meeting, and what goes on goes on to the same bits."""

import json

import numpy as np
import pytest
from helpers.jobs import ADAMW, MOMENTUM, curve, outcome, train, train_until

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import steps_in
from dpnet.cli import main as cli
from dpnet.errors import CheckpointError, DivergenceError
from dpnet.parallel.workers import WorkerWeights

LOCAL = {"train.workers": 3, "train.sync_every": 8}  # 36 steps: the last meeting comes after 4.
MET = [8, 16, 24, 32, 36]


def test_what_is_due_waits_for_the_next_meeting(tmp_path):
    train(tmp_path, {**LOCAL, "checkpoint.keep_last": 9})
    # Every 5, 7 and 4 steps: something is due in each round.
    assert steps_in(tmp_path / "checkpoints") == MET
    assert [row["step"] for row in curve(tmp_path) if "eval_loss" in row] == MET
    rows = [row for row in curve(tmp_path) if "loss" in row]
    assert [row["step"] for row in rows] == MET
    assert rows[-1]["epoch"] == 3


def test_the_loss_of_the_curve_is_the_mean_over_all_samples_of_all_workers(tmp_path):
    slow = {"optimizer.learning_rate": 1e-30, "train.epochs": 1, "output.log_every_steps": 12}
    losses = []
    for number, more in enumerate([LOCAL, {"train.workers": 0}]):
        train(tmp_path / str(number), {**more, **slow})
        losses.append([row["loss"] for row in curve(tmp_path / str(number)) if "loss" in row])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "killed"),
    [
        (ADAMW, 3),
        (ADAMW, 19),
        (MOMENTUM, 24),
        (MOMENTUM, 35),
        ({"optimizer.name": "sgd", "optimizer.learning_rate": 0.1}, 19),
    ],
)
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, optimizer, killed):
    settings = {**LOCAL, **optimizer}
    train(tmp_path / "whole", settings)
    train_until(tmp_path / "killed", killed, settings)
    train(tmp_path / "killed", settings)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_a_checkpoint_has_the_vectors_of_every_worker_which_differ(tmp_path):
    train(tmp_path, LOCAL)
    found = checkpoint.read(tmp_path / "checkpoints" / checkpoint.step_name(36))
    slots = {name.removeprefix("0.weight.") for name in found.optimizer if name.startswith("0.weight.")}
    workers = {f"worker{number}.{slot}" for number in range(3) for slot in ("exp_avg", "exp_avg_sq")}
    assert slots == {"outer.momentum_buffer"} | workers
    vectors = [found.optimizer[f"0.weight.worker{number}.exp_avg"] for number in range(3)]
    assert all(vector.any() for vector in vectors)
    assert (vectors[0] != vectors[1]).any()
    assert (vectors[1] != vectors[2]).any()


def test_a_longer_training_goes_on_where_the_workers_meet_anyway(tmp_path):
    fits = {**LOCAL, "train.sync_every": 9}
    train(tmp_path / "longer", fits)
    train(tmp_path / "longer", {**fits, "train.epochs": 4})
    train(tmp_path / "whole", {**fits, "train.epochs": 4})
    digests = {outcome(tmp_path / name)["summary"]["digest"] for name in ("longer", "whole")}
    assert len(digests) == 1


def test_a_longer_training_does_not_go_on_from_a_meeting_that_it_does_not_have(tmp_path):
    train(tmp_path, LOCAL)
    with pytest.raises(CheckpointError) as caught:
        train(tmp_path, {**LOCAL, "train.epochs": 4})
    expected = "the workers met after the last step, 36, which is no multiple of train.sync_every, 8"
    assert expected in str(caught.value)
    assert train(tmp_path, LOCAL)["steps"] == 36


@pytest.mark.parametrize("workers", [0, 2])
def test_other_workers_do_not_go_on_with_a_checkpoint(tmp_path, workers):
    train(tmp_path / "run", LOCAL)
    other = {"train.workers": workers, "train.sync_every": None if workers else 16}
    with pytest.raises(CheckpointError, match=f"train.workers is {workers}, in the run it is 3"):
        train(tmp_path / "other", {**other, "train.epochs": 4}, resume=str(tmp_path / "run"))


def test_other_commands_take_what_all_workers_agreed_on(tmp_path, capsys):
    run = tmp_path / "run"
    summary = train(run, LOCAL)
    capsys.readouterr()
    assert cli.run(["evaluate", str(run), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["accuracy"], scores["loss"]) == (summary["eval_accuracy"], summary["eval_loss"])
    assert cli.run(["digest", str(run)]) == 0
    assert summary["digest"] in capsys.readouterr().out
    assert cli.run(["inspect", str(run)]) == 0
    assert "0.weight  12×64" in capsys.readouterr().out
    tuned = train(tmp_path / "tuned", {"model.pretrained": str(run), "train.epochs": 1, "train.workers": 2})
    assert tuned["pretrained"]["digest"] == summary["digest"]


def spoil(monkeypatch, step, worker):
    """Make the numbers of one step of one worker not finite."""
    scale = WorkerWeights.scale

    def spoilt(self, number):
        return np.nan if (number, self._worker) == (step, worker) else scale(self, number)

    monkeypatch.setattr(WorkerWeights, "scale", spoilt)


def test_a_number_that_is_not_finite_ends_the_training_at_the_meeting(tmp_path, monkeypatch):
    spoil(monkeypatch, step=9, worker=1)
    with pytest.raises(
        DivergenceError, match=r"of step 16 is not finite: rank 0 on .*: worker 1, step 10: gradient of"
    ):
        train(tmp_path, LOCAL)
    assert steps_in(tmp_path / "checkpoints") == [8]


def test_steps_with_numbers_that_are_not_finite_are_left_out_and_told(tmp_path, monkeypatch, capsys):
    spoil(monkeypatch, step=9, worker=1)
    settings = {**LOCAL, "resilience.on_nonfinite": "skip", "output.progress": "plain"}
    summary = train(tmp_path, settings)
    assert summary["steps"] == 36
    text = capsys.readouterr().out
    assert "up to step 16 workers have left out steps whose numbers are not finite, first: rank 0" in text
    assert "worker 1, step 10: gradient of layer" in text
    assert text.count("not finite") == 1


def test_a_rollback_goes_back_to_a_meeting_with_all_workers(tmp_path, monkeypatch, capsys):
    spoil(monkeypatch, step=9, worker=1)
    scaled = WorkerWeights.scale
    calls = []

    def once(self, number):
        calls.append(number)
        value = scaled(self, number)
        return value if np.isfinite(value) or calls.count(9) < 6 else 1.0

    monkeypatch.setattr(WorkerWeights, "scale", once)
    settings = {**LOCAL, "resilience.on_nonfinite": "rollback", "output.progress": "plain"}
    assert train(tmp_path, settings)["steps"] == 36
    assert "back to step 8, the learning rate times 0.5" in capsys.readouterr().out


def test_the_start_tells_of_the_workers(tmp_path, capsys):
    train(tmp_path, {**LOCAL, "train.epochs": 1})
    assert (
        "local SGD: 3 workers, each with parameters of its own, synchronised every 8 steps, 2 times in all; outer "
        "learning rate 0.7, outer momentum 0.9\n"
    ) in capsys.readouterr().out


def test_a_training_whose_workers_meet_only_at_its_end_is_told(tmp_path, capsys):
    train(tmp_path, {**LOCAL, "train.sync_every": 12, "train.epochs": 1})
    note = "note: train.sync_every is 12, and the training has 12 steps: the workers meet once, at the end"
    assert note in capsys.readouterr().out
