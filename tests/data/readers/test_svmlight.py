"""Files of svmlight and libsvm: what they hold, and that no feature is ever taken for its neighbour."""

import bz2
import dataclasses
import gzip
import lzma

import numpy as np
import pytest

from dpnet.data import in_parts
from dpnet.data.in_parts import InParts, reading_in_parts
from dpnet.data.readers import guards, svmlight_rows, svmlight_text
from dpnet.data.readers.svmlight import SvmFile, read_svmlight
from dpnet.data.split import Indices
from dpnet.errors import ConfigError, DataError

sklearn = pytest.importorskip("sklearn.datasets")

TEXT = "-1 1:0.5 4:2\n+1 2:1 3:0.25 # new\n\n# no sample\n+1\n"
ROWS = [[0.5, 0, 0, 2], [0, 1, 0.25, 0], [0, 0, 0, 0]]


def whole(path, text, like):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_svmlight(str(path), like)


def parts(path, text, like):
    """As a conversion reads it; the rows of the parts are put together."""
    with reading_in_parts():
        split = whole(path, text, like)
    assert isinstance(split.inputs, InParts)
    return dataclasses.replace(split, inputs=split.block(0, len(split)))


@pytest.fixture(params=[whole, parts])
def read(tmp_path, monkeypatch, request):
    monkeypatch.setattr(svmlight_rows, "BLOCK_BYTES", 20)
    monkeypatch.setattr(in_parts, "PART_BYTES", 50)
    return lambda text, name="a9a", like=None: request.param(tmp_path / name, text, like)


def test_samples_labels_and_comments(read):
    split = read(TEXT)
    assert (split.inputs.tolist(), split.inputs.dtype) == (ROWS, np.float64)
    assert (split.labels.tolist(), split.classes.values.tolist(), split.classes.kind) == (
        [0, 1, 1],
        [-1, 1],
        "integers",
    )
    assert split.first_index == 1
    assert any("indices count from 1, to 4, so 4 features" in remark for remark in split.remarks)


@pytest.mark.parametrize("zero_based", [False, True])
def test_what_scikit_learn_writes_comes_back(tmp_path, zero_based):
    x = np.random.default_rng(0).standard_normal((20_000, 5)) * (np.random.default_rng(1).random((20_000, 5)) < 0.5)
    y = np.arange(20_000) % 3
    sklearn.dump_svmlight_file(x, y, str(tmp_path / "x.svm"), zero_based=zero_based, comment="by a test")
    split = read_svmlight(str(tmp_path / "x.svm"))
    # Of 16 digits a few numbers have another last bit.
    assert np.allclose(split.inputs, x, rtol=1e-15, atol=0)
    assert (split.labels.tolist(), split.first_index) == (y.tolist(), 0 if zero_based else 1)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.svm", bytes),
        ("a.LIBSVM", bytes),
        ("a9a", bytes),
        ("a9a.t", bytes),
        ("a9a.bz2", bz2.compress),
        ("a.svmlight.gz", gzip.compress),
        ("a9a.xz", lzma.compress),
        ("news.txt", lambda text: b"\xef\xbb\xbf" + text),
    ],
)
def test_files_are_known_by_their_name_or_by_their_first_line(read, tmp_path, name, pack):
    assert read(pack(TEXT.encode()), name).inputs.tolist() == ROWS
    assert SvmFile().fits(str(tmp_path / name))


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "1 2 3\n", "x,y\n1,2\n", "2024 12:30:00 start\n", "a: 1\n", "{}", "cat 1:2\n", "1 a:2\n", "<html>\n"],
)
def test_other_text_is_not_taken_for_it(tmp_path, text):
    (tmp_path / "notes").write_text(text)
    assert not SvmFile().fits(str(tmp_path / "notes"))


def test_the_first_line_may_be_long(tmp_path):
    pairs = " ".join(f"{index}:0.123456" for index in range(1, 20_000))
    for text in (f"1 {pairs}\n0 1:1\n", f"1 {pairs}", f"# {'c' * 500}\n\n1 1:1\n"):
        (tmp_path / "epsilon").write_text(text)
        assert SvmFile().fits(str(tmp_path / "epsilon"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1:1\n1 3:1 2:1\n", r"a9a, line 2 is '1 3:1 2:1': .* sorted and unique\. Expected a label and pairs"),
        ("0 1:1\n\n1 1:1 1:2\n", r"line 3 is '1 1:1 1:2': .* sorted and unique"),
        ("1 -1:2\n", r"line 1 is '1 -1:2': Invalid index -1"),
        ("1 99999999999:1\n", r"line 1 is .*: value too large"),
        ("1 1:x\n", r"line 1 is '1 1:x': could not convert"),
        ("cat 1:1\n", r"line 1 is 'cat 1:1': could not convert"),
        ("1 2 3\n", r"line 1 is '1 2 3': .* Expected a label and pairs INDEX:VALUE with rising indices"),
        ("1:0.5 2:1\n", r"line 1 has no label before its first pair; expected one, 0 where it is not known"),
        ("0 1:1\n3,5 1:1\n", r"line 2 has several labels, '3,5'; expected one\. .* \"multilabel\""),
        ("1_0 1:1\n", "line 1 holds an underscore"),
        (b"1 1:1\0 2:1\n", "line 1 holds a zero byte"),
        ("0.5 1:1\n", r"a9a, line 1: the label is 0\.5; expected whole numbers"),
        ("1 1:1\n# c\nnan 1:1\n", r"a9a, line 3: the label is nan, as if it were missing"),
        ("", "holds 0 samples with 0 features; expected both"),
        ("1\n0\n", "holds 2 samples with 0 features; expected both"),
        ("<!DOCTYPE html>", "is a web page"),
    ],
)
def test_what_is_not_of_the_format_is_refused_by_line(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text)


