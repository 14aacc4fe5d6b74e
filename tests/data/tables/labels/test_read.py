"""Labels of several columns of a table, from the columns that data.target names to the predictions."""

import csv

import numpy as np
import pytest

from dpnet.checkpoint.format import read
from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.file import job_of
from dpnet.conversion.convert import convert
from dpnet.data.identity import differences
from dpnet.data.sources import open_source
from dpnet.errors import CheckpointError, DataError
from dpnet.inference.network import make_network
from dpnet.training.prepare import identify, open_data
from dpnet.training.run import train

pytest.importorskip("pyarrow")
GROUP = LocalGroup()
HEADER = "id,x,z,tag_b,price,tag_a"


def write(path, rows=40, header=HEADER, **columns):
    """A table whose tags follow from its inputs; `columns` gives other cells."""
    rng = np.random.default_rng(3)
    x, z = rng.standard_normal((2, rows)).round(3)
    cells = {"id": [f"r{row}" for row in range(rows)], "x": x, "z": z, "tag_b": (x > 0).astype(int), "price": 9 + 5 * z}
    cells |= {"tag_a": np.where(x + z > 1, "yes", "no"), **columns}
    lines = [",".join(map(str, row)) for row in zip(*cells.values(), strict=True)]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return str(path)


def opened(path, target, task="multilabel", **section):
    section = {"id": "id", "ignore": ("price",), **section}
    return open_source(path, DataConfig(target=target, **section), task=task)


def test_the_columns_are_the_labels_in_the_order_in_which_they_are_named(tmp_path):
    path = write(tmp_path / "t.csv")
    found = opened(path, ("tag_a", "tag_b"))
    assert found.train.classes.values.tolist() == ["tag_a", "tag_b"]
    assert found.train.labels.dtype == np.bool_
    x = found.train.inputs
    assert found.train.labels.tolist() == [[bool(a + b > 1), bool(a > 0)] for a, b in x]
    assert (found.features, found.outputs) == (2, 2)
    assert opened(path, ("tag_*",)).train.classes.values.tolist() == ["tag_b", "tag_a"]
    assert opened(path, (-1, 3)).train.classes.values.tolist() == ["tag_a", "tag_b"]
    assert opened(path, "tag_b", ignore=("price", "tag_a")).train.classes.values.tolist() == ["tag_b"]


@pytest.mark.parametrize(
    ("yes", "no"), [(1, 0), ("1.0", "0.0"), ("true", "false"), ("True", "FALSE"), ("Yes", "no"), ("y", "N"), ("t", "f")]
)
def test_a_label_may_be_written_in_many_ways(tmp_path, yes, no):
    said = [yes if row % 3 else no for row in range(40)]
    found = opened(write(tmp_path / "t.csv", tag_b=said), ("tag_b", "tag_a"))
    assert found.train.labels[:, 0].tolist() == [bool(row % 3) for row in range(40)]


def but(value, row=2):
    return [value if place == row else place % 2 for place in range(40)]


@pytest.mark.parametrize(
    ("columns", "target", "message"),
    [
        ({"tag_b": but(2)}, ["tag_a", "tag_b"], r"line 4, column 'tag_b': the label is 2; expected 0 or 1, true or"),
        ({"tag_b": but("maybe")}, ["tag_a", "tag_b"], r"line 4, column 'tag_b': the label is maybe; expected 0 or 1"),
        ({"tag_b": but("")}, ["tag_a", "tag_b"], r"line 4, column 'tag_b': the label is missing, as in 1 row of 40; .*"
         "Nothing is not taken for no"),
        ({"tag_b": but("2020-01-01", 0)[:1] * 40}, ["tag_a", "tag_b"], r"column 'tag_b'.*; expected 0 or 1"),
        ({}, ["tag_a", "tag_c"], r"no column 'tag_c' \(data\.target\); did you mean 'tag_[ab]'"),
        ({}, ["tag_a", "tag_?"], r"data\.target names column 'tag_a' twice"),
        ({}, ["tag_a", 9], r"data\.target is 9, but .* has 6 columns"),
        ({}, [], r"data\.target is an empty list; name columns of .*id, price, tag_a"),
        ({}, ["tag_a", "id"], r"data\.id and data\.target are both 'id'"),
        ({}, ["tag_a", "price"], r"data\.ignore has 'price', which is one of the targets"),
    ],
)  # fmt: skip
def test_what_is_no_label_is_refused_by_line_and_column(tmp_path, columns, target, message):
    with pytest.raises(DataError, match=message):
        opened(write(tmp_path / "t.csv", **columns), target)


