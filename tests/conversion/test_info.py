"""What is told of data: columns, classes, what recurs, what is constant, and what dpnet would do."""

import json

import numpy as np
import pytest

from dpnet.cli.main import run
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.conversion import rows
from dpnet.conversion.info import info_of
from dpnet.conversion.rows import count_again, look
from dpnet.data.sources import open_source
from dpnet.data.split import make_split
from dpnet.errors import DataError

ROWS = [
    f"r{row},{row % 9},{'red' if row % 3 else 'blue'},7,{'' if row == 4 else row / 4},{'ab'[row % 2]}"
    for row in range(60)
]


@pytest.fixture
def csv(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "t.csv").write_text("\n".join(["id,n,colour,same,gap,kind", *ROWS, ""]))
    return str(tmp_path / "t.csv")


def shown(capfd, *arguments):
    assert run(["data", "info", *map(str, arguments)]) == 0
    return capfd.readouterr().out


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_table_is_told_column_by_column(csv, capfd):
    text = shown(capfd, csv)
    lines = squeezed(text)
    assert lines[0].endswith("t.csv: 60 rows, 6 columns")
    assert lines[2:9] == [
        "column holds values missing becomes",
        "id text 60: r0, r1, r10, ... 0 the name of a row",
        "n number 0 to 8 0 an input",
        "colour text 2: blue, red 0 2 inputs",
        "same number all 7 0 an input",
        "gap number 0 to 14.75 1 an input",
        "kind text 2: a, b 0 the target",
    ]
    assert lines[10:13] == ["class train test", "a 24 6", "b 24 6"]
    assert "note: 1 input has one value in all training samples: same" in lines
    assert 'dpnet would train a network 5-256-128-2, model.task = "classification":' in lines
    assert '48 to train on and 12 to test with; data.scale = "standardize".' in lines
    assert {'data.target = "kind"', "data.test = 0.2", 'data.missing = "mean"'} <= set(lines)
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_what_is_given_is_not_guessed(csv, capfd):
    text = shown(capfd, csv, "--set", "data.target=n", "--set", "data.test=0.5")
    assert "data.target" not in text
    assert "27 to train on and 33 to test with" in text
    found = json.loads(shown(capfd, csv, "--set", "data.target=n", "--json"))
    assert found["columns"][1]["becomes"] == "the target"
    assert (found["classes"], found["outputs"]) == ([*range(9)], 9)
    assert found["splits"]["train"]["samples"] + found["splits"]["test"]["samples"] == 60


def test_a_job_file_says_what_would_be_done(csv, tmp_path, capfd):
    job = '[data]\ntarget = "kind"\nfeatures = ["n", "colour"]\ntest = 0.25\n[model]\nhidden_layers = [4]\n'
    (tmp_path / "job.toml").write_text(job)
    text = shown(capfd, csv, tmp_path / "job.toml")
    assert "a network 3-4-2" in text
    assert "gap number 0 to 14.75 1 left out" in squeezed(text)
    assert "Guessed" not in text


def test_a_table_that_is_refused_is_told_all_the_same(csv, capfd):
    text = shown(capfd, csv, "--set", "data.target=gap")
    assert "gap number 0 to 14.75 1 the target" in squeezed(text)
    assert "dpnet would refuse to train on it: " in text
    assert "line 6, column 'gap': the target is missing" in text
    assert json.loads(shown(capfd, csv, "--set", "data.target=gap", "--json"))["refused"].count("the target is missing")


def test_columns_without_numbers_or_texts_are_told(tmp_path, capfd):
    pytest.importorskip("pyarrow")
    rows = [f"2020-01-{row + 1:02},{row},{'uv'[row % 2]}," if row else ",0,u," for row in range(9)]
    (tmp_path / "t.csv").write_text("\n".join(["day,n,kind,nothing", *rows, ""]))
    lines = squeezed(shown(capfd, tmp_path / "t.csv", "--set", "data.target=kind"))
    assert {"day dates - 1 left out", "nothing number - 9 left out"} <= set(lines)


def test_several_columns_can_be_the_labels(tmp_path, capfd):
    pytest.importorskip("pyarrow")
    (tmp_path / "t.csv").write_text("n,a,b\n" + "".join(f"{row},{row % 2},{row % 3 == 0:d}\n" for row in range(9)))
    arguments = [tmp_path / "t.csv", "--set", 'data.target=["a", "b"]', "--set"]
    lines = squeezed(shown(capfd, *arguments, "model.task=multilabel"))
    assert {"a number 0 to 1 0 a target", "label train test", "a 3 1", "b 2 1"} <= set(lines)
    lines = squeezed(shown(capfd, *arguments, "model.task=regression"))
    assert any(line.startswith("target 1 train 0 1 ") for line in lines)


