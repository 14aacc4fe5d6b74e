"""What `dpnet init` proposes for several labels or numbers of a row."""

import numpy as np
import pytest

from dpnet.cli.main import run as dpnet
from dpnet.config.file import load

ROWS = "".join(f"{row / 7},{row % 5 * 1.5},{row % 2},{['no', 'yes'][row % 3 == 0]}\n" for row in range(40))


@pytest.fixture
def table(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("x,z,tag_a,tag_b\n" + ROWS)


@pytest.mark.parametrize(
    ("options", "target", "task", "said"),
    [
        (["tag_*"], ("tag_*",), "multilabel", "The targets are tag_a, tag_b.\nOf each label a row says yes or no: "),
        (["tag_b", "tag_a"], ("tag_b", "tag_a"), "multilabel", "40 rows with 0 to 2 of 2 labels, 0.85 on average; "),
        (["-1", "2"], (-1, 2), "multilabel", "The targets are tag_b, tag_a."),
        (['["tag_b", "tag_a"]'], ("tag_b", "tag_a"), "multilabel", "The targets are tag_b, tag_a."),
        (["x", "tag_a"], ("x", "tag_a"), "regression", "They hold numbers (40 targets of 2 numbers: "),
        (["tag_b"], "tag_b", "classification", "It has 2 classes: no, yes"),
        (["*_b"], "tag_b", "classification", "The target is tag_b."),
    ],
)
def test_columns_that_are_named_as_targets_say_the_task(table, capsys, options, target, task, said):
    options = [f"--target={option}" for option in options]
    assert dpnet(["init", "j.toml", "--data", "t.csv", *options]) == 0
    assert said in capsys.readouterr().out
    job = load("j.toml")
    assert (job.data.target, job.model.task) == (target, task)
    assert dpnet(["train", "j.toml", "--set", "train.steps=1"]) == 0


def test_classes_are_counted_as_those_of_the_rows_to_train_on(table, tmp_path, capsys):
    lines = [f"{row},{'ab'[row > 9]},train" for row in range(12)] + [f"{row},b,test" for row in range(8)]
    (tmp_path / "u.csv").write_text("\n".join(["x,y,part", *lines, "3,zz,test"]))
    assert dpnet(["init", "j.toml", "--data", "u.csv", "--target=y", "--set", "data.split=part"]) == 0
    said = capsys.readouterr().out
    assert "It has 2 classes: a, b; the rarest, b, has 10 rows. Of 1 row held out no row to train on has" in said
    assert 'the label: zz. data.unknown_labels = "ignore"' in said


def test_one_column_of_0_and_1_is_one_label_where_the_task_says_so(table, capsys):
    options = ["--target=tag_a", "--set", "model.task=multilabel", "--set", 'data.ignore=["tag_b"]']
    assert dpnet(["init", "j.toml", "--data", "t.csv", *options]) == 0
    assert "20 of 40 rows have the label tag_a" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--target=*"], ["--set", 'data.target=["x", "z", "tag_a", "tag_b"]']])
def test_targets_alone_leave_nothing_to_learn_from(table, capsys, option):
    assert dpnet(["init", "j.toml", "--data", "t.csv", *option]) == 1
    assert "t.csv has no column but the targets; expected inputs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (np.arange(80).reshape(40, 2) % 3 == 0, "multilabel"),
        (np.arange(80).reshape(40, 2) % 2, "classification"),
        (np.arange(40) % 2, "classification"),
        (np.arange(80).reshape(40, 2) % 3, "classification"),
    ],
    ids=["several labels", "one-hot", "two classes", "neither"],
)
def test_arrays_of_0_and_1_of_which_rows_do_not_sum_to_one_are_several_labels(
    tmp_path, monkeypatch, capsys, labels, task
):
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", x_train=np.arange(120.0).reshape(40, 3), y_train=labels)
    if labels.ndim > 1 and labels.max() > 1:
        assert dpnet(["init", "j.toml", "--data", "d.npz"]) == 1
        assert 'Several numbers as targets: model.task = "regression"' in " ".join(capsys.readouterr().err.split())
        return
    assert dpnet(["init", "j.toml", "--data", "d.npz"]) == 0
    assert ("40 of them with 0 to 1 of 2 labels" in capsys.readouterr().out) == (task == "multilabel")
    assert load("j.toml").model.task == task