def test_groups_of_a_ranking_are_told(read):
    split = read("2 qid:1 1:1\n1 qid:1 2:1\n0 2:3\n")
    assert any("2 lines of 3 with qid, a group to rank within" in remark for remark in split.remarks)
    assert split.inputs.tolist() == [[1, 0], [0, 1], [0, 3]]


@pytest.mark.parametrize(
    ("text", "like", "rows"),
    [
        ("1 1:5\n", Indices(3, 1), [5, 0, 0]),
        ("1 1:5\n", Indices(3, 0), [0, 5, 0]),
        ("1 0:5\n", Indices(3, 0), [5, 0, 0]),
        ("1 0:5\n", Indices(3, None), [5, 0, 0]),
        ("1 1:5 3:7\n", Indices(3, None), [5, 0, 7]),
    ],
)
def test_other_data_have_the_features_of_the_training_data(read, text, like, rows):
    split = read(text, like=like)
    assert (split.inputs.tolist(), split.remarks) == ([rows], ())


@pytest.mark.parametrize(
    ("text", "like", "message"),
    [
        ("1 1:1\n1 0:1\n", Indices(3, 1), r"line 2 has the index 0, and the training data count from 1"),
        ("1 1:1\n1 3:1\n", Indices(3, 0), r"line 2 has the index 3, and none is 0: it seems to count from 1, and the"),
        ("1 1:1 2:1 3:1\n" * 9 + "1 1:1 4:1\n", Indices(3, 0), r"line 10 has the index 4, and none is 0: it seems to"),
        ("1 1:1 2:1 3:1\n" * 9 + "1 4:1\n", Indices(3, None), r"line 10 has the index 4, .* 0:0 if from 0, 3:0 if f"),
        ("1 1:1\n1 2:1\n", Indices(3, None), r"indices 1 to 2, for 3 features: .* 0:0 if from 0, 3:0 if from 1"),
        (
            "1 1:1\n1 7:1\n0 9:1\n",
            Indices(3, 1),
            r"line 2 has the index 7, and .* end at 3\. So it is with 2 of 3 samp",
        ),
        ("1 0:0 2:1 4:1\n", Indices(3, None), r"line 1 has the index 4, and those of the training data end at 2"),
    ],
)
def test_indices_that_contradict_the_training_data_are_refused(read, text, like, message):
    with pytest.raises(DataError, match=message):
        read(text, like=like)


def test_a_pair_of_0_says_where_indices_begin(read):
    assert read("1 0:0 1:5\n0 2:1\n").inputs.tolist() == [[0, 5, 0], [0, 0, 1]]
    assert read("1 0:0 1:5\n", like=Indices(3, None)).inputs.tolist() == [[0, 5, 0]]
    assert read("1 1:5 3:0\n", like=Indices(3, None)).inputs.tolist() == [[5, 0, 0]]


def test_rare_features_that_no_training_sample_has_are_left_out_and_told(read):
    split = read("1 1:1 2:2\n0 3:3 9:1\n1 1:4\n", like=Indices(3, 1))
    assert split.inputs.tolist() == [[1, 2, 0], [0, 0, 3], [4, 0, 0]]
    assert split.remarks[0].endswith(
        "1 sample with a feature that no training sample has, and that is left out: line 2 has the index 9, and those "
        "of the training data end at 3"
    )
    split = read("1 0:0 2:2\n0 1:3 9:1\n1 1:4\n", like=Indices(3, 0))
    assert split.inputs.tolist() == [[0, 0, 2], [0, 3, 0], [0, 4, 0]]


def test_rows_that_would_not_fit_in_memory_are_refused_before_it_is_taken(read, monkeypatch):
    monkeypatch.setattr(guards.os, "sysconf", lambda name: 1 << 17)
    with pytest.raises(DataError, match=r"[28] samples of 2,000,000,000 features, .* take (29\.8|119\.2) GiB as"):
        read("1 2000000000:1\n0 1:1\n".replace("2000000000:", "2000000000:").replace("0 1:1", "0 1:1"))


@pytest.mark.parametrize("read", [whole], indirect=True)
def test_entries_that_would_not_fit_in_memory_are_not_all_read(read, monkeypatch):
    monkeypatch.setattr(guards.os, "sysconf", lambda name: 10)
    with pytest.raises(DataError, match=r"7 values take 0\.0 GiB as numbers"):
        read("1 1:1\n" * 1000)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.svm.gz", gzip.compress(TEXT.encode())[:-3], "is truncated or damaged"),
        ("a.svm.gz", TEXT.encode(), "is truncated or damaged"),
        ("a.svm.bz2", TEXT.encode(), "is truncated or damaged"),
        ("a.svm.bz2", bz2.compress(TEXT.encode())[:-3], "is truncated or damaged"),
        ("a.svm.xz", TEXT.encode(), "is damaged"),
    ],
    ids=range(5),
)
def test_damaged_compression(read, name, content, message):
    with pytest.raises(DataError, match=message):
        read(content, name)


def test_a_line_without_an_end_is_not_read_into_memory(read, monkeypatch):
    monkeypatch.setattr(svmlight_text, "MAX_LINE", 1 << 20)
    with pytest.raises(DataError, match=r"line 1 is longer than 1 MiB"):
        read(gzip.compress(b"1" * (1 << 24)), "a.svm.gz")


def test_without_scikit_learn_the_extra_is_named(read, monkeypatch):
    def absent(name):
        raise ImportError

    monkeypatch.setattr(svmlight_text.importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=r"a9a is svmlight text, .* install it: pip install 'dpnet\[svmlight\]'"):
        read(TEXT)
