"""A network fills in what is missing in arrays that it is applied to, as its training data say, or refuses it."""

import numpy as np
import pytest
from helpers.jobs import train

import dpnet
from dpnet.cli.main import run
from dpnet.comm.local import LocalGroup
from dpnet.errors import DataError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network

GROUP = LocalGroup()
NAN = np.nan
X = np.random.default_rng(0).standard_normal((80, 3))
X[::7, 1] = NAN
Y = np.arange(80) % 2
NEW = np.random.default_rng(1).standard_normal((12, 3))
NEW[2, 0] = NEW[5, 1] = NAN  # No training sample lacks the first feature.
MEANS = [X[:, 0].mean(), np.mean(X[~np.isnan(X[:, 1]), 1]), X[:, 2].mean()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Trainings with each choice of data.missing, and new data."""
    path = tmp_path_factory.mktemp("missing")
    np.savez(path / "d.npz", x_train=X, y_train=Y)
    np.savez(path / "whole.npz", x_train=X[:, [0, 2, 2]], y_train=Y)
    np.savez(path / "new.npz", x=NEW, y=Y[:12])
    for kind in ("mean", "zero", "indicator", "error"):
        source = path / ("whole.npz" if kind == "error" else "d.npz")
        train(path / kind, {"data.source": str(source), "data.missing": kind, "train.epochs": 4})
    return path


def by_hand(kind):
    """The new data as they should reach the network."""
    fills = np.zeros(3) if kind == "zero" else MEANS
    whole = np.where(np.isnan(NEW), fills, NEW)
    return np.insert(whole, 2, np.isnan(NEW[:, 1]), axis=1) if kind == "indicator" else whole


def plain(network):
    """The network as one that takes its inputs as they are."""
    return type(network)(**{**vars(network), "fills": None})


@pytest.mark.parametrize("kind", ["mean", "zero", "indicator"])
def test_other_data_are_filled_in_as_the_training_data_were(folder, kind, capfd):
    network = load_network(str(folder / kind), GROUP)
    expected = evaluate(plain(network), (by_hand(kind), Y[:12]), GROUP)
    capfd.readouterr()
    assert evaluate(network, str(folder / "new.npz"), GROUP) == expected
    told = capfd.readouterr().err
    assert "new.npz (x): 2 missing values filled in as in the training, in 2 of 3 features" in told
    given = NEW.copy()
    assert evaluate(network, (given, Y[:12]), GROUP) == expected
    assert given.tobytes() == NEW.tobytes()
    found = dpnet.predict(network, NEW, group=GROUP)
    wanted = dpnet.predict(plain(network), by_hand(kind), group=GROUP)
    assert found.records.tobytes() == wanted.records.tobytes()


@pytest.mark.parametrize("kind", ["mean", "indicator"])
def test_predictions_of_a_file_are_those_of_what_is_filled_in(folder, tmp_path, kind):
    np.save(tmp_path / "new.npy", NEW)
    assert run(["predict", str(folder / kind), "--data", f"{tmp_path}/new.npy", "--out", f"{tmp_path}/p.npy"]) == 0
    wanted = dpnet.predict(plain(load_network(str(folder / kind), GROUP)), by_hand(kind), group=GROUP).records
    assert np.load(tmp_path / "p.npy").tobytes() == wanted.tobytes()


def test_a_split_of_the_training_is_scored_to_the_bits_of_its_summary(folder, tmp_path):
    settings = {"data.source": str(folder / "d.npz"), "data.missing": "indicator", "data.test": 0.2}
    summary = train(tmp_path / "run", {**settings, "data.validation": 0.2, "train.epochs": 2})
    network = load_network(str(tmp_path / "run"), GROUP, last=True)
    found = evaluate(network, None, GROUP, split="test")
    assert (found.loss, found.accuracy) == (summary["test_loss"], summary["test_accuracy"])
    x = X.copy()
    x[np.flatnonzero(~np.isnan(X[:, 1]))[:30], 1] += 1  # The mean of the training samples is another now.
    np.savez(tmp_path / "d.npz", x_train=x, y_train=Y)
    moved = type(network)(**{**vars(network), "job": _with_source(network.job, tmp_path / "d.npz")})
    with pytest.raises(
        DataError, match="the data have changed since the training: the test features have other values"
    ):
        evaluate(moved, None, GROUP, split="test")


def _with_source(job, path):
    return dpnet.load_job(
        None, [f"data.source={path}", "data.missing=indicator", "data.test=0.2", "data.validation=0.2"]
    )


@pytest.mark.parametrize("call", [["evaluate"], ["predict"]])
def test_a_network_that_was_trained_without_missing_values_refuses_them_and_says_what_helps(folder, call, capfd):
    out = ["--out", str(folder / "p.csv")] if call == ["predict"] else []
    words = [*call, str(folder / "error"), "--data", str(folder / "new.npz"), *out]
    assert run(words) == 1
    told = capfd.readouterr().err
    assert "new.npz (x), row 2, column 0 (both from 0): the value is nan; expected a finite number. " in told
    assert "The network was trained without missing values; --nonfinite=skip leaves such rows out" in told
    assert "data.missing" not in told
    assert run([*words, "--nonfinite=skip"]) == 0
    assert "2 of 12 rows left out, not finite: rows 2, 5 (from 0)" in capfd.readouterr().err


def test_infinity_is_no_missing_value(folder):
    x = NEW.copy()
    x[3, 1] = np.inf
    with pytest.raises(
        DataError, match=r"row 3, column 1 \(both from 0\): the value is inf; expected a finite number; rep"
    ):
        evaluate(load_network(str(folder / "mean"), GROUP), (x, Y[:12]), GROUP)


def test_samples_with_indicators_of_their_own_are_refused(folder):
    network = load_network(str(folder / "indicator"), GROUP)
    with pytest.raises(
        DataError, match=r"x in memory has 4 features a sample; the network takes 3 \(indicators of missing"
    ):
        evaluate(network, (by_hand("indicator"), Y[:12]), GROUP)


def test_converted_data_are_taken_if_they_were_filled_in_alike(folder, tmp_path):
    for kind in ("mean", "indicator"):
        words = ["data", "convert", f"{folder}/d.npz", f"{tmp_path}/{kind}", "--set", f"data.missing={kind}"]
        assert run(words) == 0
        expected = evaluate(load_network(str(folder / kind), GROUP), str(folder / "d.npz"), GROUP, split="train")
        found = evaluate(load_network(str(folder / kind), GROUP), str(tmp_path / kind), GROUP, split="train")
        assert found == expected
    for network in ("mean", "zero", "error"):
        with pytest.raises(
            DataError, match="was converted with what stands for missing values in its own training samples"
        ):
            evaluate(load_network(str(folder / network), GROUP), str(tmp_path / "indicator"), GROUP, split="train")


def test_indices_of_svmlight_are_those_of_the_features(folder, tmp_path):
    pytest.importorskip("sklearn")
    rows = [" ".join(f"{place}:{value!r}" for place, value in enumerate(row.tolist(), 1)) for row in X]
    (tmp_path / "d.svm").write_text("".join(f"{label} {row}\n" for label, row in zip(Y, rows, strict=True)))
    settings = {"data.source": f"{tmp_path}/d.svm", "data.missing": "indicator", "train.epochs": 4}
    train(tmp_path / "run", settings)
    (tmp_path / "new.svm").write_text("0 1:0.5 2:nan\n1 3:1.5\n")
    network = load_network(str(tmp_path / "run"), GROUP)
    expected = evaluate(network, ([[0.5, NAN, 0], [0, 0, 1.5]], [0, 1]), GROUP)
    assert evaluate(network, str(tmp_path / "new.svm"), GROUP) == expected
