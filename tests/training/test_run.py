"""Whole trainings in this process, on one rank."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.jobs import ADAMW, MOMENTUM, curve, make_job, metrics, save_data, train, train_until

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import steps_in
from dpnet.checkpoint.format import step_name
from dpnet.cli.main import run as run_command
from dpnet.comm.local import LocalGroup
from dpnet.errors import DivergenceError
from dpnet.output.metrics_file import MetricsFile
from dpnet.parallel.step import Trainer
from dpnet.training import checkpointing
from dpnet.whereabouts import PHASES

SUMMARY_KEYS = [
    "status",
    "steps",
    "world_size",
    "eval_split",
    "eval_accuracy",
    "eval_loss",
    "test_accuracy",
    "test_loss",
    "samples_per_s",
    "seconds",
    "digest",
    "ranks_lost",
]


def test_another_seed_gives_other_bits(tmp_path):
    digests = {train(tmp_path / str(seed), {"train.seed": seed})["digest"] for seed in (0, 1)}
    assert len(digests) == 2


def test_the_digest_of_the_summary_is_that_of_the_last_checkpoint(tmp_path):
    summary = train(tmp_path)
    assert checkpoint.digest(checkpoint.read(tmp_path / "checkpoints/latest").model) == summary["digest"]


def test_the_run_directory_is_that_of_the_contract(tmp_path):
    summary = train(tmp_path / "run", ADAMW)
    assert summary.pop("run_dir") == str(tmp_path / "run")
    assert list(summary) == SUMMARY_KEYS
    assert json.loads((tmp_path / "run/summary.json").read_text()) == summary
    assert sorted(os.listdir(tmp_path / "run")) == [
        ".lock",
        "checkpoints",
        "config.toml",
        "metrics.jsonl",
        "summary.json",
    ]
    assert dpnet.load_job(tmp_path / "run/config.toml") == make_job(tmp_path / "run", ADAMW)
    assert (summary["status"], summary["steps"], summary["world_size"], summary["ranks_lost"]) == ("finished", 36, 1, 0)
    rows = metrics(tmp_path / "run")
    trained = [row for row in rows if "loss" in row]
    assert [row["step"] for row in trained] == [4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert all(row["samples_per_s"] > 0 for row in trained)
    evaluated = [row for row in rows if "eval_loss" in row]
    assert [row["step"] for row in evaluated] == [7, 14, 21, 28, 35, 36]
    assert evaluated[-1]["eval_samples"] == 360
    assert (evaluated[-1]["eval_loss"], evaluated[-1]["eval_accuracy"]) == (
        summary["eval_loss"],
        summary["eval_accuracy"],
    )
    assert [row["epoch"] for row in trained][2::3] == [1.0, 2.0, 3.0]
    spent = rows[-1]
    assert (spent["step"], spent["event"], len(spent["hosts"])) == (36, "time_spent", 1)
    assert all(len(spent[name]) == 1 and spent[name][0] >= 0 for name in ("waiting", *PHASES))


def test_the_rows_are_means_over_all_samples_of_their_steps(tmp_path, monkeypatch):
    original, sums = Trainer.step, []

    def recording(self, number, *requests, **named):
        sums.append(original(self, number, *requests, **named))
        return sums[-1]

    monkeypatch.setattr(Trainer, "step", recording)
    train(tmp_path, {"train.kernels": "numpy"})  # Compiled kernels are rehearsed first, by a step of another network.
    for row in [row for row in curve(tmp_path) if "loss" in row]:
        part = sums[row["step"] - 4 : row["step"]]
        assert row["loss"] == pytest.approx(sum(one.loss for one in part) / sum(one.samples for one in part), rel=1e-12)
        assert row["accuracy"] == sum(one.hits for one in part) / sum(one.samples for one in part)
    assert sum(one.samples for one in sums) == 3 * 1437


@pytest.mark.parametrize("stops", [(), (8,), (11, 13)])
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_training_stops_when_it_gets_no_better(tmp_path, stops, metric):
    settings = {
        "data.validation": 0.1,  # 33 steps.
        "evaluate.patience": 2,
        "evaluate.min_delta": 10,  # Only the first evaluation is an improvement.
        "evaluate.metric": metric,
        "evaluate.every_steps": 5,
        "checkpoint.every_steps": 4,
    }
    for step in stops:
        train_until(tmp_path, step, settings)
    summary = train(tmp_path, settings)
    assert (summary["status"], summary["steps"]) == ("stopped_early", 15)
    assert steps_in(tmp_path / "checkpoints")[-1] == 15
    assert train(tmp_path, settings) == summary
    assert train(tmp_path, {**settings, "evaluate.patience": 0})["steps"] == 33


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_best_evaluation_is_kept_also_between_checkpoints(tmp_path, keep_best):
    settings = {"checkpoint.every_steps": 1000, "checkpoint.keep_last": 1, "checkpoint.keep_best": keep_best}
    settings["data.validation"] = 0.1
    train(tmp_path, {**settings, **MOMENTUM, "optimizer.learning_rate": 0.4, "train.epochs": 6})
    rows = [row for row in curve(tmp_path) if "eval_loss" in row]
    best = max(rows, key=lambda row: row["eval_accuracy"])["step"]  # The first of the best.
    assert best < 66, "the best must not be the last one here"
    assert steps_in(tmp_path / "checkpoints") == ([best, 66] if keep_best else [66])
    assert (tmp_path / "checkpoints/best").is_symlink() == keep_best


def test_a_rollback_past_a_damaged_checkpoint_writes_that_one_anew(tmp_path, monkeypatch):
    original, bad = Trainer.step, []

    def step(self, number, *requests, **named):
        sums = original(self, number, *requests, **named)
        if number == 11 and not bad:
            bad.append(number)
            (tmp_path / "checkpoints/latest/model.safetensors").write_bytes(b"")
            return sums._replace(bad=1)
        return sums

    monkeypatch.setattr(Trainer, "step", step)
    settings = {"resilience.on_nonfinite": "rollback", "checkpoint.keep_last": 9, "evaluate.every_steps": 0}
    train(tmp_path, settings)
    assert bad == [11]
    found = {step: checkpoint.read(tmp_path / "checkpoints" / step_name(step)) for step in (5, 10, 15)}
    assert [one.manifest["progress"]["learning_rate_scale"] for one in found.values()] == [1.0, 0.5, 0.5]


def test_checkpoints_by_time(tmp_path, monkeypatch):
    now = [0.0]
    original = Trainer.step

    def slow(self, number, *requests, **named):
        now[0] += 1.0
        return original(self, number, *requests, **named)

    monkeypatch.setattr(Trainer, "step", slow)
    monkeypatch.setattr(checkpointing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    settings = {"checkpoint.every_steps": None, "checkpoint.every_seconds": 10, "checkpoint.keep_last": 9}
    train(tmp_path, {**settings, "checkpoint.keep_best": False})
    # That ten seconds have passed since a checkpoint is noticed in the step that follows.
    assert steps_in(tmp_path / "checkpoints") == [11, 22, 33, 36]


@pytest.mark.parametrize("key", ["every_steps", "every_epochs", "every_seconds"])
def test_checkpoints_can_be_turned_off(tmp_path, key):
    settings = {"checkpoint.every_steps": None, f"checkpoint.{key}": 0}
    train(tmp_path, settings)
    files = [".lock", "config.toml", "metrics.jsonl", "summary.json"]
    assert sorted(os.listdir(tmp_path)) == files
    train(tmp_path, settings)  # There is no checkpoint to go on from.
    assert sorted(os.listdir(tmp_path / "previous-1")) == files[1:]
    assert curve(tmp_path) == curve(tmp_path / "previous-1")


@pytest.mark.parametrize("key", ["every_steps", "every_epochs"])
def test_evaluation_can_be_turned_off(tmp_path, key):
    summary = train(tmp_path, {"evaluate.every_steps": None, f"evaluate.{key}": 0})
    assert list(summary) == [*SUMMARY_KEYS, "run_dir"]
    assert (summary["eval_accuracy"], summary["eval_loss"]) == (None, None)
    assert not [row for row in curve(tmp_path) if "eval_loss" in row]
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["latest", "step-00000035", "step-00000036"]


def test_without_test_data_there_is_no_evaluation(tmp_path):
    source = save_data(tmp_path / "data.npz", 50, None)
    summary = train(tmp_path / "run", {"data.source": source, "train.global_batch_size": 9})
    assert (summary["steps"], summary["eval_loss"]) == (18, None)
    assert train(tmp_path / "run", {"data.source": source, "train.global_batch_size": 9}) == summary


@pytest.mark.parametrize(
    ("num_train", "classes", "settings", "steps"),
    [
        (50, 1, {}, 3),
        (1, 1, {}, 3),
        (1, 1, {"train.reproducible_shards": 4}, 3),
        (50, 2, {"train.global_batch_size": 1000000}, 3),
        (50, 2, {"train.global_batch_size": 1, "train.reproducible_shards": 3}, 150),
        (50, 2, {"model.hidden_layers": []}, 3),
        (50, 2, {"model.hidden_layers": [1, 1, 1], "model.activation": "tanh"}, 3),
        (50, 2, {"model.dtype": "float64", "data.scale": "unit"}, 3),
        (50, 2, {"train.epochs": None, "train.steps": 1}, 1),
        (50, 2, {"output.log_every_steps": 1000, "evaluate.every_steps": 1000, "checkpoint.every_steps": 1000}, 3),
    ],
)
def test_odd_jobs_train_stop_and_resume(tmp_path, num_train, classes, settings, steps):
    source = save_data(tmp_path / "data.npz", num_train, classes=classes, num_test=classes)
    settings = {"data.source": source, **settings}
    summary = train(tmp_path / "run", settings)
    assert summary["steps"] == steps
    assert np.isfinite(summary["eval_loss"])
    if classes == 1:
        assert (summary["eval_loss"], summary["eval_accuracy"]) == (0.0, 1.0)
    assert curve(tmp_path / "run")[-1]["step"] == steps
    if steps > 1:
        train_until(tmp_path / "stopped", steps - 1, settings)
        assert train(tmp_path / "stopped", settings)["digest"] == summary["digest"]


def test_a_training_that_diverges_ends_with_an_error_and_whole_checkpoints(tmp_path, capsys):
    settings = [
        "optimizer.name=sgd",
        "optimizer.learning_rate=1e30",
        "checkpoint.every_steps=1",
        "output.progress=none",
    ]
    arguments = ["train", "--output", str(tmp_path), *(part for text in settings for part in ("--set", text))]
    assert run_command(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("DivergenceError: the loss of step 2 is ")
    assert "optimizer.learning_rate (1e+30)" in error
    assert steps_in(tmp_path / "checkpoints") == [1]
    assert checkpoint.read(tmp_path / "checkpoints/latest").step == 1
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize("checkpoints", [0, 1])
@pytest.mark.parametrize("evaluations", [0, 1])
def test_parameters_that_are_not_finite_are_never_kept(tmp_path, checkpoints, evaluations):
    # The loss of the only step is computed with the parameters before it, which are finite.
    settings = {"train.epochs": None, "train.steps": 1, "optimizer.learning_rate": 1e39}
    settings |= {"checkpoint.every_steps": checkpoints, "evaluate.every_steps": evaluations}
    with pytest.raises(DivergenceError, match=r"(a parameter|the test loss) of step 1 is not finite"):
        train(tmp_path, settings)
    assert steps_in(tmp_path / "checkpoints") == []
    assert not (tmp_path / "summary.json").exists()


def test_scores_that_are_not_finite_end_the_training(tmp_path):
    # The parameters are still finite: 1e30 is a float32.
    settings = {"train.epochs": None, "train.steps": 1, "optimizer.name": "sgd", "optimizer.learning_rate": 1e30}
    with pytest.raises(DivergenceError, match=r"the test loss of step 1 is"):
        train(tmp_path, {**settings, "evaluate.every_steps": 1})
    assert not [row for row in curve(tmp_path) if "eval_loss" in row]


def test_an_error_closes_the_learning_curve(tmp_path, monkeypatch):
    closed = []
    close = MetricsFile.close
    monkeypatch.setattr(MetricsFile, "close", lambda self: closed.append(close(self)))
    train_until(tmp_path, 5)
    assert closed == [None]


@pytest.mark.parametrize("keeps", [True, False])
def test_the_best_model_is_told_and_used_and_the_last_where_asked(tmp_path, capsys, keeps):
    source, run = save_data(tmp_path / "data.npz", 90, 30), tmp_path / "run"
    settings = {
        "data.source": source,
        "data.validation": 0.3,
        "optimizer.learning_rate": 0.1,
        "checkpoint.keep_best": keeps,
        "train.steps": 21,
    }
    summary = train(run, {**settings, "train.epochs": None, "checkpoint.every_steps": 100})
    rows = [row for row in metrics(run) if "eval_loss" in row]
    best = max(rows, key=lambda row: row["eval_accuracy"])  # The first of several.
    assert best["step"] < rows[-1]["step"] == summary["steps"]  # Or this would be no test.
    assert [summary[f"best_{name}"] for name in ("step", "accuracy", "loss")] == [
        best[name] for name in ("step", "eval_accuracy", "eval_loss")
    ]
    name = f"checkpoints/{step_name(best['step'])}"
    assert summary["best_checkpoint"] == (name if keeps else None)
    lines = capsys.readouterr().out.splitlines()[-5 if keeps else -4 :]
    end = f"at step {best['step']}" + ("" if keeps else "; its checkpoint is not kept")
    texts = [f"accuracy {row['eval_accuracy']:.2%}, loss {row['eval_loss']:.4f}" for row in (best, summary)]
    assert lines[:2] == [f"best validation scores  {texts[0]}, {end}", f"last validation scores  {texts[1]}"]
    of_test = [f"test scores of the {which}" for which in (["best"] if keeps else []) + ["last"]]
    assert [line.split("  ")[0] for line in lines[2:-1]] == of_test
    assert lines[-1] == f"finished after 21 steps; trained for {summary['seconds']:.1f} s in all; {run}"
    settings = {**settings, "train.epochs": None, "checkpoint.every_steps": 100}
    written = json.loads((run / "summary.json").read_text())
    shorter = {key: value for key, value in written.items() if "best" not in key or "test" in key}
    for kept in (json.dumps(shorter), (run / "summary.json").read_text()):  # An earlier dpnet did not record them.
        (run / "summary.json").write_text(kept)
        assert train(run, settings) == summary
        assert capsys.readouterr().out.splitlines()[-len(lines) : -1] == lines[:-1]
    for words, row in ([], best if keeps else rows[-1]), (["--last"], rows[-1]):
        assert run_command(["evaluate", str(run), "--split=validation", *words]) == 0
        shown = capsys.readouterr()
        assert f"step {row['step']}" in shown.err.splitlines()[0]
        assert f"accuracy {row['eval_accuracy']:.4%}  loss {row['eval_loss']:.6f}" in shown.out
        assert dpnet.load_network(str(run), LocalGroup(), last=bool(words)).step == row["step"]
