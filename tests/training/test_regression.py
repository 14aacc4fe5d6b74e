"""Trainings whose targets are numbers, from the data to the predictions."""

import json
import math
import re

import numpy as np
import pytest
from helpers.jobs import curve

from dpnet.checkpoint.format import read
from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.file import job_of
from dpnet.errors import CheckpointError, ConfigError, DataError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network, make_network
from dpnet.inference.predict import predict
from dpnet.training.prepare import measure_scaling, open_data
from dpnet.training.run import train

GROUP = LocalGroup()
SETTINGS = {
    "model.task": "regression",
    "model.hidden_layers": [16],
    "train.epochs": 3,
    "train.threads": 1,
    "output.progress": "none",
}


def arrays(outputs=2, rows=90, others=31, *, part="test"):
    """Arrays of a .npz file: targets of several sizes, uneven weights, some of them 0."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((rows + others, 4))
    y = np.stack([50 + 20 * x[:, 0] * x[:, 1], 1e6 + 1e-2 * x[:, 2], -x[:, 3]][:outputs], 1)
    w = rng.integers(0, 4, rows + others).astype(float)
    parts = {"train": slice(rows), part: slice(rows, None)}
    return {f"{name}_{part}": of[rows] for name, of in (("x", x), ("y", y), ("w", w)) for part, rows in parts.items()}


def save(path, given, **others):
    np.savez(path, **{**given, **others})
    return str(path)


def job(folder, source, **settings):
    return job_of({**SETTINGS, "data.source": source, "output.dir": str(folder / "run"), **settings})


@pytest.fixture(scope="module", params=["squared_error", "absolute_error", "huber"])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    given = arrays()
    summary = train(job(folder, save(folder / "d.npz", given), **{"model.loss": request.param}), GROUP)
    return folder, given, summary, load_network(str(folder / "run"), GROUP)


def predictions(folder, network, source, name="p.npy"):
    predict(network, source, folder / name, GROUP)
    return np.load(folder / name)["prediction"]


def test_scores_are_those_of_scikit_learn_in_the_units_of_the_targets(trained):
    metrics = pytest.importorskip("sklearn.metrics")
    folder, given, summary, network = trained
    said = predictions(folder, network, str(folder / "d.npz"))
    scores = evaluate(network, str(folder / "d.npz"), GROUP)
    of_test = given["y_test"], said, given["w_test"]
    assert said.dtype == np.float64
    for name, function in (
        ("r2", metrics.r2_score),
        ("rmse", metrics.root_mean_squared_error),
        ("mae", metrics.mean_absolute_error),
    ):
        expected = function(*of_test[:2], sample_weight=of_test[2])
        assert getattr(scores, name) == pytest.approx(expected, rel=1e-6)
        assert summary[f"eval_{name}"] == getattr(scores, name)
    assert (scores.accuracy, scores.samples) == (None, 31)


def test_the_shown_mae_of_a_training_is_that_of_its_samples(trained):
    folder, given, _, _ = trained
    # With one step, the training row is that of the first parameters, on all samples.
    source, settings = str(folder / "d.npz"), {"train.steps": 1, "train.epochs": None, "train.global_batch_size": 90}
    settings = {name: value for name, value in {**SETTINGS, **settings}.items() if value is not None}
    first = job_of(
        {**settings, "data.source": source, "output.dir": str(folder / "first"), "output.log_every_steps": 1}
    )
    train(first, GROUP)
    row = json.loads((folder / "first/metrics.jsonl").read_text().splitlines()[0])
    assert set(row) == {"step", "epoch", "loss", "learning_rate", "samples_per_s", "mae"}
    # All outputs are near 0 at first: the mean of each target.
    mean = np.average(given["y_train"], axis=0, weights=given["w_train"])
    expected = np.average(np.abs(given["y_train"] - mean).mean(axis=1), weights=given["w_train"])
    assert row["mae"] == pytest.approx(expected, rel=0.3)
    assert row["loss"] == pytest.approx(1, rel=0.3)


def test_the_scaling_of_targets_is_that_of_the_weighted_training_targets_and_is_kept(trained):
    folder, given, _, network = trained
    y, w = given["y_train"], given["w_train"]
    mean = np.average(y, axis=0, weights=w)
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=w))
    np.testing.assert_allclose(network.scaling.targets.offset, mean, rtol=1e-15)
    np.testing.assert_allclose(network.scaling.targets.units, deviation, rtol=1e-9)
    tensors = read(folder / "run/checkpoints/latest").scaling
    assert set(tensors) == {"scaling.offset", "scaling.factor", "targets.scaling.offset", "targets.scaling.factor"}


def test_units_of_the_targets_change_the_scores_and_not_the_network(tmp_path):
    given = arrays(outputs=1)
    moved = {name: given[name] * 1024 + 3 * 2**20 for name in ("y_train", "y_test")}
    summaries = []
    for name, others in (("plain", {}), ("moved", moved)):
        (tmp_path / name).mkdir()
        source = save(tmp_path / name / "d.npz", given, **others)
        summaries.append(train(job(tmp_path / name, source, **{"model.dtype": "float64"}), GROUP))
    plain, moved = summaries
    assert moved["eval_r2"] == pytest.approx(plain["eval_r2"], rel=1e-6)
    assert moved["eval_rmse"] == pytest.approx(1024 * plain["eval_rmse"], rel=1e-6)
    assert moved["eval_loss"] == pytest.approx(plain["eval_loss"], rel=1e-6)


def test_a_target_of_weight_zero_may_be_anything_and_changes_nothing(tmp_path, capsys):
    given = arrays()
    given["w_train"][0] = given["w_test"][0] = 0
    found = []
    for name, target in (("plain", None), ("wild", 1e20), ("huge", -1e200)):
        (tmp_path / name).mkdir()
        wild = {} if target is None else {f"y_{of}": given[f"y_{of}"].copy() for of in ("train", "test")}
        for of, targets in wild.items():
            targets[given[f"w{of[1:]}"] == 0] = target
        source = save(tmp_path / name / "d.npz", given, **wild)
        summary = train(job(tmp_path / name, source, **{"output.progress": "plain"}), GROUP)
        text = re.search("note: .* targets of 2 numbers.*", capsys.readouterr().out).group()
        found.append([text, summary["digest"], *(summary[f"eval_{of}"] for of in ("loss", "r2", "rmse", "mae"))])
        assert evaluate(load_network(str(tmp_path / name / "run"), GROUP), source, GROUP).r2 == summary["eval_r2"]
    assert found[0] == found[1] == found[2]


def test_one_output_is_a_number_and_the_csv_file_holds_the_same_numbers(tmp_path):
    source = save(tmp_path / "d.npz", arrays(outputs=1))
    train(job(tmp_path, source), GROUP)
    network = load_network(str(tmp_path / "run"), GROUP)
    said = predictions(tmp_path, network, source)
    assert said.shape == (31,)
    predict(network, source, tmp_path / "p.csv", GROUP)
    header, *cells = (tmp_path / "p.csv").read_text().split()
    assert header == "prediction"
    assert [*map(float, cells)] == said.tolist()


def test_several_outputs_have_a_column_each(trained):
    folder, _, _, network = trained
    predict(network, str(folder / "d.npz"), folder / "p.csv", GROUP)
    assert (folder / "p.csv").read_text().splitlines()[0] == "prediction0,prediction1"


def test_predictions_need_no_targets_and_do_not_look_at_them(trained, tmp_path):
    folder, given, _, network = trained
    expected = predictions(folder, network, str(folder / "d.npz"))
    strange = save(tmp_path / "x.npz", {"x": given["x_test"], "y": np.array(["?"] * 31)})
    np.testing.assert_array_equal(predictions(tmp_path, network, strange), expected)


def test_a_row_without_an_answer_is_marked_or_left_out(trained, tmp_path, capsys):
    folder, given, _, network = trained
    x = given["x_test"].copy()
    x[3, 1] = np.nan
    source = save(tmp_path / "x.npz", {"x": x, "y": given["y_test"]})
    with pytest.raises(DataError, match="row 3"):
        evaluate(network, source, GROUP)
    keep = np.arange(31) != 3
    alone = save(tmp_path / "k.npz", {"x": x[keep], "y": given["y_test"][keep]})
    found, expected = evaluate(network, source, GROUP, nonfinite="skip"), evaluate(network, alone, GROUP)
    assert found.measures == pytest.approx(expected.measures, rel=1e-6)
    arguments = ["predict", str(folder / "run"), "--data", source, "--out", str(tmp_path / "p.npy")]
    assert dpnet([*arguments, "--nonfinite=nan"]) == 0
    assert "marked by NaN, not finite: row 3" in capsys.readouterr().err
    assert np.isnan(np.load(tmp_path / "p.npy")["prediction"][3]).all()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--top-k=2", "--top-k is for classes"),
        ("--unknown-labels=ignore", "--unknown-labels is for classes"),
    ],
)
def test_what_only_classes_have_is_refused(trained, capsys, option, message):
    folder = trained[0]
    assert dpnet(["evaluate", str(folder / "run"), "--data", str(folder / "d.npz"), option]) == 2
    assert message in capsys.readouterr().err


def test_the_console_and_inspect_show_scores_of_numbers(trained, tmp_path, capsys):
    folder, _, summary, _ = trained
    train(job(tmp_path, str(folder / "d.npz"), **{"output.progress": "plain"}), GROUP)
    text = capsys.readouterr().out
    heavy = np.count_nonzero(trained[1]["w_train"])
    assert f"note: {heavy} targets of 2 numbers with a weight above 0: " in text
    assert re.search(r"test loss \d\.\d{4}, R2 ", text)
    assert "accuracy" not in text
    assert "\ntest scores  R2 " in text
    assert dpnet(["inspect", str(folder / "run")]) == 0
    text = capsys.readouterr().out
    assert "targets      2 numbers: mean 5" in text
    assert f"R2 {summary['eval_r2']:.4f}, RMSE " in text
    assert dpnet(["evaluate", str(folder / "run"), "--data", str(folder / "d.npz"), "--json"]) == 0
    names = {"r2", "rmse", "mae", "loss", "samples", "left_out", "unknown", "weighted"}
    assert set(json.loads(capsys.readouterr().out)) == names


@pytest.mark.parametrize("metric", ["r2", "rmse", "mae", "loss"])
def test_the_best_evaluation_is_that_of_the_metric(tmp_path, metric):
    source = save(tmp_path / "d.npz", arrays(part="validation"))
    settings = {"evaluate.metric": metric, "optimizer.learning_rate": 0.03, "train.epochs": 8}
    summary = train(job(tmp_path, source, **settings), GROUP)
    values = [row[f"eval_{metric}"] for row in curve(tmp_path / "run") if f"eval_{metric}" in row]
    assert summary[f"best_{metric}"] == (max if metric == "r2" else min)(values)


def test_constant_targets_are_told_and_met(tmp_path, capsys):
    given = arrays(outputs=1)
    source = save(tmp_path / "d.npz", given, y_train=np.full(90, 0.1), y_test=np.full(31, 0.1), w_train=np.ones(90))
    summary = train(job(tmp_path, source, **{"output.progress": "plain", "train.epochs": 1}), GROUP)
    assert "all 90 training targets are 0.1: there is nothing to learn" in capsys.readouterr().out
    assert summary["eval_r2"] in (0.0, 1.0)
    assert math.isfinite(summary["eval_rmse"])


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_share_of_the_samples_is_drawn_without_regard_to_the_targets(tmp_path, share):
    # Every target occurs once: drawn by class, none could be held out.
    source = open_data(job(tmp_path, save(tmp_path / "d.npz", arrays()), **{"data.validation": share}), GROUP)
    assert (len(source.validation), len(source.train)) == (round(90 * share), 90 - round(90 * share))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array(["a"] * 90), r"row 0 \(from 0\): the target is a, a text; expected plain numbers.*classification"),
        (np.where(np.arange(90) == 4, np.nan, 1.0), r"row 4 \(from 0\): the target is nan; expected a finite number"),
        (np.array([[1.0, np.inf]] * 90), r"row 0 \(from 0\): the target 1 \(from 0\) is inf"),
        (np.zeros((90, 2, 2)), r"shape \(90, 2, 2\); expected numbers: \(samples,\), or"),
        (np.zeros((90, 0)), r"shape \(90, 0\)"),
        (np.array([1j] * 90), "type complex128"),
        (np.where(np.arange(90) == 4, 1e300, -1e300), r"range from -1e\+300 to 1e\+300: too wide for float64"),
    ],
)
def test_what_are_no_targets_is_refused_by_row(tmp_path, targets, message):
    given = {name: values for name, values in arrays().items() if name.endswith("train")}
    with pytest.raises(DataError, match=message):
        train(job(tmp_path, save(tmp_path / "d.npz", given, y_train=targets)), GROUP)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_a_target_whose_error_is_beyond_float64_is_refused_by_row_before_anything_is_trained(trained, tmp_path, loss):
    _, given, _, network = trained
    targets = given["y_test"].copy()
    row = int(np.flatnonzero(given["w_test"])[2])
    targets[row, 1] = -1e200
    source = save(tmp_path / "d.npz", given, y_test=targets)
    message = (
        rf"row {row} \(from 0\): the target 1 \(from 0\) is -1e\+200, and the training targets have the mean 1e\+06 and"
    )
    with pytest.raises(DataError, match=message):
        train(job(tmp_path, source, **{"model.loss": loss}), GROUP)
    assert not (tmp_path / "run/checkpoints/latest").exists()
    with pytest.raises(DataError, match=message):
        evaluate(network, source, GROUP)
    assert len(predictions(tmp_path, network, source)) == 31


def test_targets_of_both_signs_beyond_float64_are_refused_without_a_traceback(tmp_path):
    targets = np.where(np.arange(62).reshape(31, 2) < 30, 1e300, -1e300)
    with pytest.raises(DataError, match=r"row \d+ \(from 0\): the target 0 \(from 0\) is"):
        train(
            job(tmp_path, save(tmp_path / "d.npz", arrays(), y_test=targets, y_train=1e-10 * arrays()["y_train"])),
            GROUP,
        )


def test_test_targets_of_another_number_are_refused(tmp_path):
    source = save(tmp_path / "d.npz", arrays(), y_test=np.zeros(31))
    with pytest.raises(DataError, match=r"holds 1 targets for each sample, but .* holds 2"):
        open_data(job(tmp_path, source), GROUP)


def test_a_network_of_numbers_is_not_continued_as_one_of_classes_nor_with_other_targets(trained):
    folder, given, _, _ = trained
    found = read(folder / "run/checkpoints/latest")
    loss = found.manifest["config"]["model"]["loss"]
    other = save(folder / "other.npz", given, y_train=given["y_train"] + 1e-9)
    with pytest.raises(CheckpointError, match="the training labels have other values than in the run"):
        train(job(folder, other, **{"model.loss": loss, "train.epochs": 4}), GROUP)
    del found.scaling["targets.scaling.offset"], found.scaling["targets.scaling.factor"]
    with pytest.raises(CheckpointError, match="task is regression, with 2 outputs, and its scaling is of 0 targets"):
        make_network(found)
    with pytest.raises(ConfigError, match=r"model\.task"):
        job(folder, other, **{"model.task": "numbers"})


def test_a_run_of_numbers_that_is_to_go_on_as_one_of_classes_says_that_it_is_none(trained, capsys):
    assert dpnet(["train", "--resume", str(trained[0] / "run"), "--set", "model.task=classification"]) == 2
    seen = "model.task is classification (--set), and that of the run is regression. A run keeps its task"
    assert seen in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"offset": np.array([np.nan, 0])}, "is not a vector of finite numbers"),
        ({"factor": np.array([0.0, 1])}, "a factor of 0"),
        ({"factor": np.array([5e-324, 1])}, "too small for float64"),
        ({"factor": np.ones(3), "offset": np.ones(3)}, "its scaling is of 3 targets"),
        ({"factor": np.ones(3)}, "its scaling is of 2 targets"),
        ({"factor": np.ones(2, int)}, "is not a vector of finite numbers"),
    ],
)
def test_a_strange_scaling_of_targets_in_a_checkpoint_is_refused(trained, tensors, message):
    found = read(trained[0] / "run/checkpoints/latest")
    found.scaling.update({f"targets.scaling.{name}": tensor for name, tensor in tensors.items()})
    with pytest.raises(CheckpointError, match=message):
        make_network(found)


def test_the_scaling_of_targets_of_any_size_is_exact(tmp_path):
    y = 1e15 + np.arange(90.0)
    source = save(tmp_path / "d.npz", arrays(), y_train=y, w_train=np.ones(90), y_test=y[:31])
    found = job(tmp_path, source)
    targets = measure_scaling(found, open_data(found, GROUP), GROUP).targets
    assert targets.offset.tolist() == [1e15 + 44.5]
    assert targets.units[0] == pytest.approx(np.arange(90).std(), rel=1e-14)
