"""A training with validation data: they choose, and the test data are left for the end."""

import json

import numpy as np
import pytest
from helpers.jobs import curve, make_job, metrics, outcome, save_data, train, train_until

import dpnet
from dpnet.checkpoint.format import read, step_name
from dpnet.cli.tables import checkpoint_table
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source
from dpnet.errors import CheckpointError, DataError
from dpnet.training.prepare import measure_scaling, open_data

SHARE = {"data.validation": 0.1, "optimizer.learning_rate": 0.02}
TESTED = ("test_accuracy", "test_loss", "best_test_accuracy", "best_test_loss")


def scored(run, *, last):
    scores = dpnet.evaluate(dpnet.load_network(str(run), LocalGroup(), last=last), "digits", LocalGroup())
    return scores.accuracy, scores.loss


def test_validation_chooses_the_best_and_the_test_data_are_scored_at_the_end(tmp_path, capsys):
    run = tmp_path / "run"
    summary = train(run, {**SHARE, "output.progress": "plain", "train.epochs": 5})
    rows = [row for row in metrics(run) if "eval_loss" in row]
    assert {(row["eval_samples"], row["eval_split"]) for row in rows} == {(144, "validation")}
    best = max(rows, key=lambda row: row["eval_accuracy"])
    assert best["step"] == summary["best_step"] < summary["steps"]  # Or this would be no test.
    assert (summary["test_accuracy"], summary["test_loss"]) == scored(run, last=True)
    assert (summary["best_test_accuracy"], summary["best_test_loss"]) == scored(run, last=False)
    assert "\nvalidation scores  accuracy " in checkpoint_table(run, read(run / "checkpoints/latest"))
    out = capsys.readouterr().out
    assert "data digits: 1,293 training samples, 144 validation samples, 360 test samples\n" in out
    assert out.count("  validation loss ") == len(rows)
    of_best, of_last = (
        f"accuracy {summary[f'{name}accuracy']:.2%}, loss {summary[f'{name}loss']:.4f}"
        for name in ("best_test_", "test_")
    )
    lines = out.splitlines()[-5:-1]
    assert [line.split("  ")[0] for line in lines[:2]] == ["best validation scores", "last validation scores"]
    assert lines[2:] == [f"test scores of the best  {of_best}", f"test scores of the last  {of_last}"]
    assert max(map(len, lines)) <= 80
    assert train(run, {**SHARE, "train.epochs": 5}) == summary  # It is complete: nothing is computed again.
    assert capsys.readouterr().out.splitlines()[-5:-1] == lines


def test_a_share_trains_as_the_same_samples_in_files_do(tmp_path):
    source = save_data(tmp_path / "whole.npz", 150, 60, classes=3)
    with np.load(source) as arrays:
        np.savez(source, **arrays, w_train=np.arange(150) % 4)
    found = open_source(source, DataConfig(validation=0.1))
    of_splits = [(f"_{name}", getattr(found, name)) for name in ("train", "test")]
    np.savez(
        tmp_path / "data.npz", **{key: array for ending, split in of_splits for key, array in arrays_of(split, ending)}
    )
    np.savez(tmp_path / "v.npz", **dict(arrays_of(found.validation, "")))
    settings = {"data.class_weights": "balanced", "train.global_batch_size": 16, "optimizer.learning_rate": 0.02}
    train(tmp_path / "share", {**settings, "data.source": source, "data.validation": 0.1})
    files = {"data.source": str(tmp_path / "data.npz"), "data.validation": str(tmp_path / "v.npz")}
    train(tmp_path / "files", {**settings, **files})
    assert outcome(tmp_path / "share") == outcome(tmp_path / "files")
    manifests = [tmp_path / name / "checkpoints/latest/manifest.json" for name in ("share", "files")]
    assert json.loads(manifests[0].read_text())["data"] == json.loads(manifests[1].read_text())["data"]


def arrays_of(split, ending):
    found = {"x": split.block(0, len(split)), "y": split.labels, "w": split.weights}
    return [(f"{name}{ending}", array) for name, array in found.items() if array is not None]


def test_a_training_that_was_cut_off_in_mid_epoch_goes_on_with_the_same_samples(tmp_path):
    settings = {**SHARE, "evaluate.patience": 6}
    train(tmp_path / "whole", settings)
    train_until(tmp_path / "cut", 17, settings)
    train(tmp_path / "cut", settings)
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_patience_watches_the_validation_data(tmp_path):
    source = save_data(tmp_path / "data.npz", 60, 30)
    with np.load(source) as arrays:
        # What is learned makes the scores of the validation data worse all the time, and those of the test data better.
        np.savez(tmp_path / "v.npz", x=arrays["x_train"], y=1 - arrays["y_train"])
        np.savez(source, **{**arrays, "x_test": arrays["x_train"], "y_test": arrays["y_train"]})
    settings = {"data.source": source, "evaluate.metric": "loss", "evaluate.patience": 2, "evaluate.every_steps": 1}
    settings |= {"train.epochs": 30, "train.global_batch_size": 60, "optimizer.learning_rate": 0.01}
    watching = train(tmp_path / "v", {**settings, "data.validation": str(tmp_path / "v.npz")})
    assert (watching["status"], watching["steps"] - watching["best_step"]) == ("stopped_early", 2)
    train(tmp_path / "t", {**settings, "evaluate.patience": 0})
    of_test = [row["eval_loss"] for row in curve(tmp_path / "t") if "eval_loss" in row]
    assert of_test == sorted(of_test, reverse=True)  # Patience would not end the training by these.


