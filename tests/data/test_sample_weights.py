"""Weights of samples, as files hold them."""

import dataclasses

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.classes import plain_classes
from dpnet.data.identity import ChunkHasher, differences, identity
from dpnet.data.numbering import numbered_as
from dpnet.data.sources import open_source, open_split
from dpnet.data.split import make_split
from dpnet.errors import DataError

X, Y, W = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0]), np.array([1, 0, 2, 0.5, 1, 1])


def split_of(weights):
    return make_split(X, Y, "x", "y", weights=np.asarray(weights), weights_file="w.npy")


@pytest.mark.parametrize("weights", [W, W.astype(np.float32), W[:, None], [1, 0, 2, 1, 1, 1], [True] * 6], ids=str)
def test_numbers_of_any_kind_are_weights(weights):
    found = split_of(weights).weights
    assert found.dtype == np.float64
    assert found.tolist() == np.ravel(weights).tolist()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (W[:5], r"w.npy holds weights of type float64 and shape \(5,\); expected a number for each of the 6 samples"),
        (np.ones((6, 2)), r"shape \(6, 2\); expected a number for each"),
        (W.astype(str), "holds weights of type <U"),
        ([1, 1, -1, 1, 1, 1], "w.npy, row 2 .from 0.: the weight is -1.0; expected 0, or a number from 1e-250 to"),
        ([1, 1, 1, 1e-310, 1, 1], "w.npy, row 3 .from 0.: the weight is 1e-310; expected 0, or a number from"),
        ([1, np.nan, -1, 1, 1, 1], "row 1 .from 0.: the weight is nan"),
        ([1, np.inf, -1, 1, 1, 1], "row 1 .from 0.: the weight is inf"),
        ([0] * 6, "w.npy: all weights are 0"),
    ],
    ids=str,
)
def test_what_cannot_be_weights_is_refused(weights, message):
    with pytest.raises(DataError, match=message):
        split_of(weights)


def test_that_there_are_weights_is_told():
    assert split_of(W).remarks == (
        "w.npy: every sample has a weight in the loss and in the scores, from 0 to 2; 1 of 6 have the weight 0",
    )


@pytest.fixture(params=["npz", "folder"])
def saved(request, tmp_path):
    arrays = {"x_train": X, "y_train": Y, "w_train": W, "x_test": X[:4], "y_test": Y[:4], "w_test": W[2:]}
    if request.param == "npz":
        np.savez(tmp_path / "data.npz", **arrays)
        return str(tmp_path / "data.npz")
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return str(tmp_path)


def test_files_hold_weights_beside_labels(saved):
    source = open_source(saved)
    assert source.train.weights.tolist() == W.tolist()
    assert source.test.weights.tolist() == W[2:].tolist()
    assert open_split(saved, "test").weights.tolist() == W[2:].tolist()


@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_a_single_set_of_samples_has_weights_of_its_own(tmp_path, ending):
    if ending == ".npz":
        np.savez(tmp_path / "x_new.npz", x=X, y=Y, w=W)
    else:
        for name, array in (("x", X), ("y", Y), ("w", W)):
            np.save(tmp_path / f"{name}_new.npy", array)
    assert open_split(str(tmp_path / f"x_new{ending}")).weights.tolist() == W.tolist()


def test_classes_weigh_in_the_training_data_alone(saved):
    source = open_source(saved, DataConfig(class_weights={"1": 4.0}))
    assert source.train.weights.tolist() == (W * np.where(Y == 1, 4, 1)).tolist()
    assert source.test.weights.tolist() == W[2:].tolist()


def test_other_weights_are_other_data(saved):
    source = open_source(saved)

    def identity_of(source):
        sums = {name: [] for name in ("train", "test")}
        for name, split in (("train", source.train), ("test", source.test)):
            hasher = ChunkHasher(split, (0, len(split)))
            hasher.read()
            sums[name].append(hasher.sums())
        return identity(source, sums)

    before = identity_of(source)
    other = dataclasses.replace(source.train, weights=W + 1)
    found = differences(before, identity_of(dataclasses.replace(source, train=other)))
    assert len(found) == 1
    assert found[0].startswith("the training weights have other values than in the run")
    without = dataclasses.replace(source, train=dataclasses.replace(source.train, weights=None))
    assert differences(before, identity_of(without)) == ["there are no training weights; the run had float64 [6]"]
    assert differences(identity_of(without), before) == ["the training weights are float64 [6]; the run had none"]


def test_samples_of_known_classes_that_weigh_nothing_are_refused_with_the_data():
    split = make_split(X[:3], np.arange(3), "x", "y", weights=np.array([0, 1.0, 0]))
    with pytest.raises(DataError, match="y: the samples whose label is one of the classes have the weight 0 together"):
        numbered_as(split, plain_classes(1), of="the network", unknown="ignore")


def test_weights_that_nobody_needs_are_not_looked_at(tmp_path):
    np.savez(tmp_path / "new.npz", x=X, w=np.zeros(2))
    assert open_split(str(tmp_path / "new.npz")).weights is None
    np.savez(tmp_path / "labelled.npz", x=X, y=Y, w=np.zeros(2))
    assert open_split(str(tmp_path / "labelled.npz"), labelled=False).weights is None


@pytest.mark.parametrize("kind", ["npz", "folder"])
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x_val", "y_val", "w_validation"], "holds x_val and y_val, and w_validation beside: give the arrays of one"),
        (["x_validation", "y_validation", "x_val", "y_val"], "x_validation and y_validation, and x_val and y_val"),
        (["w_valid"], "holds w_valid, but no x_valid; leave the weights out"),
    ],
    ids=str,
)
def test_no_array_is_left_out_for_its_name(tmp_path, kind, names, message):
    arrays = {"x_train": X, "y_train": Y, **{name: {"x": X, "y": Y, "w": W}[name[0]] for name in names}}
    path = tmp_path / ("d.npz" if kind == "npz" else "d")
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    with pytest.raises(DataError, match=message):
        open_source(str(path))
