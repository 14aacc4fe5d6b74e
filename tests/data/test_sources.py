from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dpnet.data.readers.choose import READERS, SPLIT_READERS
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError


def test_a_missing_path_names_what_is_near_and_what_would_do(idx_folder):
    with pytest.raises(DataError, match=r"(?s)was not found \(did you mean .*/tiny\?\)\.\n.*\"digits\".*\.npz file"):
        open_source(str(idx_folder.parent / "tniy"))
    with pytest.raises(DataError, match=r"was not found \(the folder \".*\" holds tiny\)"):
        open_source(str(idx_folder.parent / "something else"))
    with pytest.raises(DataError, match=r"nowhere/data\" was not found \(nor was its folder \".*/nowhere\"\)"):
        open_split(str(idx_folder.parent / "nowhere" / "data"))


def test_what_is_wrong_stands_in_the_first_line_and_each_kind_of_data_in_one_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for opener, kinds in ((open_source, READERS), (open_split, SPLIT_READERS)):
        with pytest.raises(DataError) as refusal:
            opener("dgits")
        lines = str(refusal.value).splitlines()
        assert lines[:2] == [
            'The data source "dgits" was not found (did you mean digits?).',
            "What is expected, one of:",
        ]
        assert lines[2:-1] == [f"  {reader.description}" for reader in kinds]
        assert lines[-1].startswith("  a table: .csv, .tsv")
        assert max(map(len, lines)) <= 100


def test_a_relative_path_that_leads_to_nothing_says_from_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = f"\nA relative path begins in the current directory, {tmp_path}: start dpnet "
    for path in ("data/wine.csv", "wine.npz"):
        for opener in (open_source, open_split):
            with pytest.raises(DataError, match="was not found") as refusal:
                opener(path)
            assert line in str(refusal.value)
    with pytest.raises(DataError) as refusal:
        open_source(str(tmp_path / "wine.npz"))
    assert "A relative path" not in str(refusal.value)


def test_a_misspelt_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r'"digit" was not found \(did you mean digits\?\)'):
        open_source("digit")


@pytest.mark.parametrize("source", ["", "a\0b", "~nobody-of-this-name/x", "x" * 5000])
def test_odd_names_are_not_found(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="was not found"):
        open_source(source)


def test_a_folder_without_data_lists_what_it_holds(tmp_path):
    for name in "abcdefghij":
        (tmp_path / f"{name}.dat").touch()
    with pytest.raises(DataError, match=r"(?s)it holds a\.dat, .*h\.dat and 2 more\.\n.*x_train\.npy"):
        open_source(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty\" can be used here; it holds nothing\.\n"):
        open_source(str(tmp_path / "empty"))


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "data.dat").write_text("1,2\n")
    for opener in (open_source, open_split):
        with pytest.raises(DataError, match=r"data\.dat\" is of no kind that can be used here\.\nWhat is expected, "):
            opener(str(tmp_path / "data.dat"))


def test_home_folder_is_expanded(idx_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(idx_folder.parent))
    assert open_source("~/tiny").name == "~/tiny"


def test_a_folder_called_digits_is_reached_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    np.save("digits/x_train.npy", np.zeros((2, 3)))
    np.save("digits/y_train.npy", [0, 1])
    assert open_source("./digits").features == 3
    assert open_source("digits").features == 64


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    tmp_path.chmod(0)
    try:
        with pytest.raises(DataError, match="cannot be read: Permission denied"):
            open_source(str(tmp_path))
    finally:
        tmp_path.chmod(0o700)


def test_every_kind_is_described_in_messages():
    with pytest.raises(DataError) as raised:
        open_source("")
    assert all(reader.description in str(raised.value) for reader in READERS)


def test_mnist():
    folder = Path(os.environ.get("DPNET_DATA", "../shared/data")) / "mnist"
    if not folder.is_dir():
        pytest.skip(f"MNIST is not at {folder}; set DPNET_DATA")
    source = open_source(str(folder))
    assert (source.train.inputs.shape, source.test.inputs.shape) == ((60000, 784), (10000, 784))
    assert (source.train.inputs.dtype, source.outputs) == (np.uint8, 10)
    assert np.bincount(source.train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert source.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert round(source.train.inputs.mean() / 255, 4) == 0.1307
