"""Files that dpnet does not read are told as what they are, with lines of Python that convert them."""

from __future__ import annotations

import gzip
import textwrap

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source
from dpnet.errors import DataError

PAGE = b"\n<!DOCTYPE html><html><title>404</title></html>"


def refusal(path, opener=open_source):
    with pytest.raises(DataError) as raised:
        opener(str(path))
    return str(raised.value)


def run_recipe(message):
    """Runs the indented lines of a message; returns the source that it then names."""
    lines = [line for line in message.splitlines() if line.startswith("    ")]
    exec(textwrap.dedent("\n".join(lines)), {})
    return message.rsplit("give ", 1)[1].rstrip(".")


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_web_page_in_place_of_a_download_is_told(tmp_path, name, packed):
    (tmp_path / name).write_bytes(gzip.compress(PAGE) if packed else PAGE)
    message = refusal(tmp_path)
    assert f"{name} is a web page (HTML), not an IDX file; the server did not send the file" in message


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.npz", PAGE, "is a web page (HTML), not an .npz file"),
        ("x_train.npy", PAGE, "is a web page (HTML), not an .npy file"),
        ("a.npz", b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, in place of the file"),
        ("a.npz", b"\x93NUMPY\1\0", "is an array of numpy, not an .npz file; name it .npy"),
        ("a.npz", gzip.compress(b"x"), "is compressed by gzip, not an .npz file; unpack it first"),
        ("x_train.npy", b"PK\3\4", "is a zip archive, as .npz files are, not an .npy file"),
        ("x_train.npy", b"\x89HDF\r\n\x1a\n", "is an HDF5 file, not an .npy file"),
        ("train-images-idx3-ubyte", b"\x80\x04\x95", "is a pickled object of Python, not an IDX file"),
    ],
)
def test_a_file_of_another_kind_than_its_name_says_is_told(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    assert f"{name} {told}" in refusal(tmp_path / name if name == "a.npz" else tmp_path)


def test_the_recipe_for_a_table_of_another_kind_makes_one_that_is_read(tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    pandas.DataFrame({"a": [1, 2], "kind": ["x", "y"]}).to_json("t.json")
    source = run_recipe(refusal("t.json"))
    assert source == "t.csv"
    assert open_source(source, DataConfig(target="kind")).train.inputs.tolist() == [[1], [2]]


@pytest.mark.parametrize("ending", ["json", "jsonl", "xlsx", "pkl"])
def test_a_table_of_another_kind_is_refused_with_lines_that_fit_80_columns(tmp_path, ending):
    (tmp_path / f"t.{ending}").touch()
    message = refusal(tmp_path / f"t.{ending}")
    assert "is a table of a kind that dpnet does not read. Make a CSV file of it, in Python, with pandas:" in message
    assert max(len(line) for line in message.split("\n\n")[1].replace(f"{tmp_path}/", "").splitlines()) <= 80


def test_of_a_folder_of_tables_one_is_to_be_named(tmp_path):
    for name in ("test.csv", "sample_submission.csv", "train.csv"):
        (tmp_path / name).touch()
    assert refusal(tmp_path) == (
        f"{tmp_path} is a folder with sample_submission.csv, test.csv, train.csv; name one of these tables, "
        f"{tmp_path}/train.csv for example."
    )


def test_an_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "mnist.tar.gz").touch()
    assert refusal(tmp_path / "mnist.tar.gz").endswith("mnist.tar.gz is an archive; unpack it, and give what it holds.")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["train_images", "train_labels", "val_images", "test_images", "test_labels"], [0, 1, 3, 4]),
        (["X", "y"], [0, 1]),
        (["arr_0", "arr_1"], [0, 1]),
        (["data", "target"], [0, 1]),
        (["trainX", "x_val", "X_train", "Y_train", "X_test", "Y_test"], [2, 3, 4, 5]),
    ],
)
def test_arrays_of_other_names_are_listed_with_lines_that_rename_them(tmp_path, monkeypatch, keys, found):
    monkeypatch.chdir(tmp_path)
    of_labels = [key.endswith(("labels", "target", "arr_1")) or key[0] in "yY" for key in keys]
    # Labels are two classes, the same in every array, in another order in each.
    arrays = [
        np.roll(np.arange(6) >= 3, number).astype(int) if labels else np.full((6, 3), number)
        for number, labels in enumerate(of_labels)
    ]
    np.savez("foreign.npz", **dict(zip(keys, arrays, strict=True)))
    message = refusal("foreign.npz")
    assert message.startswith(f"foreign.npz holds no array x_train; it holds {', '.join(sorted(keys))}; name them so")
    source = open_source(run_recipe(message))
    splits = [source.train] + ([source.test] if source.test else [])
    for split, (inputs, labels) in zip(splits, zip(found[::2], found[1::2], strict=True), strict=True):
        assert (split.inputs == inputs).all()
        assert split.labels.tolist() == arrays[labels].tolist()


def test_what_cannot_be_guessed_is_left_open(tmp_path):
    np.savez(tmp_path / "a.npz", spectra=np.zeros((2, 3)))
    message = refusal(tmp_path / "a.npz")
    assert 'x_train=f["..."],' in message
    assert 'y_train=f["..."],' in message