def test_several_columns_are_no_labels_of_classes(tmp_path):
    path = write(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r'names 2 columns, .*one label .* model\.task = "multilabel", .*"regression"'):
        opened(path, ["tag_a", "price"], task="classification", ignore=())
    with pytest.raises(DataError, match=r"data\.categorical has 'tag_a', the target"):
        opened(path, "tag_a", categorical=("tag_a",))
    for task in ("multilabel", "regression", "classification"):
        with pytest.raises(DataError, match=r"data\.categorical has 'tag_b', one of the targets; several"):
            opened(path, ["tag_a", "tag_b"], categorical=("tag_b",), task=task)


def test_a_pattern_stands_in_a_list(tmp_path):
    message = r"has no column 'tag_\*' \(data\.target\); as a pattern it means tag_a, tag_b, and stands in a list: "
    with pytest.raises(DataError, match=message + r"data\.target = \[\"tag_\*\"\]"):
        opened(write(tmp_path / "t.csv"), "tag_*")


def test_several_numbers_are_the_targets_of_a_regression_in_their_own_units(tmp_path):
    path = write(tmp_path / "t.csv", tag_a=np.arange(40) * 1e6)
    found = opened(path, ["price", "tag_a"], task="regression", ignore=("tag_b",))
    assert found.train.labels.shape == (40, 2)
    np.testing.assert_array_equal(found.train.labels[:, 1], np.arange(40) * 1e6)
    with pytest.raises(DataError, match=r"line 5, column 'tag_a': the target is dear, a text"):
        opened(
            write(tmp_path / "u.csv", tag_a=but("dear", 3)), ["price", "tag_a"], task="regression", ignore=("tag_b",)
        )


def test_the_same_rows_are_held_out_of_a_table_as_of_arrays(tmp_path):
    table = opened(write(tmp_path / "t.csv"), ["tag_b", "tag_a"], test=0.2, validation=0.25)
    whole = opened(write(tmp_path / "t.csv"), ["tag_b", "tag_a"]).train
    np.savez(tmp_path / "d.npz", x_train=whole.inputs, y_train=whole.labels)
    arrays = open_source(str(tmp_path / "d.npz"), DataConfig(test=0.2, validation=0.25), task="multilabel")
    assert [len(part) for part in table.splits.values()] == [24, 8, 8]
    for name, part in table.splits.items():
        other = arrays.splits[name]
        np.testing.assert_array_equal(part.inputs, other.block(0, len(other)))
        np.testing.assert_array_equal(part.labels, other.labels)


def job(folder, source, **settings):
    given = {"model.hidden_layers": [8], "train.epochs": 3, "train.threads": 1, "output.progress": "none"}
    given |= {"data.source": source, "data.id": "id", "data.test": 0.3, "output.dir": str(folder / "run")}
    return job_of({**given, **settings})


TRAINED = {
    "multilabel": ({"data.target": ["tag_b", "tag_a"], "data.ignore": ["price"]}, ["label_tag_b", "label_tag_a",
                   "p_tag_b", "p_tag_a"]),
    "regression": ({"data.target": ["price", "tag_b"], "data.ignore": ["tag_a"]}, ["prediction_price",
                   "prediction_tag_b"]),
}  # fmt: skip


@pytest.mark.parametrize("task", TRAINED)
def test_predictions_have_the_names_of_the_columns_and_need_no_labels(tmp_path, capsys, task):
    settings, names = TRAINED[task]
    path = write(tmp_path / "t.csv")
    summary = train(job(tmp_path, path, **settings, **{"model.task": task}), GROUP)
    run, other = str(tmp_path / "run"), write(tmp_path / "o.csv", rows=9)
    bare = tmp_path / "b.csv"
    bare.write_text("\n".join(",".join(line.split(",")[:3]) for line in (tmp_path / "o.csv").read_text().splitlines()))
    files = []
    for source in (other, str(bare)):
        assert dpnet(["predict", run, "--data", source, "--out", str(tmp_path / "p.csv")]) == 0
        files.append((tmp_path / "p.csv").read_text())
    assert files[0] == files[1]
    header, *rows = csv.reader(files[0].splitlines())
    assert header == ["id", *names]
    assert [row[0] for row in rows] == [f"r{row}" for row in range(9)]
    assert dpnet(["evaluate", run, "--data", other]) == 0
    assert dpnet(["inspect", run]) == 0
    text = capsys.readouterr().out
    assert ("labels       2: tag_b, tag_a\n" in text) == (task == "multilabel")
    assert summary["status"] == "finished"
    assert dpnet(["evaluate", run, "--data", str(bare)]) == 1
    assert f"b.csv, columns '{settings['data.target'][0]}', " in (error := capsys.readouterr().err)
    assert "are missing; give the label of each sample" in error
    (tmp_path / "half.csv").write_text((tmp_path / "o.csv").read_text().replace("tag_b", "tag_c"))
    assert dpnet(["evaluate", run, "--data", str(tmp_path / "half.csv")]) == 1
    assert "half.csv has no column 'tag_b' (data.target), and has others of the 2 that hold" in capsys.readouterr().err