@pytest.mark.parametrize("how", ["not kept", "damaged"])
def test_a_best_checkpoint_that_is_not_there_has_no_test_scores(tmp_path, capsys, how):
    settings = {**SHARE, "checkpoint.keep_best": how == "damaged", "output.progress": "plain", "train.epochs": 5}
    run = tmp_path / "run"
    if how == "damaged":
        best = train(run, settings)["best_step"]
        (run / "summary.json").unlink()
        (run / "checkpoints" / step_name(best) / "model.safetensors").write_bytes(b"")
    capsys.readouterr()
    summary = train(run, settings)
    assert (summary["best_test_accuracy"], summary["best_test_loss"]) == (None, None)
    assert 0.9 < summary["test_accuracy"] < 1
    out = capsys.readouterr().out
    assert "test scores of the last  accuracy " in out
    assert "test scores of the best" not in out
    assert ("note: the best checkpoint has no test scores: " in out) == (how == "damaged")
    assert ("; its checkpoint is not kept" in out) == (how == "not kept")


def test_inputs_are_scaled_by_what_is_trained_on(tmp_path):
    job = make_job(tmp_path, SHARE)
    source = open_data(job, LocalGroup())
    kept = source.train.block(0, len(source.train))
    assert measure_scaling(job, source, LocalGroup()).offset.tolist() == pytest.approx(kept.mean(axis=0).tolist())


def test_another_share_is_another_run_and_a_path_goes_by_its_content(tmp_path):
    run = tmp_path / "run"
    train(run, {**SHARE, "train.epochs": 1})
    for share, shown in ((0.5, "0.5"), (None, "not set")):
        with pytest.raises(CheckpointError, match="does not fit") as refusal:
            train(run, {**SHARE, "train.epochs": 1, "data.validation": share})
        lines = str(refusal.value).splitlines()
        assert lines[1] == f"  data.validation is {shown}, in the run it is 0.1"
        assert "past" not in lines[2]
        assert "go on with" not in str(refusal.value)


@pytest.mark.parametrize(
    ("same", "text"),
    [
        (
            "x_train",
            "the validation inputs are those of the training data, to the last bit: their scores say nothing of ",
        ),
        (
            "x_test",
            "the test inputs are those of the validation data, to the last bit: they choose the best, whose test ",
        ),
    ],
)
def test_the_same_samples_twice_are_told(tmp_path, capsys, same, text):
    source = save_data(tmp_path / "data.npz", 20, 10)
    with np.load(source) as arrays:
        np.savez(tmp_path / "v.npz", x=arrays[same], y=arrays[same.replace("x", "y")])
    settings = {"data.source": source, "train.epochs": 1}
    train(tmp_path / "run", {**settings, "data.validation": str(tmp_path / "v.npz")})
    assert f"note: {text}" in capsys.readouterr().out
    assert curve(tmp_path / "run")


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "the value is nan; expected a finite number"), (1e300, "too large for float32")]
)
def test_a_value_that_is_not_finite_is_named_by_its_row_in_the_file_before_the_training(tmp_path, value, message):
    source = save_data(tmp_path / "data.npz", 40, 10)
    with np.load(source) as arrays:
        given = {**arrays, "x_train": arrays["x_train"].astype(np.float64)}
    held = open_source(source, DataConfig(validation=0.2)).validation.rows[3]
    given["x_train"][held, 1] = value
    np.savez(source, **given)
    with pytest.raises(DataError, match=rf"x_train\), row {held}, column 1 \(both from 0\): .*{message}"):
        train(tmp_path / "run", {"data.source": source, "data.validation": 0.2})


def test_a_test_loss_that_is_not_finite_costs_the_training_no_summary(tmp_path, capsys):
    source = save_data(tmp_path / "d.npz", 90, 30, features=20, classes=3)
    with np.load(source) as arrays:
        huge = np.full_like(arrays["x_test"], 3e38, np.float32)
        np.savez(source, **{**arrays, "x_train": arrays["x_train"] / np.float32(100), "x_test": huge})
    settings = {"data.source": source, "data.scale": "none", "data.validation": 0.1, "train.epochs": 2}
    settings["optimizer.learning_rate"] = 0.3
    summary = train(tmp_path / "run", {**settings, "train.global_batch_size": 16, "output.progress": "plain"})
    assert summary["status"] == "finished"
    assert [summary[name] for name in TESTED] == [None] * 4
    assert json.loads((tmp_path / "run/summary.json").read_text())["digest"] == summary["digest"]
    assert "the last parameters have no test scores: their test loss is not finite" in capsys.readouterr().out
