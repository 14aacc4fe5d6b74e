"""Labels of any kind: the same training as with numbers, and predictions in the user's own words."""

import csv

import numpy as np
import pytest
from helpers.jobs import save_data, train

from dpnet.checkpoint import format as checkpoint
from dpnet.cli.main import run as dpnet
from dpnet.cli.tables import checkpoint_table
from dpnet.comm.local import LocalGroup
from dpnet.data.classes import Classes
from dpnet.errors import CheckpointError, DataError
from dpnet.inference.answers import ClassAnswers
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network, make_network
from dpnet.inference.predict import predict

GROUP = LocalGroup()
NAMES = np.array(["a, b", "c", "ö"])
SETTINGS = {"model.hidden_layers": [8], "train.epochs": 3, "train.global_batch_size": 16}
KINDS = {
    "text": NAMES,
    "gaps": np.array([-7, 3, 1000]),
    "from 1": np.array([1, 2, 3]),
    "whole numbers": np.array([1.0, 2.0, 3.0]),
    "one-hot": np.eye(3),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The arrays of some data of three classes, and the folder of a run that was trained on them."""
    folder = tmp_path_factory.mktemp("plain")
    train(folder / "run", {"data.source": save_data(folder / "data.npz", 60, 20, features=5, classes=3), **SETTINGS})
    with np.load(folder / "data.npz") as data:
        return dict(data), folder / "run"


def save(path, arrays, **changed):
    np.savez(path, **{**arrays, **changed})
    return str(path)


def digest(run):
    return checkpoint.digest(checkpoint.read(run / "checkpoints/latest").model)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_every_kind_train_the_same_network(plain, tmp_path, kind):
    arrays, run = plain
    labels = {name: KINDS[kind][arrays[name]] for name in ("y_train", "y_test")}
    train(tmp_path / "run", {"data.source": save(tmp_path / "d.npz", arrays, **labels), **SETTINGS})
    assert digest(tmp_path / "run") == digest(run)
    expected = evaluate(load_network(str(run), GROUP), str(run.parent / "data.npz"), GROUP)
    assert evaluate(load_network(str(tmp_path / "run"), GROUP), str(tmp_path / "d.npz"), GROUP) == expected


@pytest.fixture(scope="module")
def named(plain, tmp_path_factory):
    """A folder with data whose labels are text, and the run of a training on them."""
    folder, arrays = tmp_path_factory.mktemp("named"), plain[0]
    labels = {name: NAMES[arrays[name]] for name in ("y_train", "y_test")}
    train(folder / "run", {"data.source": save(folder / "d.npz", arrays, **labels), **SETTINGS})
    return folder


def test_predictions_have_the_labels_that_the_user_knows(named, tmp_path):
    network = load_network(str(named / "run"), GROUP)
    for name in ("p.npy", "p.csv"):
        predict(network, str(named / "d.npz"), tmp_path / name, GROUP)
    records = np.load(tmp_path / "p.npy")
    assert records["label"].tolist() == NAMES[records["probabilities"].argmax(axis=1)].tolist()
    with (tmp_path / "p.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["label", "p_a, b", "p_c", "p_ö"]
    assert [row[0] for row in rows] == records["label"].tolist()


@pytest.mark.parametrize(("kind", "missing"), [("text", ""), ("gaps", -8), ("whole numbers", np.nan), ("from 1", -1)])
def test_a_sample_without_an_answer_has_no_label(plain, tmp_path, kind, missing):
    arrays = dict(plain[0])
    train_labels = KINDS[kind][arrays["y_train"]]
    source = save(tmp_path / "d.npz", {"x_train": arrays["x_train"], "y_train": train_labels})
    train(tmp_path / "run", {"data.source": source, **SETTINGS, "train.epochs": 1})
    x = arrays["x_test"].astype(float)
    x[1, 0] = np.nan
    network = load_network(str(tmp_path / "run"), GROUP)
    predict(network, save(tmp_path / "x.npz", {"x": x}), tmp_path / "p.npy", GROUP, nonfinite="nan")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy")["label"][1], missing)


def test_labels_that_the_network_does_not_know_are_an_error_or_left_out(named, plain, tmp_path, capsys):
    arrays = plain[0]
    labels = NAMES[arrays["y_test"]].astype("<U9")
    labels[[2, 5]] = "unheard"
    source = save(tmp_path / "d.npz", {"x": arrays["x_test"], "y": labels})
    network = load_network(str(named / "run"), GROUP)
    with pytest.raises(
        DataError, match=r"row 2 .* unheard, .* the classes 'a, b', c, ö. 2 of 20 .*--unknown-labels=ignore"
    ):
        evaluate(network, source, GROUP)
    scores = evaluate(network, source, GROUP, unknown_labels="ignore")
    keep = labels != "unheard"
    known = save(tmp_path / "k.npz", {"x": arrays["x_test"][keep], "y": labels[keep]})
    expected = evaluate(network, known, GROUP)
    assert (scores.samples, scores.unknown, expected.unknown) == (18, 2, 0)
    assert (scores.accuracy, scores.loss) == (expected.accuracy, pytest.approx(expected.loss, rel=1e-6))
    arguments = ["evaluate", str(named / "run"), "--data", source, "--unknown-labels=ignore"]
    assert dpnet(arguments) == 0
    assert "note: 2 samples left out, of classes that the network does not know" in capsys.readouterr().err
    predict(network, source, tmp_path / "p.npy", GROUP)  # Labels are not needed.
    assert len(np.load(tmp_path / "p.npy")) == 20


def test_a_training_leaves_out_test_samples_of_unknown_classes_where_it_is_told_to(plain, tmp_path):
    arrays = plain[0]
    labels = arrays["y_test"].copy()
    labels[4] = 9
    settings = {"data.source": save(tmp_path / "d.npz", arrays, y_test=labels), **SETTINGS}
    with pytest.raises(DataError, match=r"\(y_test\), row 4 .* is 9, and the training data, .* classes 0, 1, 2"):
        train(tmp_path / "run", settings)
    train(tmp_path / "run", {**settings, "data.unknown_labels": "ignore"})
    assert checkpoint.read(tmp_path / "run/checkpoints/latest").manifest["progress"]["eval_samples"] == 19
    assert digest(tmp_path / "run") == digest(plain[1])


def test_a_run_is_not_continued_with_classes_of_other_names(named, plain, tmp_path):
    arrays = plain[0]
    labels = {name: np.array(["A", "B", "C"])[arrays[name]] for name in ("y_train", "y_test")}
    settings = {"data.source": save(tmp_path / "d.npz", arrays, **labels), **SETTINGS, "train.epochs": 4}
    with pytest.raises(CheckpointError, match=r"the classes are A, B, C; in the run they were 'a, b', c, ö"):
        train(named / "run", settings)


def test_no_memory_is_taken_for_classes_that_a_checkpoint_merely_claims(named):
    found = checkpoint.read(named / "run/checkpoints/latest")
    del found.manifest["data"]["labels"]
    found.manifest["sizes"][-1] = 2**62
    for use in (make_network, lambda found: checkpoint_table(named, found)):
        with pytest.raises(CheckpointError, match="are not those of a network of sizes"):
            use(found)


def test_a_checkpoint_with_labels_of_other_classes_is_refused(named):
    found = checkpoint.read(named / "run/checkpoints/latest")
    assert make_network(found).classes.values.tolist() == NAMES.tolist()
    found.manifest["data"]["labels"] = ["a", "b"]
    with pytest.raises(CheckpointError, match=r"cannot be used: the labels of the classes are \['a', 'b'\]"):
        make_network(found)
    del found.manifest["data"]["labels"]  # As checkpoints were before.
    assert make_network(found).classes.values.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "words"), [(["cat", "dog"], "an empty label and NaN"), ([-3, 4], "label -4 and NaN")], ids=str
)
def test_what_stands_for_no_answer_is_said_as_it_is(labels, words):
    assert ClassAnswers(Classes(np.array(labels))).unknown == words
