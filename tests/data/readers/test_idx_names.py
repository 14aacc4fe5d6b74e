"""Data sets that come as IDX files, under the names and in the folders that their makers chose."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError

IMAGES = np.arange(20, dtype=np.uint8).reshape(5, 2, 2)
LABELS = np.array([0, 1, 2, 2, 0], dtype=np.uint8)


@pytest.fixture
def save(tmp_path, to_idx):
    def save(name, array):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(to_idx(array)) if name.endswith(".gz") else to_idx(array))

    return save


def save_emnist(save, name, labels):
    for word, rows in (("train", slice(3)), ("test", slice(3, 5))):
        save(f"{name}-{word}-images-idx3-ubyte.gz", IMAGES[rows])
        save(f"{name}-{word}-labels-idx1-ubyte.gz", labels[rows])


def check(source, labels=LABELS):
    np.testing.assert_array_equal(source.train.inputs, IMAGES[:3].reshape(3, 4), strict=True)
    np.testing.assert_array_equal(source.test.inputs, IMAGES[3:].reshape(2, 4), strict=True)
    assert [label for split in (source.train, source.test) for label in split.classes.values[split.labels]] == [*labels]


@pytest.mark.parametrize("files_too", [True, False])
def test_mnist_of_kaggle_has_a_folder_of_each_name_that_holds_the_file(tmp_path, save, files_too):
    for word, rows in (("train", slice(3)), ("t10k", slice(3, 5))):
        for what, array in (("images-idx3", IMAGES[rows]), ("labels-idx1", LABELS[rows])):
            save(f"{word}-{what}-ubyte/{word}-{what}-ubyte", array)
            if files_too:
                save(f"{word}-{what.replace('-', '.')}-ubyte", array)
    check(open_source(str(tmp_path)))


def test_a_file_is_read_rather_than_one_within_a_folder(tmp_path, save):
    save_emnist(save, "x", LABELS)
    save("x-train-images-idx3-ubyte/x-train-images-idx3-ubyte", IMAGES[:2])
    check(open_source(str(tmp_path)))


def test_emnist_is_read_by_the_names_of_nist(tmp_path, save):
    save_emnist(save, "emnist-letters", LABELS + 1)
    save("emnist-letters-mapping.txt", LABELS)
    check(open_source(str(tmp_path)), LABELS + 1)


def test_of_the_six_sets_of_emnist_one_is_named_in_the_source(tmp_path, save):
    save_emnist(save, "emnist-digits", 2 - LABELS)
    save_emnist(save, "emnist-letters", LABELS + 1)
    with pytest.raises(DataError) as raised:
        open_source(str(tmp_path))
    assert str(raised.value) == (
        f"{tmp_path} holds the data sets emnist-digits, emnist-letters; name one of them as the source: "
        f'"{tmp_path}/emnist-digits" or "{tmp_path}/emnist-letters".'
    )
    check(open_source(f"{tmp_path}/emnist-digits"), 2 - LABELS)
    check(open_source(f"{tmp_path}/emnist-letters"), LABELS + 1)
    assert len(open_split(f"{tmp_path}/emnist-letters")) == 2
    with pytest.raises(DataError, match=r"emnist-letter\" was not found"):
        open_source(f"{tmp_path}/emnist-letter")


def test_one_set_of_the_current_directory(tmp_path, save, monkeypatch):
    save_emnist(save, "emnist-digits", LABELS)
    monkeypatch.chdir(tmp_path)
    check(open_source("emnist-digits"))


def test_what_is_missing_is_named_as_its_set_names_it(tmp_path, save):
    save("emnist-digits-test-labels-idx1-ubyte.gz", LABELS)
    with pytest.raises(DataError, match=r"has no file emnist-digits-train-images-idx3-ubyte or the same with \.gz"):
        open_source(str(tmp_path))
    with pytest.raises(DataError, match=r"has no file emnist-digits-test-images-idx3-ubyte or the same with \.gz"):
        open_split(f"{tmp_path}/emnist-digits")


def test_the_first_of_the_eight_numbers_of_a_label_of_qmnist_is_the_class(tmp_path, save):
    rest = np.arange(35).reshape(5, 7)
    labels = np.concatenate([LABELS[:, np.newaxis], rest], axis=1).astype(np.int32)
    for word, rows in (("train", slice(3)), ("test", slice(3, 5))):
        save(f"qmnist-{word}-images-idx3-ubyte.gz", IMAGES[rows])
        save(f"qmnist-{word}-labels-idx2-int.gz", labels[rows])
    check(open_source(str(tmp_path)))


def test_rows_in_place_of_labels_are_refused_under_other_names(tmp_path, save):
    save("train-images-idx3-ubyte", IMAGES)
    save("train-labels-idx2-int", np.ones((5, 5), np.int32))
    with pytest.raises(DataError, match=r"labels of shape \(5, 5\); .*single 1 \(one-hot\); row 0 .* is \[1, 1, 1"):
        open_source(str(tmp_path))


def test_a_folder_above_the_files_names_the_folder_that_is_meant(tmp_path, save):
    save_emnist(save, "data/EMNIST/raw/emnist-digits", LABELS)
    for folder in ("data", "data/EMNIST"):
        with pytest.raises(DataError, match=r"did you mean .*/data/EMNIST/raw\?\)\.\n"):
            open_source(str(tmp_path / folder))