def test_converted_data_keep_the_names_of_labels_in_their_order(tmp_path):
    settings = {**TRAINED["multilabel"][0], "model.task": "multilabel", "data.test": 0.3}
    found = job(tmp_path, write(tmp_path / "t.csv"), **settings)
    convert(found, str(tmp_path / "c"), GROUP)
    again = job(tmp_path, str(tmp_path / "c"), **{**settings, "model.task": "multilabel"})
    whole, kept = open_data(found, GROUP), open_data(again, GROUP)
    assert kept.train.classes == whole.train.classes
    assert identify(again.data, kept, GROUP, measure=False).identity == (
        identify(found.data, whole, GROUP, measure=False).identity
    )


def test_a_table_without_a_header_may_leave_out_the_labels_in_its_last_columns(tmp_path, capsys):
    cells = {"price": but(1), "tag_a": but(0, 3)}
    path = write(tmp_path / "t.csv", header="", id=np.arange(40) / 7, **cells)
    settings = {"data.target": [-1, -2], "data.header": False, "data.id": None, "model.task": "multilabel"}
    settings = {key: value for key, value in settings.items() if value is not None}
    found = job(tmp_path, path)
    given = {**settings, "data.source": path, "model.hidden_layers": [], "train.epochs": 1, "train.threads": 1}
    found = job_of({**given, "output.dir": str(tmp_path / "run"), "output.progress": "none", "data.test": 0.3})
    train(found, GROUP)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    for kept, code in ((6, 0), (4, 0), (5, 1), (3, 1)):
        (tmp_path / "o.csv").write_text("\n".join(",".join(line.split(",")[:kept]) for line in lines))
        arguments = ["--data", str(tmp_path / "o.csv"), "--out", str(tmp_path / "p.csv")]
        assert dpnet(["predict", str(tmp_path / "run"), *arguments]) == code
        said = capsys.readouterr().err
        assert not code or "Expected 6, or 4 without labels." in said
    assert (tmp_path / "p.csv").read_text().startswith("label_5,label_4,p_5,p_4\n")


def test_other_targets_are_told_as_what_they_are(tmp_path):
    path = write(tmp_path / "t.csv")
    known = []
    for target in (["tag_b", "tag_a"], ["tag_a", "tag_b"]):
        found = job(tmp_path, path, **{"data.target": target, "data.ignore": ["price"], "model.task": "multilabel"})
        known.append(identify(found.data, open_data(found, GROUP), GROUP, measure=False).identity)
    said = differences(*known)
    assert said[0] == "the targets are tag_a, tag_b; in the run they were tag_b, tag_a"
    assert said[1] == "the labels are tag_a, tag_b; in the run they were tag_b, tag_a"


def test_strange_names_of_labels_in_a_checkpoint_are_refused(tmp_path):
    settings, _ = TRAINED["multilabel"]
    settings = {**settings, "model.task": "multilabel", "train.epochs": 1}
    train(job(tmp_path, write(tmp_path / "t.csv"), **settings), GROUP)
    found = read(tmp_path / "run/checkpoints/latest")
    data = found.manifest["data"]
    assert data["labels"] == make_network(found).classes.values.tolist() == ["tag_b", "tag_a"]
    for labels in (["a", "a"], ["a"], ["a", 1], [2, 1], "ab"):
        data["labels"] = labels
        with pytest.raises(CheckpointError, match="the labels of the classes are"):
            make_network(found)
    data["labels"], data["schema"]["more_targets"] = ["b", "a"], [3]
    with pytest.raises(CheckpointError, match="the schema of the table is"):
        make_network(found)


def test_columns_of_which_each_row_has_one_are_classes_called_as_the_columns(tmp_path):
    kinds = np.arange(40) % 3
    columns = {"tag_b": (kinds == 0) * 1, "tag_a": np.where(kinds == 1, "yes", "no"), "price": (kinds == 2) * 1}
    path = write(tmp_path / "t.csv", **columns)
    found = opened(path, ("tag_b", "tag_a", "price"), "classification", ignore=(), test=0.2)
    assert found.train.classes.values.tolist() == ["price", "tag_a", "tag_b"]
    in_words = write(
        tmp_path / "u.csv", tag_a=np.array(["tag_b", "tag_a", "price"])[kinds], tag_b=[0] * 40, price=[0] * 40
    )
    words = opened(in_words, "tag_a", "classification", ignore=("tag_b", "price"), test=0.2)
    assert found.train.labels.tolist() == words.train.labels.tolist()
    assert found.test.labels.tolist() == words.test.labels.tolist()
    write(tmp_path / "two.csv", **{**columns, "price": (kinds > 0) * 1})
    with pytest.raises(DataError, match=r"two\.csv, line 3: of data\.target, 3 columns, .*, 2 say yes"):
        opened(str(tmp_path / "two.csv"), ("tag_b", "tag_a", "price"), "classification", ignore=())