def test_other_data_that_are_refused_are_an_error(tmp_path, capfd):
    np.savez(tmp_path / "d.npz", x_train=np.ones((3, 2)))
    assert run(["data", "info", str(tmp_path / "d.npz")]) == 1
    assert "(y_train) is missing" in capfd.readouterr().err
    assert run(["data", "info", str(tmp_path / "no.csv")]) == 1


def test_arrays_are_told_with_what_recurs(tmp_path, capfd):
    x = np.arange(400, dtype=np.float32).reshape(100, 4)
    x[:, 2] = 5
    test = np.array([x[7], x[8] + 0.5, x[7], x[0] * [-1, 1, 1, 1], x[0]], np.float64)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=np.arange(100) % 2, x_test=test, y_test=[0, 1, 1, 0, 7])
    arguments = [tmp_path / "d.npz", "--set", "data.unknown_labels=ignore"]
    text = shown(capfd, *arguments)
    assert "100 train and 5 test samples of 4 inputs, float32" in text
    assert "2 number all 5 0" in squeezed(text)
    assert "4 of 5 test samples have the inputs of training samples: their scores say nothing of" in text
    assert "1 test sample of classes without a training sample" in text
    found = json.loads(shown(capfd, *arguments, "--json"))
    assert (found["constant"], found["splits"]["test"]["again"], found["splits"]["test"]["unknown"]) == (["2"], 4, 1)
    assert run(["data", "convert", *map(str, arguments[:1]), str(tmp_path / "c"), *map(str, arguments[1:])]) == 0
    capfd.readouterr()
    again = json.loads(shown(capfd, tmp_path / "c", *arguments[1:], "--json"))
    assert {**again, "source": ""} == {**found, "source": ""}
    path = tmp_path / "c/test-inputs.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert run(["data", "info", *map(str, [tmp_path / "c", *arguments[1:]])]) == 1
    assert "test-inputs.npy is damaged in the rows 4 to 4" in capfd.readouterr().err


def test_numbers_to_learn_and_many_inputs_are_told_together(tmp_path, capfd):
    x = np.random.default_rng(0).standard_normal((50, 30))
    x[3, 4] = np.inf
    np.savez(tmp_path / "d.npz", x_train=x, y_train=x[:, :2] * [2, 3], x_test=x[:4], y_test=x[:4, :2])
    text = shown(capfd, tmp_path / "d.npz", "--set", "model.task=regression")
    assert "; 1 are NaN or infinite" in text
    assert "target 1  test" in text
    assert "a network 30-256-128-2" in text


def split(x):
    return make_split(x, np.zeros(len(x), np.int64), "x", "y")


def test_rows_of_the_same_hash_are_compared(monkeypatch):
    monkeypatch.setattr(rows, "_hashes", lambda found, dtype: found[:, 0].astype(np.uint64))
    train, test = split(np.array([[1, 1], [1, 2], [1, 2], [2, 1]])), split(np.array([[1, 2], [1, 3], [2, 1], [3, 3]]))
    assert count_again(test, look(test, "i8"), train, look(train, "i8")) == 2


def test_rows_that_are_held_out_are_the_ones_that_are_looked_at(tmp_path):
    x = np.arange(80.0).reshape(40, 2)
    x[20:] = x[:20]
    np.savez(tmp_path / "d.npz", x_train=x, y_train=np.arange(40) % 2)
    section = DataConfig(source=str(tmp_path / "d.npz"), test=0.25)
    info = info_of(Job(data=section), {}, LocalGroup())
    source = open_source(section.source, section)
    train = {row.tobytes() for row in source.train.block(0, 30)}
    assert info.splits["test"].again == sum(row.tobytes() in train for row in source.test.block(0, 10)) > 0
    assert info.columns[0].minimum == source.train.block(0, 30)[:, 0].min()


def test_a_job_of_arrays_that_cannot_be_opened_raises(tmp_path):
    with pytest.raises(DataError, match="was not found"):
        info_of(Job(data=DataConfig(source=str(tmp_path / "nothing"))), {}, LocalGroup())
