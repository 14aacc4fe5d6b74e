"""Files that dpnet does not read are told as what they are, with lines of Python that convert them."""

from __future__ import annotations

import gzip
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from dpnet.data.sources import open_source, open_split
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


def test_the_recipe_for_a_table_makes_a_source(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    rows = [f"{size},{colour},{name}" for size in range(10) for colour, name in (("red", "rose"), ("blue", "iris"))]
    (tmp_path / "flowers.csv").write_text("\n".join(["size,colour,Species", *rows, ""]))
    message = refusal("flowers.csv")
    assert message.startswith("flowers.csv is a table, which dpnet does not read yet. Convert it once, in Python:\n")
    source = open_source(run_recipe(message))
    assert (len(source.train), len(source.test), source.features, source.classes) == (16, 4, 3, 2)
    both = np.concatenate([source.train.inputs, source.test.inputs])
    labels = np.concatenate([source.train.labels, source.test.labels])
    assert sorted(zip(*both.T, labels, strict=True)) == sorted(
        (size, colour == "blue", colour == "red", colour == "red") for size in range(10) for colour in ("red", "blue")
    )


@pytest.mark.parametrize("ending", ["csv", "tsv", "json"])
def test_the_recipe_for_a_table_to_predict_makes_a_source(tmp_path, monkeypatch, ending):
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    table = pandas.DataFrame({"a": [1, 2], "b": [3, 4]})
    if ending == "json":
        table.to_json("t.json")
    else:
        table.to_csv(f"t.{ending}", sep="," if ending == "csv" else "\t", index=False)
    assert open_split(run_recipe(refusal(f"t.{ending}", open_split))).inputs.tolist() == [[1, 3], [2, 4]]


def test_a_recipe_names_the_column_of_the_classes_in_its_first_lines_and_what_it_needs(tmp_path):
    for first, label, needs in (
        ("a,b,target,c", 'label = "target"', "import numpy as np, pandas as pd  # pip install pandas"),
        ("a,b,kind", 'label = "kind"', "import numpy as np, pandas as pd  # pip install pandas"),
        ("1,2.5,-3e4", "label = 0", "import numpy as np"),
    ):
        (tmp_path / "train.csv").write_text(first + "\n")
        message = refusal(tmp_path)  # A folder, as those of Kaggle's competitions.
        lines = [line.strip() for line in message.split("\n\n")[1].splitlines()]
        assert lines[0] == needs
        assert lines[1].startswith(f"{label}  # the column of the classes")
        assert max(len(line) for line in message.split("\n\n")[1].replace(str(tmp_path), "").splitlines()) <= 88


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_numbers_without_names_of_columns_are_converted_by_numpy_alone(tmp_path, monkeypatch, delimiter):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    name = "t.csv" if delimiter == "," else "t.tsv"
    rows = [[number % 3 + 5, number, number / 2] for number in range(10)]
    Path(name).write_text("".join(delimiter.join(map(str, row)) + "\n" for row in rows))
    source = open_source(run_recipe(refusal(name)))
    found = [
        (label + 5, *x)
        for part in (source.train, source.test)
        for x, label in zip(part.inputs, part.labels, strict=True)
    ]
    assert sorted(map(list, found)) == sorted(rows)
    assert (len(source.train), len(source.test)) == (8, 2)
    Path("t.npz").unlink()
    assert open_split(run_recipe(refusal(name, open_split))).inputs.tolist() == rows


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
