"""Missing values of arrays: the features become what they became for the network that a training begins with."""

import numpy as np
import pytest
from helpers.jobs import train

from dpnet.comm.local import LocalGroup
from dpnet.config.file import job_of
from dpnet.conversion.convert import convert
from dpnet.errors import CheckpointError, DataError
from dpnet.inference.network import load_network
from dpnet.training.prepare import open_data
from dpnet.training.pretrained.find import find_pretrained

SETTINGS = {
    "model.hidden_layers": [4],
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1e-30,
    "train.epochs": None,
    "train.steps": 1,
}
NAN = np.nan
X = np.array([[1.0, NAN, 3.0], [2.0, 4.0, 6.0], [6.0, 8.0, 9.0], [7.0, 6.0, NAN]])
NEW = np.array([[NAN, NAN, 30.0], [20.0, 40.0, 60.0], [20.0, 80.0, NAN], [70.0, 60.0, 2.0]])
MEANS = [4.0, 6.0, 6.0]


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Runs with each choice of data.missing."""
    path = tmp_path_factory.mktemp("bases")
    for missing in ("mean", "zero", "indicator"):
        train(path / missing, {**SETTINGS, "data.source": saved(path / "d.npz", X), "data.missing": missing})
    train(path / "error", {**SETTINGS, "data.source": saved(path / "w.npz", X[1:3])})
    return path


def saved(path, x):
    np.savez(path, x_train=x, y_train=np.arange(len(x)) % 2)
    return str(path)


def tune(path, base, source, missing):
    return train(path, {**SETTINGS, "data.source": source, "model.pretrained": str(base), "data.missing": missing})


def opened(base, source, missing):
    job = job_of({"data.source": source, "data.missing": missing, "model.pretrained": str(base)})
    found = find_pretrained(job, LocalGroup(), "auto")
    return open_data(job, LocalGroup(), None, found.schema, found.fills).train


@pytest.mark.parametrize("missing", ["mean", "zero", "indicator"])
def test_what_stood_for_missing_values_stands_for_them(bases, tmp_path, missing):
    source = saved(tmp_path / "n.npz", NEW[:, [2, 0, 1]][:, [1, 2, 0]])
    if missing == "indicator":  # The first feature has no indicator there.
        with pytest.raises(
            DataError, match=r'column 0 \(from 0\): values are missing, .* expected data\.missing = "mean"'
        ):
            tune(tmp_path / "run", bases / missing, source, missing)
        source = saved(tmp_path / "n.npz", np.where(np.isnan(NEW) & [True, False, False], 1, NEW))
    tune(tmp_path / "run", bases / missing, source, missing)
    network, base = (load_network(str(path), LocalGroup()) for path in (tmp_path / "run", bases / missing))
    assert network.fills.same(base.fills)
    assert network.fills.filled[0] == np.isnan(np.load(source)["x_train"]).sum()
    fills = opened(bases / missing, source, missing).fills
    assert fills.values.tolist() == ([0] if missing == "zero" else MEANS)


def test_a_network_that_was_trained_without_them_gets_the_means_of_the_new_data(bases, tmp_path):
    source = saved(tmp_path / "n.npz", NEW)
    assert opened(bases / "error", source, "mean").fills.values.tolist() == np.nanmean(NEW, axis=0).tolist()
    with pytest.raises(DataError, match=r'no input that says where; expected data\.missing = "mean" or "zero"'):
        tune(tmp_path / "run", bases / "error", source, "indicator")
    tune(tmp_path / "run", bases / "error", source, "zero")


def test_inputs_that_say_where_stay_and_missing_values_are_refused_again(bases, tmp_path):
    found = opened(bases / "indicator", saved(tmp_path / "w.npz", X[1:3]), "error")
    assert found.inputs.tolist() == [[2, 4, 0, 6, 0], [6, 8, 0, 9, 0]]
    tune(tmp_path / "run", bases / "indicator", str(tmp_path / "w.npz"), "error")
    with pytest.raises(
        DataError, match=r"row 0, column 0 \(both from 0\): the value is nan; expected a finite number, or"
    ):
        tune(tmp_path / "nan", bases / "indicator", saved(tmp_path / "n.npz", NEW), "error")


def test_another_choice_is_refused_with_the_setting_that_fits(bases, tmp_path):
    with pytest.raises(CheckpointError, match=r'data\.missing is "zero", there it is "mean"') as refusal:
        tune(tmp_path / "run", bases / "mean", saved(tmp_path / "n.npz", NEW), "zero")
    assert "--set 'data.missing=\"mean\"'" in str(refusal.value)


def test_a_run_goes_on_with_what_it_began_with_though_that_is_gone(tmp_path):
    source = saved(tmp_path / "d.npz", X)
    train(tmp_path / "base", {**SETTINGS, "data.source": source, "data.missing": "indicator"})
    other = saved(tmp_path / "n.npz", np.where(np.isnan(NEW) & [True, False, False], 1, NEW))
    settings = {
        **SETTINGS,
        "data.source": other,
        "data.missing": "indicator",
        "model.pretrained": str(tmp_path / "base"),
    }
    train(tmp_path / "run", settings)
    (tmp_path / "base").rename(tmp_path / "gone")
    summary = train(tmp_path / "run", {**settings, "train.steps": 3})
    assert summary["steps"] == 3
    assert load_network(str(tmp_path / "run"), LocalGroup()).fills.values.tolist() == MEANS


def test_other_widths_are_told_where_networks_are_compared(bases, tmp_path):
    with pytest.raises(CheckpointError, match=r"n\.npz has 2 features a sample, there the network takes 3"):
        tune(tmp_path / "run", bases / "mean", saved(tmp_path / "n.npz", NEW[:, :2]), "mean")


def test_arrays_begin_with_a_table_of_numbers_and_what_stands_there_for_missing_values(tmp_path):
    pytest.importorskip("pyarrow")
    rows = [",".join("" if np.isnan(one) else str(one) for one in row) for row in X]
    lines = ["a,b,c,kind", *(f"{row},{place % 2}" for place, row in enumerate(rows)), ""]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    settings = {**SETTINGS, "data.source": f"{tmp_path}/t.csv", "data.target": "kind", "data.missing": "mean"}
    train(tmp_path / "base", settings)
    assert opened(tmp_path / "base", saved(tmp_path / "n.npz", NEW), "mean").fills.values.tolist() == MEANS
    tune(tmp_path / "run", tmp_path / "base", str(tmp_path / "n.npz"), "mean")
    with pytest.raises(CheckpointError, match=r'data\.missing is "zero", there it is "mean"'):
        tune(tmp_path / "zero", tmp_path / "base", str(tmp_path / "n.npz"), "zero")


def test_inputs_that_say_where_stand_at_the_same_places_in_a_table_too(bases, tmp_path):
    pytest.importorskip("pyarrow")
    for name, gaps, fits in (("same", [1, 2], True), ("other", [0, 2], False)):
        rows = [",".join("" if row == 0 and one in gaps else f"{row + one}" for one in range(3)) for row in range(6)]
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["a,b,c,kind", *(f"{row},{place % 2}" for place, row in enumerate(rows)), ""]))
        there = [int(one) for one in load_network(str(bases / "indicator"), LocalGroup()).fills.indicators]
        assert there == [1, 2]
        settings = {**SETTINGS, "data.source": str(path), "data.target": "kind", "data.missing": "indicator"}
        reason = "other numbers than there stand for missing" if fits else "other inputs than there that say where"
        with pytest.raises(CheckpointError, match=reason):
            train(tmp_path / name, {**settings, "model.pretrained": str(bases / "indicator")})


def test_with_mean_a_network_keeps_the_inputs_that_say_where(bases, tmp_path):
    source = saved(tmp_path / "n.npz", NEW)
    assert opened(bases / "indicator", source, "mean").fills.indicators == (1, 2)
    tune(tmp_path / "run", bases / "indicator", source, "mean")


def test_converted_data_in_which_other_numbers_were_filled_in_are_refused(bases, tmp_path):
    source = saved(tmp_path / "n.npz", NEW)
    job = job_of({"data.source": source, "data.missing": "mean"})
    convert(job, str(tmp_path / "c"), LocalGroup())
    with pytest.raises(CheckpointError, match="other numbers than there stand for missing values of "):
        tune(tmp_path / "run", bases / "mean", str(tmp_path / "c"), "mean")
