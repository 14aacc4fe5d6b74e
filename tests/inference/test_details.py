"""Details of an evaluation are of the same samples as its loss and accuracy."""

import numpy as np
import pytest
from helpers.jobs import save_data, train

import dpnet
from dpnet.comm.local import LocalGroup
from dpnet.errors import ConfigError
from dpnet.inference import evaluate as evaluate_module

GROUP = LocalGroup()
NAMES = {2: np.array(["no", "yes"]), 3: np.array(["a, b", "c", "ö"])}


@pytest.fixture(scope="module", params=[2, 3])
def trained(request, tmp_path_factory):
    """A network in float64, the arrays x and y that it is evaluated on, and its number of classes."""
    folder, classes = tmp_path_factory.mktemp("details"), request.param
    with np.load(save_data(folder / "data.npz", 90, 41, features=5, classes=classes)) as data:
        arrays = dict(data)
    labels = {name: NAMES[classes][arrays[name]] for name in ("y_train", "y_test")}
    np.savez(folder / "data.npz", **{**arrays, **labels})
    settings = {"data.source": str(folder / "data.npz"), "model.dtype": "float64", "train.global_batch_size": 16}
    train(folder / "run", settings)
    network = dpnet.load_network(str(folder / "run"), GROUP)
    return network, arrays["x_test"].astype(np.float64), labels["y_test"], classes


def saved(folder, x, y):
    np.savez(folder / "d.npz", x=x, y=y)
    return str(folder / "d.npz")


def predicted(network, source, folder):
    dpnet.predict(network, source, folder / "p.npy", GROUP, nonfinite="skip")
    return np.load(folder / "p.npy")


@pytest.mark.parametrize("spoiled", [[], [2, 30]])
def test_weighted_scores_are_those_of_scikit_learn(trained, tmp_path, spoiled):
    metrics = pytest.importorskip("sklearn.metrics")
    network, x, y, classes = trained
    weights = np.random.default_rng(3).integers(0, 4, len(y)) / 3
    records = predicted(network, saved(tmp_path, x, y), tmp_path)
    x = x.copy()
    x[spoiled, 1] = np.nan
    np.savez(tmp_path / "w.npz", x=x, y=y, w=weights)
    more = {"nonfinite": "skip", "details": True, "top_k": classes - 1}
    scores = dpnet.evaluate(network, str(tmp_path / "w.npz"), GROUP, batch_size=7, **more)
    kept = np.delete(np.arange(len(y)), spoiled)
    labels, guesses, probabilities = y[kept], records["label"][kept], records["probabilities"][kept]
    how, found = {"sample_weight": weights[kept]}, scores.details
    assert scores.weighted
    assert found.weighted
    assert (scores.samples, scores.loss) == (len(kept), found.log_loss)
    np.testing.assert_allclose(found.confusion, metrics.confusion_matrix(labels, guesses, **how), rtol=1e-12)
    of_each = metrics.precision_recall_fscore_support(labels, guesses, zero_division=0, **how)
    for name, expected in zip(("precision", "recall", "f1", "support"), of_each, strict=True):
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12)
    expected = {
        "log_loss": metrics.log_loss(labels, probabilities, **how),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, guesses, **how),
        "macro_f1": metrics.f1_score(labels, guesses, average="macro", zero_division=0, **how),
    }
    if classes == 2:
        expected |= {"auc": metrics.roc_auc_score(labels, probabilities[:, 1], **how)}
    else:
        expected |= {"top_k_accuracy": metrics.top_k_accuracy_score(labels, probabilities, k=2, **how)}
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, rel=1e-6)
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(labels, guesses, **how), rel=1e-14)


@pytest.mark.parametrize("batch_size", [7, 512])
def test_scores_are_those_that_scikit_learn_finds_in_the_predictions(trained, tmp_path, batch_size):
    metrics = pytest.importorskip("sklearn.metrics")
    network, x, y, classes = trained
    source = saved(tmp_path, x, y)
    scores = dpnet.evaluate(network, source, GROUP, batch_size=batch_size, details=True, top_k=classes - 1)
    found, records = scores.details, predicted(network, source, tmp_path)
    guesses, probabilities = records["label"], records["probabilities"]
    assert found.classes.values.tolist() == NAMES[classes].tolist()
    assert found.confusion.tolist() == metrics.confusion_matrix(y, guesses).tolist()
    assert scores.accuracy == np.trace(found.confusion) / len(y)
    expected = {
        "log_loss": metrics.log_loss(y, probabilities),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, guesses),
        "macro_f1": metrics.f1_score(y, guesses, average="macro", zero_division=0),
    }
    if classes == 2:
        expected |= {"auc": metrics.roc_auc_score(y, probabilities[:, 1]), "top_k_accuracy": scores.accuracy}
    else:
        expected |= {"top_k_accuracy": metrics.top_k_accuracy_score(y, probabilities, k=2)}
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, rel=1e-6)
    assert found.log_loss == scores.loss


def test_what_enters_no_loss_enters_no_other_score(trained, tmp_path):
    network, x, y, _ = trained
    labels, inputs = y.astype("<U9"), x.copy()
    labels[[2, 30]], inputs[[5, 31], 1] = "unheard", np.nan
    ways = {"unknown_labels": "ignore", "nonfinite": "skip", "details": True}
    scores = dpnet.evaluate(network, saved(tmp_path, inputs, labels), GROUP, batch_size=7, **ways)
    keep = np.delete(np.arange(len(y)), [2, 5, 30, 31])
    expected = dpnet.evaluate(network, saved(tmp_path, x[keep], y[keep]), GROUP, batch_size=7, details=True)
    assert (scores.samples, scores.unknown, scores.left_out) == (len(keep), 2, 2)
    assert scores.details.confusion.tolist() == expected.details.confusion.tolist()
    assert scores.details.confusion.sum() == len(keep)
    assert scores.details.auc == expected.details.auc


def test_nothing_is_counted_unless_it_is_asked_for(trained, tmp_path, monkeypatch):
    network, x, y, _ = trained
    source = saved(tmp_path, x, y)
    expected = dpnet.evaluate(network, source, GROUP, details=True)
    monkeypatch.delattr(evaluate_module, "Tally")
    scores = dpnet.evaluate(network, source, GROUP)
    assert scores.details is None
    assert (scores.loss, scores.accuracy) == (expected.loss, expected.accuracy)


def test_a_k_without_details_is_refused(trained, tmp_path):
    network, x, y, _ = trained
    with pytest.raises(ConfigError, match="top-k is 1, which has no effect without details; give --details as well"):
        dpnet.evaluate(network, saved(tmp_path, x, y), GROUP, top_k=1)
