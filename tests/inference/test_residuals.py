"""How a regression errs: scikit-learn's scores of every output, quantiles of the errors, and the largest of them."""

import json
import re

import numpy as np
import pytest
from helpers.jobs import train
from helpers.mpirun import run_ranks

import dpnet
from dpnet.cli.main import run as dpnet_command
from dpnet.comm.local import LocalGroup
from dpnet.inference.residuals import SHARES, quantile

GROUP = LocalGroup()
RANDOM = np.random.default_rng(2)
X = RANDOM.standard_normal((120, 3))
Y = np.stack([X @ [1.0, 2.0, 3.0] * 50 + 7, X[:, 0] ** 2], axis=1) + RANDOM.standard_normal((120, 2))
W = RANDOM.integers(0, 4, 120) / 3
SETTINGS = {"model.task": "regression", "evaluate.metric": "r2", "train.epochs": 4, "train.global_batch_size": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    np.savez(folder / "d.npz", x_train=X, y_train=Y, x_test=X, y_test=Y)
    train(folder / "run", {**SETTINGS, "data.source": str(folder / "d.npz"), "model.dtype": "float64"})
    return folder


def predictions(network):
    return dpnet.predict(network, X, None, GROUP).numbers


@pytest.mark.parametrize("weights", [None, W], ids=["", "weighted"])
def test_scores_of_every_output_are_those_of_scikit_learn(folder, weights):
    metrics = pytest.importorskip("sklearn.metrics")
    network = dpnet.load_network(folder / "run", GROUP)
    scores = dpnet.evaluate(network, (X, Y, weights), GROUP, batch_size=7, details=True)
    found, given = scores.details, predictions(network)
    assert (scores.weighted, found.weighted, [one.name for one in found.outputs]) == (weights is not None,) * 2 + (
        ["0", "1"],
    )
    how, counts = {"sample_weight": weights}, np.ones(120, bool) if weights is None else weights > 0
    for place, one in enumerate(found.outputs):
        target, prediction = Y[:, place], given[:, place]
        expected = {
            "r2": metrics.r2_score(target, prediction, **how),
            "rmse": metrics.root_mean_squared_error(target, prediction, **how),
            "mae": metrics.mean_absolute_error(target, prediction, **how),
            "bias": np.average(prediction - target, weights=weights),
            "max_error": metrics.max_error(target[counts], prediction[counts]),
        }
        if weights is None:
            expected["median_absolute_error"] = metrics.median_absolute_error(target, prediction)
        assert {name: getattr(one, name) for name in expected} == pytest.approx(expected, rel=1e-6)
        errors = (prediction - target)[counts]
        assert one.error_quantiles == tuple(sorted(one.error_quantiles))
        assert one.error_quantiles[:: len(SHARES) - 1] == pytest.approx((errors.min(), errors.max()))
    assert scores.r2 == pytest.approx(np.mean([one.r2 for one in found.outputs]))


def test_a_weighted_quantile_is_that_of_samples_that_occur_as_often():
    values, weights = np.array([3.0, 1, 2, 5, 4]), np.array([1, 2, 3, 2, 2])
    for share in SHARES:
        expected = np.quantile(np.repeat(values, weights), share, method="averaged_inverted_cdf")
        assert quantile(values, weights * 1.0, share) == expected == quantile(values, weights / 1024, share)
    assert quantile(np.array([7.0]), np.array([2.0]), 0.25) == 7


def test_the_largest_errors_are_named_with_their_rows(folder, tmp_path):
    network = dpnet.load_network(folder / "run", GROUP)
    y, weights = Y.copy(), np.ones(120)
    y[[40, 3, 77], [0, 1, 0]] += [1e4, 50, 5e6]
    weights[77] = 0
    largest = dpnet.evaluate(network, (X, y, weights), GROUP, details=True).details.largest
    assert [(one.row, one.output, one.name) for one in largest[:2]] == [(40, "0", ""), (3, "1", "")]
    assert (largest[0].target, largest[0].prediction) == (y[40, 0], predictions(network)[40, 0])
    assert len(largest) == 10


def test_rows_of_a_table_have_their_names_or_lines(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    lines = [
        "code,a,b,price",
        *(f"n{row},{x[0]},{x[1]},{y}" for row, (x, y) in enumerate(zip(X, Y[:, 0], strict=True))),
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    for key, shown in (("data.id", "n"), ("data.ignore", "line ")):
        value = "code" if key == "data.id" else ["code"]
        train(tmp_path / shown.strip(), {**SETTINGS, "data.source": "t.csv", "data.target": "price", key: value})
        capsys.readouterr()
        assert dpnet_command(["evaluate", shown.strip(), "--data", "t.csv", "--details"]) == 0
        text = capsys.readouterr().out
        assert re.search(r"output +R2 +RMSE +MAE +bias", text)
        assert "\nprice " in text
        assert "\nlargest errors\nrow " in text
        assert f"\n{shown}" in text.partition("largest errors")[2]
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_three_ranks_find_the_same(folder):
    network = dpnet.load_network(folder / "run", GROUP)
    np.savez(folder / "w.npz", x=X, y=Y, w=W)
    expected = dpnet.evaluate(network, str(folder / "w.npz"), GROUP, batch_size=7, details=True).details
    command = [
        "-m",
        "dpnet",
        "evaluate",
        str(folder / "run"),
        "--data",
        str(folder / "w.npz"),
        "--batch-size=7",
        "--json",
    ]
    result = run_ranks(3, [*command, "--details"])
    found = json.loads(next(line for line in result.output.splitlines() if line.startswith("{")))
    assert found["weighted"]
    for one, values in zip(expected.outputs, found["outputs"], strict=True):
        assert {**vars(one), "error_quantiles": dict(zip(map(str, SHARES), one.error_quantiles, strict=True))} == values
    assert [vars(one) for one in expected.largest] == found["largest_errors"]
