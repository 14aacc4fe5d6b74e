"""Trainings on arrays with missing values: refused with the key that helps, told, kept, and gone on with."""

import json

import numpy as np
import pytest
from helpers.jobs import outcome, train, train_until

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.contents import contents_of
from dpnet.checkpoint.manifest import manifest_sum
from dpnet.cli.main import run
from dpnet.comm.local import LocalGroup
from dpnet.errors import CheckpointError, DataError
from dpnet.inference.network import load_network

GROUP = LocalGroup()
X = np.random.default_rng(0).standard_normal((90, 3))
X[4, 1] = X[8, 1] = X[9, 2] = np.nan
Y = np.arange(90) % 3
SETTINGS = {"train.global_batch_size": 16, "train.epochs": 3, "evaluate.every_steps": 2, "data.missing": "indicator"}


@pytest.fixture
def source(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=Y, x_test=X[:20] + 1, y_test=Y[:20])
    return str(tmp_path / "d.npz")


def digest(path):
    return checkpoint.digest(checkpoint.read((path / "checkpoints/latest").resolve()).model)


@pytest.mark.parametrize("split", ["train", "test", "validation"])
def test_a_missing_value_is_refused_by_its_place_with_the_key_that_helps(tmp_path, split):
    arrays = {"x_train": np.ones((9, 2)), "y_train": Y[:9]}
    np.savez(
        tmp_path / "d.npz", **arrays | {f"x_{split}": np.where(np.eye(9, 2, -4) > 0, np.nan, 1), f"y_{split}": Y[:9]}
    )
    message = (
        rf"d\.npz \(x_{split}\), row 4, column 0 \(both from 0\): the value is nan; expected a finite number, or "
        r'data\.missing = "mean", "zero" or "indicator", which fills in missing values\.$'
    )
    with pytest.raises(DataError, match=message):
        train(tmp_path / "run", {"data.source": f"{tmp_path}/d.npz"})
    train(tmp_path / "run", {"data.source": f"{tmp_path}/d.npz", "data.missing": "mean", "train.epochs": 1})


def test_missing_values_of_arrays_in_memory_are_refused_alike():
    with pytest.raises(DataError, match=r"^x in memory, row 4, column 1 .* or data\.missing = \"mean\""):
        dpnet.train({"output.progress": "none"}, GROUP, data=(X, Y))


def test_without_a_check_inputs_are_not_looked_at_unless_values_are_to_be_filled_in(source, tmp_path):
    plain = {"data.source": source, "train.epochs": 1, "data.check": False, "data.scale": "none"}
    with pytest.raises(dpnet.DpnetError, match=r"the loss of step 1 is not finite: .* input, samples 9, 8, 4 of"):
        train(tmp_path / "nan", plain)
    train(tmp_path / "checked", {**SETTINGS, "data.source": source})
    train(tmp_path / "not", {**SETTINGS, "data.source": source, "data.check": False})
    assert digest(tmp_path / "checked") == digest(tmp_path / "not")


def test_where_nothing_is_missing_the_parameters_are_those_without_the_key(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X[10:], y_train=Y[10:])
    for missing in ("error", "mean", "zero", "indicator"):
        train(tmp_path / missing, {"data.source": f"{tmp_path}/d.npz", "data.missing": missing, "train.epochs": 2})
    assert len({digest(tmp_path / missing) for missing in ("error", "mean", "zero", "indicator")}) == 1


def test_what_is_filled_in_is_told_at_the_start_and_by_inspect(source, tmp_path, capfd):
    train(tmp_path / "run", {**SETTINGS, "data.source": source})
    said = '3 training and 3 test values are missing, in 2 of 3 features, and filled in (data.missing = "indicator")'
    assert f"note: {said}; 2 more inputs say where\n" in capfd.readouterr().out
    assert run(["inspect", str(tmp_path / "run")]) == 0
    shown = "missing      indicator: 3 training values filled in, in 2 of 3 features; 2 more inputs say where\n"
    assert shown in capfd.readouterr().out


