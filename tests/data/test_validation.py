"""Which samples data.validation names: a share of the training samples, or those of a file."""

import numpy as np
import pytest
from helpers.jobs import save_data

from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError


@pytest.fixture
def source(tmp_path):
    """An .npz file of 90 training samples, the number of each in its only feature; classes 0, 1 and 2 in turn."""
    np.savez(tmp_path / "data.npz", x_train=np.arange(90)[:, None], y_train=np.arange(90) % 3)
    return str(tmp_path / "data.npz")


def opened(source, validation, seed=0, **settings):
    return open_source(source, DataConfig(validation=validation, **settings), seed=seed)


def ids(split):
    return split.block(0, len(split))[:, 0].tolist()


def test_a_share_is_held_out_of_each_class_alike(source):
    found = opened(source, 0.2)
    assert np.bincount(found.validation.labels).tolist() == [6, 6, 6]
    assert sorted(ids(found.train) + ids(found.validation)) == list(range(90))
    assert [number % 3 for number in ids(found.validation)] == found.validation.labels.tolist()
    assert [number % 3 for number in ids(found.train)] == found.train.labels.tolist()
    assert list(found.splits) == ["train", "validation"]


def test_the_seed_decides_which_and_the_test_data_do_not_depend_on_it():
    some, others = (opened("digits", 0.1, seed) for seed in (0, 1))
    assert some.validation.rows.tolist() == opened("digits", 0.1).validation.rows.tolist()
    assert some.validation.rows.tolist() != others.validation.rows.tolist()
    assert some.test.inputs.tobytes() == others.test.inputs.tobytes() == open_source("digits").test.inputs.tobytes()


def test_without_it_there_is_none():
    found = open_source("digits")
    assert (found.validation, found.eval_split, list(found.splits)) == (None, "test", ["train", "test"])
    assert opened("digits", 0.1).eval_split == "validation"


@pytest.mark.parametrize("name", ["v.npz", "x_v.npy", "v-images-idx1-ubyte", "folder"])
def test_a_file_of_samples_is_taken_whole(source, tmp_path, name):
    x, y = np.arange(6, dtype=np.uint8)[:, None], np.array([2, 1, 0, 2, 1, 0])
    np.savez(tmp_path / "v.npz", x=x, y=y)
    np.save(tmp_path / "x_v.npy", x), np.save(tmp_path / "y_v.npy", y)
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder/x_test.npy", x), np.save(tmp_path / "folder/y_test.npy", y)
    for what, array in (("images", x), ("labels", y)):
        shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
        head = bytes([0, 0, 8, array.ndim]) + shape
        (tmp_path / f"train-{what}-idx{array.ndim}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())
    name = "train-images-idx2-ubyte" if "idx" in name else name
    found = opened(source, str(tmp_path / name))
    assert (ids(found.validation), found.validation.labels.tolist(), len(found.train)) == (ids_of(x), y.tolist(), 90)


def ids_of(x):
    return x[:, 0].tolist()


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (0.01, r"^data\.validation is 0\.01: of the 90 rows of .*data\.npz \(y_train\) that is not one of any class; "),
        ("nowhere.npz", r'^data\.validation "nowhere\.npz" was not found'),
        ("digits", r"^data\.validation is digits, which holds samples of several kinds \(train and test\); name the "),
        (
            "table.csv",
            r"^data\.validation is table\.csv, a table, and data\.source, digits, is none; give the same kind",
        ),
        (
            "wide.npz",
            r"wide\.npz \(x\) has 2 features, but .* has 1; training and validation samples must have the same",
        ),
        ("bare.npy", r"^bare\.npy holds inputs alone"),
        ("strange.npz", r"row 1 \(from 0\): the label is 7, .*data\.unknown_labels"),
    ],
)
def test_what_cannot_validate_is_refused(source, tmp_path, monkeypatch, validation, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("x,y\n1,2\n")
    np.savez("wide.npz", x=np.zeros((3, 2)), y=[0, 1, 2])
    np.savez("strange.npz", x=np.zeros((3, 1)), y=[0, 7, 2])
    np.save("bare.npy", np.zeros((3, 1)))
    with pytest.raises(DataError, match=message):
        opened(source, validation)


@pytest.mark.parametrize("word", ["validation", "val", "valid"])
@pytest.mark.parametrize("kind", ["npz", "npy", "idx"])
def test_a_source_can_have_validation_samples_of_its_own(tmp_path, kind, word):
    x, y = np.arange(6, dtype=np.uint8)[:, None], np.array([2, 1, 0, 2, 1, 0], np.uint8)
    arrays = {"x_train": x, "y_train": y, f"x_{word}": x[:4], f"y_{word}": y[:4]}
    source = tmp_path / "data.npz" if kind == "npz" else tmp_path
    if kind == "npz":
        np.savez(source, **arrays)
    for name, array in arrays.items():
        if kind == "npy":
            np.save(tmp_path / f"{name}.npy", array)
        elif kind == "idx":
            what, split = ("images" if name[0] == "x" else "labels"), name[2:]
            shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
            path = tmp_path / f"{split}-{what}-idx{array.ndim}-ubyte"
            path.write_bytes(bytes([0, 0, 8, array.ndim]) + shape + array.tobytes())
    found = open_source(str(source))
    assert (found.eval_split, len(found.train), ids(found.validation)) == ("validation", 6, [0, 1, 2, 3])
    assert ids(open_split(str(source), "validation")) == [0, 1, 2, 3]
    with pytest.raises(
        DataError, match=r"^data\.validation is 0\.5, but data\.source has validation samples of its own, "
    ):
        opened(str(source), 0.5)
    with pytest.raises(
        DataError, match=r"has no test samples, only train and validation samples; --split=train or --spl"
    ):
        open_split(str(source), "test")


def test_data_without_validation_samples_are_said_to_have_none():
    with pytest.raises(
        DataError, match=r"digits has no validation samples, only train and test samples; --split=train or"
    ):
        open_split("digits", "validation")


def test_labels_that_training_never_saw_can_be_left_out(source, tmp_path):
    np.savez(tmp_path / "v.npz", x=np.zeros((3, 1)), y=[0, 7, 2])
    found = opened(source, str(tmp_path / "v.npz"), unknown_labels="ignore")
    assert found.validation.known.tolist() == [0, 2]


def test_every_class_keeps_a_training_sample_however_large_the_share(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=np.arange(5)[:, None], y_train=[0, 0, 0, 0, 1])
    found = opened(str(tmp_path / "data.npz"), 0.99)
    assert (found.outputs, sorted(found.train.labels), len(found.validation)) == (2, [0, 1], 3)


def test_a_mapped_file_stays_mapped(tmp_path):
    save_data(tmp_path / "data.npz", 50)
    with np.load(tmp_path / "data.npz") as arrays:
        for name in ("x_train", "y_train"):
            np.save(tmp_path / f"{name}.npy", arrays[name])
    found = opened(str(tmp_path), 0.2)
    assert isinstance(found.train.inputs, np.memmap)
    assert found.train.inputs is found.validation.inputs


def test_a_share_without_a_sample_that_weighs_anything_is_refused(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=np.arange(10)[:, None], y_train=np.zeros(10, int), w_train=[*[0] * 9, 1])
    with pytest.raises(DataError, match=r"^data\.validation is 0\.2: the samples of .* would weigh 0 together; take "):
        opened(str(tmp_path / "data.npz"), 0.2)
