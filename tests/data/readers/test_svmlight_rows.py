"""Svmlight text that is read in parts for a conversion has the rows that are read whole."""

import bz2
import gzip
import lzma

import numpy as np
import pytest

from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.config.model import ModelConfig
from dpnet.conversion.convert import convert
from dpnet.data import in_parts
from dpnet.data.in_parts import InParts, reading_in_parts
from dpnet.data.readers import svmlight_rows
from dpnet.data.readers.svmlight import read_svmlight
from dpnet.errors import DataError
from dpnet.training.prepare import identify, open_data

pytest.importorskip("sklearn.datasets")
GROUP = LocalGroup()
ROWS, FEATURES = 300, 9


def text(labels):
    """Rows of which some have no entry, between comments and empty lines."""
    chance, lines = np.random.default_rng(0), ["# begin", ""]
    for row in range(ROWS):
        columns = np.flatnonzero(chance.random(FEATURES) < 0.3)
        pairs = " ".join(f"{column}:{chance.standard_normal():.17g}" for column in columns)
        lines += [f"{labels[row % len(labels)]} {'qid:3 ' * (row % 2)}{pairs}", *["# between", "  "][: row % 3]]
    return "\n".join([*lines, "# end"]).encode()


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(svmlight_rows, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(in_parts, "PART_BYTES", 400)  # 5 rows.


def identified(source, task, **keys):
    job = Job(data=DataConfig(source=str(source), **keys), model=ModelConfig(task=task))
    return identify(job.data, open_data(job, GROUP), GROUP, measure=True).identity


@pytest.mark.parametrize("keys", [{}, {"test": 0.3, "validation": 0.2}])
@pytest.mark.parametrize(
    ("task", "labels"), [("classification", "3 1 2"), ("regression", "0.5 7"), ("multilabel", "1,3 2")]
)
@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.svm", bytes), ("a.svm.gz", gzip.compress), ("a.svm.bz2", bz2.compress), ("a.svm.xz", lzma.compress)],
)
def test_what_is_converted_has_the_identity_of_the_whole(tmp_path, name, pack, task, labels, keys):
    (tmp_path / name).write_bytes(pack(text(labels.split())))
    job = Job(data=DataConfig(source=str(tmp_path / name), **keys), model=ModelConfig(task=task))
    convert(job, str(tmp_path / "c"), GROUP)
    assert identified(tmp_path / "c", task, **keys) == identified(tmp_path / name, task, **keys)


def in_parts_of(path, like=None):
    with reading_in_parts():
        return read_svmlight(str(path), like)


@pytest.mark.parametrize("name", ["a.svm", "a.svm.gz"])
def test_rows_are_reached_in_any_order(tmp_path, name):
    content = text(["1", "0"])
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    whole, parts = read_svmlight(str(tmp_path / name)), in_parts_of(tmp_path / name)
    assert isinstance(parts.inputs, InParts)
    assert parts.remarks == whole.remarks
    assert parts.label_place(ROWS - 1) == whole.label_place(ROWS - 1)
    for start, stop in ((290, 300), (0, 1), (120, 180), (0, 300), (299, 300), (7, 9)):
        assert parts.block(start, stop).tobytes() == whole.block(start, stop).tobytes()


def test_blocks_before_a_part_are_not_read_again(tmp_path, monkeypatch):
    (tmp_path / "a.svm").write_bytes(text(["1", "0"]))
    split, read = in_parts_of(tmp_path / "a.svm"), []
    samples = svmlight_rows.Lines._samples

    def counted(self):
        for found in samples(self):
            read.append(found)
            yield found

    monkeypatch.setattr(svmlight_rows.Lines, "_samples", counted)
    split.block(290, 291)
    assert 5 <= len(read) < 50
    split.block(295, 296)
    assert len(read) < 55


@pytest.mark.parametrize("change", [lambda lines: lines[:-9], lambda lines: ["", *lines], lambda lines: lines[9:]])
def test_a_file_that_has_changed_meanwhile_is_refused(tmp_path, change):
    (tmp_path / "a.svm").write_bytes(text(["1", "0"]))
    split = in_parts_of(tmp_path / "a.svm")
    lines = (tmp_path / "a.svm").read_text().split("\n")
    (tmp_path / "a.svm").write_text("\n".join(change(lines)))
    with pytest.raises(DataError, match=r"a\.svm.* (has changed while it was read; start again|line \d+ )"):
        split.block(0, ROWS)