@pytest.mark.parametrize("step", [3, 6, 11])
def test_a_training_goes_on_to_the_same_results(source, tmp_path, step):
    settings = {**SETTINGS, "data.source": source, "checkpoint.every_steps": 3}
    train(tmp_path / "whole", settings)
    train_until(tmp_path / "run", step, settings)
    train(tmp_path / "run", settings)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_run_does_not_go_on_where_something_else_stands_for_missing_values(source, tmp_path):
    settings = {**SETTINGS, "data.source": source, "data.missing": "mean", "data.test": None}
    train(tmp_path / "run", settings)
    with pytest.raises(CheckpointError, match=r'data\.missing is "zero", in the run it is "mean"'):
        train(tmp_path / "run", {**settings, "data.missing": "zero"})
    with pytest.raises(CheckpointError) as refusal:
        train(tmp_path / "other", {**settings, "data.missing": "zero"}, resume=str(tmp_path / "run"))
    assert "what stands for missing values of the features (data.missing) is not what it was in the run" in str(
        refusal.value
    )


WILD = [1, "x", [], {}, {"features": 3}, [[]]]


@pytest.mark.parametrize("value", WILD)
def test_a_checkpoint_whose_record_is_damaged_is_refused(source, tmp_path, value, capfd):
    train(tmp_path / "run", {**SETTINGS, "data.source": source, "train.epochs": 1})
    folder = (tmp_path / "run/checkpoints/latest").resolve()
    kept = json.loads((folder / "manifest.json").read_text())
    change(folder, kept, fills=value)
    with pytest.raises(CheckpointError, match="cannot be used: what stands for missing values is"):
        load_network(str(folder), GROUP)
    with pytest.raises(CheckpointError, match=r"model.pretrained .* what stands for missing values is"):
        train(tmp_path / "tuned", {"data.source": source, "model.pretrained": str(folder)})
    capfd.readouterr()
    assert run(["inspect", str(folder)]) == 1
    assert "CheckpointError: the checkpoint cannot be used: what stands for missing" in capfd.readouterr().err


def test_a_checkpoint_with_a_record_of_another_network_or_of_two_kinds_is_refused(source, tmp_path):
    train(tmp_path / "run", {**SETTINGS, "data.source": source, "train.epochs": 1})
    folder = (tmp_path / "run/checkpoints/latest").resolve()
    kept = json.loads((folder / "manifest.json").read_text())
    change(folder, kept, fills={**kept["data"]["fills"], "indicators": [1]})
    with pytest.raises(
        CheckpointError, match=r"3 features and 1 indicator of missing values .* the network has 5 inputs"
    ):
        load_network(str(folder), GROUP)
    feature = {"categories": None, "fill": None, "indicator": False}
    features = [{"name": str(place), **feature} for place in range(5)]
    schema = {"target": "y", "target_is_text": False, "features": features, "id": None}
    change(folder, kept, schema=schema)
    with pytest.raises(CheckpointError, match="trained on a table, and on arrays"):
        load_network(str(folder), GROUP)


def test_a_checkpoint_of_before_has_nothing_that_stands_for_missing_values(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X[10:], y_train=Y[10:])
    train(tmp_path / "run", {"data.source": f"{tmp_path}/d.npz", "train.epochs": 1})
    folder = (tmp_path / "run/checkpoints/latest").resolve()
    assert "fills" not in json.loads((folder / "manifest.json").read_text())["data"]
    assert contents_of(checkpoint.read(folder)).fills is None


def change(folder, manifest, **of_data):
    changed = {**manifest, "data": {**manifest["data"], **of_data}}
    del changed["manifest_sha256"]
    (folder / "manifest.json").write_text(json.dumps({**changed, "manifest_sha256": manifest_sum(changed)}))
