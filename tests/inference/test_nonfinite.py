"""A sample with an input or an output that is not finite gets no answer: it is refused, left out, or marked."""

import csv
import re
import warnings

import numpy as np
import pytest
from helpers.jobs import save_data, train

from dpnet.checkpoint import format as checkpoint
from dpnet.comm.local import LocalGroup
from dpnet.errors import CheckpointError, DataError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network, make_network
from dpnet.inference.nonfinite import rows_text
from dpnet.inference.predict import Predictions, predict

GROUP = LocalGroup()
ROWS, FEATURES, CLASSES = 30, 4, 3
BAD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "beyond float32": 1e300}


@pytest.fixture(scope="module", params=["relu", "tanh"])
def trained(request, tmp_path_factory):
    """(network, folder with good.npz). Under tanh an infinite input shows in no output."""
    folder = tmp_path_factory.mktemp(request.param)
    source = save_data(folder / "data.npz", 90, ROWS, features=FEATURES, classes=CLASSES)
    train(folder / "run", {"data.source": source, "model.activation": request.param, "train.epochs": 2})
    return load_network(str(folder / "run"), GROUP), folder


def with_bad_rows(trained, tmp_path, rows, value, name="bad.npz"):
    """The test data in float64, with `value` in column 2 of some rows."""
    with np.load(trained[1] / "data.npz") as data:
        x, y = data["x_test"].astype(np.float64), data["y_test"]
    x[rows, 2] = value
    np.savez(tmp_path / name, x=x, y=y)
    return str(tmp_path / name)


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("batch_size", [1, 7, 512])
def test_predict_and_evaluate_name_row_and_column_and_leave_no_file(trained, tmp_path, value, batch_size):
    network, source = trained[0], with_bad_rows(trained, tmp_path, [17, 20], value)
    seen = (
        rf"bad\.npz \(x\), row 17, column 2 \(both from 0\): the value is {re.escape(str(value))}; .*--nonfinite=skip"
    )
    with pytest.raises(DataError, match=seen + ".*--nonfinite=nan"):
        predict(network, source, tmp_path / "out.csv", GROUP, batch_size=batch_size)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.npz"]
    with pytest.raises(DataError, match=seen):
        evaluate(network, source, GROUP, batch_size=batch_size)


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("batch_size", [1, 7, 512])
def test_rows_that_are_left_out_change_nothing_for_the_others(trained, tmp_path, value, batch_size):
    network, rows = trained[0], [0, 17, 20, 29]
    source, whole = with_bad_rows(trained, tmp_path, rows, value), with_bad_rows(trained, tmp_path, [], 0, "good.npz")
    for name, path in (("some", source), ("all", whole)):
        made = predict(network, path, tmp_path / f"{name}.npy", GROUP, batch_size=batch_size, nonfinite="skip")
        assert made == (Predictions(26, 4, tuple(rows)) if name == "some" else Predictions(30))
    some, every = np.load(tmp_path / "some.npy"), np.load(tmp_path / "all.npy")
    assert some.tobytes() == np.delete(every, rows).tobytes()
    scores = evaluate(network, source, GROUP, batch_size=batch_size, nonfinite="skip")
    with np.load(whole) as data:
        labels = np.delete(data["y"], rows)
    assert (scores.samples, scores.left_out, scores.left_out_rows) == (26, 4, tuple(rows))
    assert scores.accuracy == (some["label"] == labels).mean()
    assert scores.loss == pytest.approx(-np.log(some["probabilities"][np.arange(26), labels]).mean(), rel=1e-5)


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_marked_rows_have_no_class_in_either_format(trained, tmp_path, value):
    network, source = trained[0], with_bad_rows(trained, tmp_path, [3, 17], value)
    for name in ("out.npy", "out.csv"):
        made = predict(network, source, tmp_path / name, GROUP, batch_size=7, nonfinite="nan")
        assert made == Predictions(ROWS, 2, (3, 17))
    records = np.load(tmp_path / "out.npy")
    assert np.flatnonzero(records["label"] == -1).tolist() == [3, 17]
    assert np.flatnonzero(np.isnan(records["probabilities"]).all(axis=1)).tolist() == [3, 17]
    assert np.isfinite(records["probabilities"][[2, 4, 16, 18]]).all()
    with (tmp_path / "out.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    assert [int(row[0]) for row in rows] == records["label"].tolist()
    assert rows[3][1:] == ["nan"] * CLASSES


def test_nothing_is_left_when_no_row_is_finite(trained, tmp_path):
    network, source = trained[0], with_bad_rows(trained, tmp_path, slice(None), np.nan)
    with pytest.raises(DataError, match=r"bad\.npz \(x\): no row is left"):
        evaluate(network, source, GROUP, nonfinite="skip")
    assert predict(network, source, tmp_path / "out.npy", GROUP, nonfinite="skip").samples == 0
    assert len(np.load(tmp_path / "out.npy")) == 0


def test_an_output_that_overflows_is_refused_with_its_row(trained, tmp_path):
    network, source = trained[0], with_bad_rows(trained, tmp_path, [5], 3e38)
    if network.job.model.activation == "tanh":
        assert evaluate(network, source, GROUP).samples == ROWS  # A saturated unit is an answer.
        return
    weight, _ = network.params[0]
    weight *= 100
    try:
        with pytest.raises(DataError, match=r"row 5 \(from 0\): the network's output overflows float32.*3e\+38"):
            evaluate(network, source, GROUP)
    finally:
        weight /= 100


def test_no_warning_of_numpy_gets_through(trained, tmp_path):
    for value in BAD.values():
        source = with_bad_rows(trained, tmp_path, [3], value)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            predict(trained[0], source, tmp_path / "out.csv", GROUP, nonfinite="nan")
            evaluate(trained[0], source, GROUP, nonfinite="skip")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_with_a_parameter_that_is_not_finite_is_refused(trained, value):
    found = checkpoint.read(trained[1] / "run/checkpoints/latest")
    bias = found.model["2.bias"].copy()
    bias[1] = value
    found.model["2.bias"] = bias
    with pytest.raises(CheckpointError, match=rf"tensor 2\.bias of the checkpoint holds the value {value}"):
        make_network(found)


def test_only_the_first_rows_are_named():
    assert rows_text(1, 5, [3], "left out") == "note: 1 of 5 rows left out, not finite: row 3 (from 0)"
    text = rows_text(12, 5000, range(10), "left out")
    assert text == "note: 12 of 5,000 rows left out, not finite: rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more (from 0)"
