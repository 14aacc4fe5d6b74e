from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from dpnet.data.readers.idx import read_idx
from dpnet.data.sources import open_source, open_split, require_labels
from dpnet.errors import DataError


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_every_type_comes_back_in_native_byte_order(tmp_path, to_idx, dtype, compressed):
    array = np.array([[[1, -2, 100]], [[120, 7, -128]]], dtype=np.int8).astype(dtype)
    path = tmp_path / ("a-idx3-ubyte.gz" if compressed else "a-idx3-ubyte")
    path.write_bytes(gzip.compress(to_idx(array)) if compressed else to_idx(array))
    read = read_idx(path)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array, strict=True)


def test_folder_of_mnist_names_plain_and_compressed(idx_folder):
    source = open_source(str(idx_folder))
    assert source.name == str(idx_folder)
    assert (source.features, source.outputs) == (4, 3)
    np.testing.assert_array_equal(source.train.inputs, np.arange(12, dtype=np.uint8).reshape(3, 4), strict=True)
    np.testing.assert_array_equal(source.train.labels, np.array([0, 1, 2]), strict=True)
    np.testing.assert_array_equal(source.test.inputs, np.arange(12, 20, dtype=np.uint8).reshape(2, 4), strict=True)
    np.testing.assert_array_equal(source.test.labels, np.array([2, 1]), strict=True)


def test_of_a_plain_and_a_compressed_file_the_plain_one_is_read(idx_folder):
    (idx_folder / "train-images-idx3-ubyte.gz").write_bytes(b"not gzip")
    (idx_folder / "train-images.idx3-ubyte.gz").write_bytes(b"not gzip")
    assert len(open_source(str(idx_folder)).train) == 3


def test_other_files_with_similar_names_are_left_alone(idx_folder):
    (idx_folder / "train-images-idx3-ubyte.sha256").write_text("0")
    (idx_folder / "t10k-images-idx3-ubyte.part").write_text("0")
    (idx_folder / "my-train-images-idx3-ubyte").write_text("0")
    source = open_source(str(idx_folder))
    assert (len(source.train), len(source.test)) == (3, 2)


def test_training_needs_both_files(idx_folder):
    (idx_folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"tiny/train-labels-idx1-ubyte is missing; .*train-images-idx3-ubyte"):
        open_source(str(idx_folder))
    assert open_split(str(idx_folder), "train").labels is None
    (idx_folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match=r"has no file train-images-idx3-ubyte .* it holds t10k-images\.idx3"):
        open_source(str(idx_folder))


def test_no_test_files_means_no_test_split(idx_folder):
    for path in idx_folder.glob("t10k*"):
        path.unlink()
    assert open_source(str(idx_folder)).test is None
    with pytest.raises(DataError, match=r"has no test samples, only train samples; --split=train takes those"):
        open_split(str(idx_folder))


def test_one_file_of_inputs_has_the_labels_beside_it(idx_folder, tmp_path, monkeypatch):
    for name in ("t10k-images.idx3-ubyte.gz", "train-images-idx3-ubyte"):
        split = open_split(str(idx_folder / name))
        whole = open_split(str(idx_folder), "train" if "train" in name else "test")
        np.testing.assert_array_equal(split.inputs, whole.inputs)
        np.testing.assert_array_equal(split.labels, whole.labels)
        assert split.labels_file == whole.labels_file
    monkeypatch.chdir(idx_folder)
    assert open_split(name).labels.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"labels-idx1-ubyte holds inputs of shape \(3,\); expected one row"):
        open_split(str(idx_folder / "train-labels-idx1-ubyte"))
    (idx_folder / "train-labels-idx1-ubyte").unlink()
    split = open_split(str(idx_folder / name))
    assert split.labels is None
    with pytest.raises(DataError, match="tiny/train-labels-idx1-ubyte is missing; give the label of each sample"):
        require_labels(split)
    (idx_folder / name).rename(tmp_path / "new-idx3-ubyte")
    with pytest.raises(DataError, match="new-idx3-ubyte holds inputs alone, and by its name no file of labels belongs"):
        require_labels(open_split(str(tmp_path / "new-idx3-ubyte")))


def test_one_file_of_inputs_cannot_be_trained_on(idx_folder):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\" is of no kind .*\n.*\n *\"digits\""):
        open_source(str(idx_folder / "train-images-idx3-ubyte"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"starts with the bytes \(none\); an IDX file starts with 00 00"),
        (b"\0\0\x08", "starts with the bytes 00 00 08;"),
        (b"\0\1\x08\1\0\0\0\1a", "starts with the bytes 00 01 08 01"),
        (b"\0\0\x0a\1\0\0\0\1a", r"a type \(08, 09, 0b, 0c, 0d, 0e\)"),
        (b"\0\0\x08\0", "the number of dimensions"),
        (b"\0\0\x08\2\0\0\0\1\0\0", "ends inside its header"),
        (b"\0\0\x08\1\0\0\0\5abcd", "holds 4 bytes of data, but its header promises 5"),
        (b"\0\0\x08\1\0\0\0\5abcdef", r"holds (6|more than 5) bytes of data, but its header promises 5"),
        (
            b"\0\0\x0e\3" + b"\xff" * 12 + b"a" * 16,
            f"holds (16|at most [0-9]+) bytes of data, but its header promises {8 * (2**32 - 1) ** 3}",
        ),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_wrong_headers(tmp_path, content, message, compressed):
    path = tmp_path / ("bad-idx3-ubyte.gz" if compressed else "bad-idx3-ubyte")
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(DataError, match=f"{path.name} {message}" if message[0] in "sh" else message):
        read_idx(path)


@pytest.mark.parametrize("cut", [1, 8, 9, 30])
def test_truncated_gzip(tmp_path, to_idx, cut):
    path = tmp_path / "cut-idx2-ubyte.gz"
    whole = gzip.compress(to_idx(np.random.default_rng(0).integers(0, 256, (50, 8), dtype=np.uint8)))
    path.write_bytes(whole[:-cut])
    with pytest.raises(
        DataError, match=r"cut-idx2-ubyte\.gz is truncated or damaged \(.+\); copy or download it again"
    ):
        read_idx(path)


def test_gzip_with_a_wrong_checksum(tmp_path, to_idx):
    path = tmp_path / "sum-idx2-ubyte.gz"
    whole = gzip.compress(to_idx(np.zeros((2, 3), dtype=np.uint8)))
    path.write_bytes(whole[:-8] + struct.pack("<I", 1) + whole[-4:])
    with pytest.raises(DataError, match=r"sum-idx2-ubyte\.gz is truncated or damaged \(CRC check failed"):
        read_idx(path)


@pytest.mark.parametrize("name", ["a-idx2-ubyte", "a-idx2-ubyte.gz"])
@pytest.mark.parametrize("compressed", [False, True])
def test_whether_a_file_is_compressed_is_seen_from_its_content(tmp_path, to_idx, name, compressed):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    (tmp_path / name).write_bytes(gzip.compress(to_idx(array)) if compressed else to_idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / name), array, strict=True)


def test_a_folder_in_place_of_a_file(idx_folder):
    (idx_folder / "train-labels-idx1-ubyte").unlink()
    (idx_folder / "train-labels-idx1-ubyte").mkdir()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte cannot be read: Is a directory"):
        open_source(str(idx_folder))
