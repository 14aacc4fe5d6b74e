"""Trainings where a sample may have several labels, from the data to the predictions."""

import json
import re

import numpy as np
import pytest
from helpers.jobs import curve

from dpnet.checkpoint.format import read
from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.file import job_of
from dpnet.conversion.convert import convert
from dpnet.errors import CheckpointError, DataError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network, make_network
from dpnet.inference.predict import predict
from dpnet.training.prepare import open_data
from dpnet.training.run import train

GROUP = LocalGroup()
SETTINGS = {
    "model.task": "multilabel",
    "model.hidden_layers": [16],
    "train.epochs": 6,
    "train.threads": 1,
    "optimizer.learning_rate": 0.02,
    "output.progress": "none",
}
MEASURES = ("micro_f1", "macro_f1", "subset_accuracy", "loss")


def arrays(rows=90, others=31, *, part="test"):
    """Arrays of a .npz file: labels that are frequent and rare, uneven weights, some of them 0."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((rows + others, 4))
    y = np.stack([x[:, 0] > 0, x[:, 1] + x[:, 2] > 1, x[:, 3] > 1.2], 1).astype(np.uint8)
    w = rng.integers(0, 4, rows + others).astype(float)
    parts = {"train": slice(rows), part: slice(rows, None)}
    return {f"{name}_{part}": of[rows] for name, of in (("x", x), ("y", y), ("w", w)) for part, rows in parts.items()}


def save(path, given, **others):
    np.savez(path, **{**given, **others})
    return str(path)


def job(folder, source, **settings):
    return job_of({**SETTINGS, "data.source": source, "output.dir": str(folder / "run"), **settings})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    given = arrays()
    summary = train(job(folder, save(folder / "d.npz", given), **{"model.dtype": "float64"}), GROUP)
    return folder, given, summary, load_network(str(folder / "run"), GROUP)


def test_scores_are_those_of_scikit_learn(trained):
    metrics = pytest.importorskip("sklearn.metrics")
    folder, given, summary, network = trained
    predict(network, str(folder / "d.npz"), folder / "p.npy", GROUP)
    said, y, w = np.load(folder / "p.npy"), given["y_test"], given["w_test"]
    assert said["labels"].dtype == np.int8
    assert (said["labels"] == (said["probabilities"] > 0.5)).all()
    scores = evaluate(network, str(folder / "d.npz"), GROUP)
    expected = {
        "micro_f1": metrics.f1_score(y, said["labels"], average="micro", sample_weight=w),
        "macro_f1": metrics.f1_score(y, said["labels"], average="macro", sample_weight=w, zero_division=0),
        "subset_accuracy": metrics.accuracy_score(y, said["labels"], sample_weight=w),
        "loss": np.mean([metrics.log_loss(y[:, k], said["probabilities"][:, k], sample_weight=w) for k in range(3)]),
    }
    assert tuple(scores.measures) == MEASURES
    assert scores.measures == pytest.approx(expected, rel=1e-6)
    assert expected["micro_f1"] > 0.8
    assert {name: summary[f"test_{name}"] for name in MEASURES} == scores.measures


def test_the_learning_curve_has_the_loss_and_the_samples_without_a_mistake(trained):
    folder, given, _, _ = trained
    # With one step, the training row is that of the first parameters, on all samples.
    settings = {name: value for name, value in SETTINGS.items() if name != "train.epochs"}
    settings |= {"train.steps": 1, "train.global_batch_size": 90, "output.log_every_steps": 1}
    first = {**settings, "data.source": str(folder / "d.npz"), "output.dir": str(folder / "first")}
    train(job_of({**first, "model.hidden_layers": []}), GROUP)
    row = json.loads((folder / "first/metrics.jsonl").read_text().splitlines()[0])
    assert set(row) == {"step", "epoch", "loss", "learning_rate", "samples_per_s", "subset_accuracy"}
    # All logits are 0: every label costs log 2, and none is predicted.
    assert row["loss"] == pytest.approx(np.log(2), rel=1e-6)
    without = (given["y_train"] == 0).all(axis=1)
    assert row["subset_accuracy"] == pytest.approx(np.average(without, weights=given["w_train"]), rel=1e-12)


def test_details_without_weights_are_numbers_of_samples(trained, tmp_path):
    _, given, _, network = trained
    source = save(tmp_path / "d.npz", {"x": given["x_test"], "y": given["y_test"]})
    found = evaluate(network, source, GROUP, details=True).details
    assert found.counts.support.tolist() == given["y_test"].sum(axis=0).tolist()
    assert {counts.dtype for counts in found.counts} == {np.dtype(np.int64)}


@pytest.mark.parametrize("metric", MEASURES)
def test_the_best_evaluation_is_that_of_the_metric(tmp_path, metric):
    source = save(tmp_path / "d.npz", arrays(part="validation"))
    summary = train(job(tmp_path, source, **{"evaluate.metric": metric}), GROUP)
    values = [row[f"eval_{metric}"] for row in curve(tmp_path / "run") if f"eval_{metric}" in row]
    assert len(values) == 6
    assert summary[f"best_{metric}"] == (min if metric == "loss" else max)(values)


def test_a_table_of_predictions_says_of_each_label_whether_a_sample_has_it(trained):
    folder, _, _, network = trained
    for name in ("p.npy", "p.csv"):
        predict(network, str(folder / "d.npz"), folder / name, GROUP)
    said, lines = np.load(folder / "p.npy"), (folder / "p.csv").read_text().splitlines()
    assert lines[0] == "label0,label1,label2,p0,p1,p2"
    assert [[float(cell) for cell in line.split(",")] for line in lines[1:]] == [
        [*row["labels"], *row["probabilities"]] for row in said
    ]


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
    assert (found.samples, found.left_out_rows) == (30, (3,))
    for name in ("p.npy", "p.csv"):
        arguments = ["predict", str(folder / "run"), "--data", source, "--out", str(tmp_path / name)]
        assert dpnet([*arguments, "--nonfinite=nan"]) == 0
        assert "marked by no label and NaN, not finite: row 3" in capsys.readouterr().err
    row = np.load(tmp_path / "p.npy")[3]
    assert np.isnan(row["probabilities"]).all()
    assert not row["labels"].any()
    assert (tmp_path / "p.csv").read_text().splitlines()[4] == ",,,nan,nan,nan"


def test_details_are_the_scores_of_every_label_weighted(trained, capsys):
    metrics = pytest.importorskip("sklearn.metrics")
    folder, given, _, network = trained
    predict(network, str(folder / "d.npz"), folder / "p.npy", GROUP)
    said, y, w = np.load(folder / "p.npy")["labels"], given["y_test"], given["w_test"]
    arguments = ["evaluate", str(folder / "run"), "--data", str(folder / "d.npz"), "--details"]
    assert dpnet([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {*MEASURES, "samples", "left_out", "unknown", "weighted", "labels"}
    expected = metrics.precision_recall_fscore_support(y, said, sample_weight=w, zero_division=0)
    for label, row in enumerate(found["labels"]):
        assert row["label"] == label
        values = [row[name] for name in ("precision", "recall", "f1", "support")]
        assert values == pytest.approx([float(of[label]) for of in expected], rel=1e-12)
        assert row["predicted"] == said[:, label] @ w
    assert dpnet(arguments) == 0
    text = capsys.readouterr().out
    assert "support and predicted are sums of weights\nlabel  support  predicted  precision  recall" in text
    assert re.search(rf"\n1 +{(y[:, 1] * w).sum():g} +\d+ ", text)
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_what_only_classes_have_is_refused(trained, capsys):
    folder = trained[0]
    assert dpnet(["evaluate", str(folder / "run"), "--data", str(folder / "d.npz"), "--top-k=2"]) == 2
    assert "--top-k is for classes, and this network gives several labels" in capsys.readouterr().err


def test_the_console_and_inspect_show_scores_of_labels_in_80_columns(trained, tmp_path, capsys):
    folder, given, summary, _ = trained
    train(job(tmp_path, str(folder / "d.npz"), **{"output.progress": "plain"}), GROUP)
    text = capsys.readouterr().out
    counted = given["w_train"] > 0
    assert f"note: {counted.sum()} training samples with 0 to 3 of 3 labels, " in text
    epochs = re.findall(r"epoch \d/6 .*", text)
    assert len(epochs) == 6
    assert all(
        re.search(r"  training loss \d\.\d{4}  test loss \d\.\d{4}, micro F1 \d\.\d{4}", line) for line in epochs
    )
    assert max(len(line.rpartition("  ")[0]) for line in epochs) <= 80
    assert "accuracy" not in "".join(epochs)
    assert re.search(r"\ntest scores  micro F1 \d\.\d{4}, macro F1 \d\.\d{4}, subset accuracy \d\d\.\d\d%, loss", text)
    assert dpnet(["inspect", str(folder / "run")]) == 0
    text = capsys.readouterr().out
    assert "labels       3: 0, 1, 2\n" in text
    assert f"micro F1 {summary['eval_micro_f1']:.4f}, macro F1 " in text


def test_labels_that_no_sample_has_are_told(tmp_path, capsys):
    given = arrays()
    given["y_train"][:, 2], given["y_test"][:, 1] = 0, 0
    train(job(tmp_path, save(tmp_path / "d.npz", given), **{"train.epochs": 1, "output.progress": "plain"}), GROUP)
    said = capsys.readouterr().out
    assert "no training sample has these labels, so there is nothing to learn of them: 2" in said
    assert "no test sample has these labels, so their F1, which macro F1 averages, is 0: 1" in said


def test_one_job_file_trains_from_every_format_with_the_same_digest(tmp_path):
    """Of 0 and 1 in arrays and columns, yes and no in text, booleans in Parquet, and lists in svmlight text."""
    parquet, datasets = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("sklearn.datasets")
    pyarrow = pytest.importorskip("pyarrow")
    given = arrays()
    x, y = given["x_train"], given["y_train"]
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y)
    columns = {f"x{place}": x[:, place] for place in range(4)} | {f"t{place}": y[:, place] > 0 for place in range(3)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "d.parquet")
    rows = [
        ",".join([*map(repr, a.tolist()), *("yes" if one else "no" for one in b)]) for a, b in zip(x, y, strict=True)
    ]
    (tmp_path / "d.csv").write_text("\n".join([",".join(columns), *rows]) + "\n")
    datasets.dump_svmlight_file(x, y, str(tmp_path / "d.svm"), multilabel=True)
    settings = {"data.target": ["t0", "t1", "t2"], "data.test": 0.2, "data.validation": 0.1}
    convert(job(tmp_path, str(tmp_path / "d.csv"), **settings), str(tmp_path / "converted"), GROUP)
    found = []
    for name in ("d.npz", "d.parquet", "d.csv", "d.svm", "converted"):
        given = {**settings, "output.dir": str(tmp_path / f"run-{name}"), "train.epochs": 2}
        summary = train(job(tmp_path, str(tmp_path / name), **given), GROUP)
        found.append({key: summary[key] for key in ("digest", "test_loss", "test_macro_f1", "best_step")})
    assert all(one == found[0] for one in found)


def test_there_may_be_more_labels_than_samples(tmp_path):
    given = arrays()
    many = np.random.default_rng(0).random((90, 10_001)) < 0.01
    source = save(tmp_path / "d.npz", {"x_train": given["x_train"], "y_train": many})
    assert open_data(job(tmp_path, source), GROUP).outputs == 10_001


def test_labels_that_may_well_be_classes_are_told(tmp_path, capsys):
    settings, said = {"train.epochs": 1, "output.progress": "plain"}, "every training sample has a single label; if"
    for place, labels in enumerate((np.eye(3)[np.arange(90) % 3], np.arange(270).reshape(90, 3) % 3 > 0)):
        source = save(tmp_path / "d.npz", {"x_train": arrays()["x_train"], "y_train": labels})
        train(job(tmp_path / str(place), source, **settings), GROUP)
        assert (said in capsys.readouterr().out) == (place == 0)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_share_of_the_samples_is_drawn_without_regard_to_the_labels(tmp_path, share):
    source = open_data(job(tmp_path, save(tmp_path / "d.npz", arrays()), **{"data.validation": share}), GROUP)
    assert (len(source.validation), len(source.train)) == (round(90 * share), 90 - round(90 * share))


def test_other_data_of_another_number_of_labels_are_refused(trained, tmp_path):
    _, given, _, network = trained
    source = save(tmp_path / "d.npz", given, y_test=given["y_test"][:, :2])
    with pytest.raises(DataError, match=r"holds 2 labels for each sample, but .* holds 3"):
        open_data(job(tmp_path, source), GROUP)
    with pytest.raises(DataError, match="has 2 labels for a sample; the network gives 3"):
        evaluate(network, source, GROUP)


def test_a_network_of_labels_is_not_continued_as_one_of_classes_nor_with_other_labels(trained, capsys):
    folder, given, _, _ = trained
    y = given["y_train"].copy()
    y[5, 1] ^= 1
    more = {"model.dtype": "float64", "train.epochs": 7}
    with pytest.raises(CheckpointError, match="the training labels have other values than in the run"):
        train(job(folder, save(folder / "other.npz", given, y_train=y), **more), GROUP)
    assert dpnet(["train", "--resume", str(folder / "run"), "--set", "model.task=classification"]) == 2
    assert (
        "model.task is classification (--set), and that of the run is multilabel. A run keeps its task"
        in capsys.readouterr().err
    )
    found = read(folder / "run/checkpoints/latest")
    found.scaling.update({"targets.scaling.offset": np.zeros(3), "targets.scaling.factor": np.ones(3)})
    with pytest.raises(CheckpointError, match="task is multilabel, with 3 outputs, and its scaling is of 3 targets"):
        make_network(found)


def test_gradcheck_and_plot_know_the_task(trained, tmp_path, capsys):
    folder = trained[0]
    (tmp_path / "job.toml").write_text(
        f'[model]\ntask = "multilabel"\nhidden_layers = [5]\n[data]\nsource = "{folder}/d.npz"\n'
    )
    assert dpnet(["gradcheck", str(tmp_path / "job.toml")]) == 0
    assert "all gradients agree" in capsys.readouterr().out
    pytest.importorskip("matplotlib")
    assert dpnet(["plot", str(folder / "run"), "--out", str(tmp_path / "p.svg")]) == 0
    assert "samples all of whose labels are right" in (tmp_path / "p.svg").read_text()
