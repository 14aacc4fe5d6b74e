"""What a training held out can be scored again: by share, by file, by column; exactly these samples, to the bit."""

import json

import numpy as np
import pytest
from helpers.jobs import train
from helpers.mpirun import run_ranks

from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.errors import DataError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network
from dpnet.inference.predict import predict
from dpnet.inference.samples import open_samples

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")

GROUP = LocalGroup()
ROWS = 90
PARTS = np.array(["train", "train", "val", "train", "test"])[np.arange(ROWS) % 5]
SETTINGS = {
    "model.hidden_layers": [6], "train.epochs": 2, "train.global_batch_size": 16, "evaluate.batch_size": 7,
    "data.target": "y", "evaluate.every_steps": None, "evaluate.every_epochs": 1,
}  # fmt: skip


def write(folder, *, names="whole", rows=ROWS):
    """A table, and arrays of the same numbers."""
    random = np.random.default_rng(rows)
    x, y, w = random.standard_normal((rows, 2)), np.arange(rows) * 7 // 5 % 3, random.integers(1, 4, rows)
    table = {"id": np.arange(rows), "a": x[:, 0], "b": x[:, 1], "y": y, "w": w}
    table["part"] = list(PARTS[:rows])
    csv.write_csv(pa.table(table), str(folder / f"{names}.csv"))
    np.savez(folder / f"{names}.npz", x_train=x, y_train=y, w_train=w)
    np.savez(folder / f"{names}-x.npz", x=x, y=y)
    return table


OF_TABLE = {"data.source": "whole.csv", "data.ignore": ["w", "part"], "data.id": "id"}
KINDS = {
    "shares of a table": {**OF_TABLE, "data.test": 0.2, "data.validation": 0.2},
    "a column": {**OF_TABLE, "data.ignore": ["w"], "data.split": "part"},
    "a column and a share": {
        **OF_TABLE, "data.source": "tests.csv", "data.split": "part", "data.ignore": ["w"], "data.validation": 0.3,
    },
    "weights": {**OF_TABLE, "data.weight": "w", "data.ignore": ["part"], "data.test": 0.2, "data.validation": 0.2},
    "files": {**OF_TABLE, "data.test": "test.csv", "data.validation": "validation.csv"},
    "shares of arrays": {"data.source": "whole.npz", "data.test": 0.2, "data.validation": 0.2},
    "files of arrays": {"data.source": "whole.npz", "data.test": "test-x.npz", "data.validation": 0.1},
    "numbers": {
        **OF_TABLE, "data.target": "a", "data.test": 0.2, "data.validation": 0.2, "model.task": "regression",
        "evaluate.metric": "r2",
    },
    "class weights": {**OF_TABLE, "data.class_weights": "balanced", "data.test": 0.2, "data.validation": 0.2},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    write(tmp_path, names="test", rows=21)
    write(tmp_path, names="validation", rows=24)
    table = write(tmp_path)
    table["part"] = list(np.where(PARTS == "val", "train", PARTS))
    csv.write_csv(pa.table(table), "tests.csv")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_held_out_has_the_scores_of_the_summary_to_the_bit(folder, kind):
    settings = {**SETTINGS, **KINDS[kind]}
    summary = train(folder / "run", settings)
    network = load_network("run", GROUP, last=True)
    samples = 0
    for source in (None, settings["data.source"], f"../{folder.name}/{settings['data.source']}"):
        validated, tested = (evaluate(network, source, GROUP, split=split) for split in ("validation", "test"))
        assert summary["eval_split"] == "validation"
        for name, value in validated.measures.items():
            assert summary[f"eval_{name}"] == value
        for name, value in tested.measures.items():
            assert summary[f"test_{name}"] == value
        samples = validated.samples + tested.samples
    trained = evaluate(network, None, GROUP, split="train")
    left = ROWS if "files" in kind else ROWS - samples
    assert trained.samples == (left - 9 if kind == "files of arrays" else left)
    assert evaluate(network, None, GROUP) == evaluate(network, None, GROUP, split="test")


def test_predictions_of_what_was_held_out_have_the_names_of_its_rows(folder, capfd):
    train(folder / "run", {**SETTINGS, **KINDS["a column"]})
    network = load_network("run", GROUP)
    made = predict(network, None, folder / "p.npy", GROUP, split="validation")
    assert made.samples == int((PARTS == "val").sum())
    assert np.load("p.npy")["id"].tolist() == [str(row) for row in np.flatnonzero(PARTS == "val")]
    assert (
        "note: the validation samples of the training: 18 of whole.csv (rows to validate with)\n"
        in capfd.readouterr().err
    )


def test_the_command_needs_no_data(folder, capsys):
    summary = train(folder / "run", {**SETTINGS, **KINDS["shares of a table"]})
    capsys.readouterr()
    assert dpnet(["evaluate", "run", "--last", "--json", "--split", "validation"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["loss"], found["accuracy"]) == (summary["eval_loss"], summary["eval_accuracy"])
    assert dpnet(["predict", "run", "--out", "p.csv"]) == 0
    assert capsys.readouterr().out == "18 predictions in p.csv\n"


def test_all_rows_are_taken_where_no_part_is_asked_for_and_the_parts_are_named(folder, capfd):
    train(folder / "run", {**SETTINGS, **KINDS["a column"]})
    assert evaluate(load_network("run", GROUP), "whole.csv", GROUP).samples == ROWS
    assert capfd.readouterr().err == (
        "note: whole.csv is the training data: the network was trained on a part of these rows, as column 'part' "
        "(data.split) says; --split=validation or --split=test takes what was held out\n"
    )


@pytest.mark.parametrize("kind", ["a column", "shares of arrays"])
def test_data_that_have_changed_since_are_not_scored_as_what_was_held_out(folder, kind):
    settings = {**SETTINGS, **KINDS[kind]}
    train(folder / "run", settings)
    network = load_network("run", GROUP)
    with np.load("whole.npz") as arrays:
        np.savez("whole.npz", **{**arrays, "x_train": arrays["x_train"] + 1})
    text = (folder / "whole.csv").read_text()
    (folder / "whole.csv").write_text(
        text.replace("test", "TEMP", 1).replace("val", "test", 1).replace("TEMP", "val", 1)
    )
    for source in (None, settings["data.source"]):
        with pytest.raises(
            DataError, match=r"^whole\..*: the data have changed since the training: the test features have"
        ):
            evaluate(network, source, GROUP, split="test")


def test_a_part_that_the_training_did_not_have_is_refused(folder):
    train(folder / "run", {**SETTINGS, **OF_TABLE, "data.validation": 0.2})
    network = load_network("run", GROUP)
    for split in (None, "test"):
        with pytest.raises(DataError, match=r"^the training had no test samples; --split=train or --split=validation"):
            evaluate(network, None, GROUP, split=split)


def test_a_row_that_is_not_finite_is_named_by_its_place_in_the_file(folder):
    settings = {**SETTINGS, **KINDS["shares of arrays"], "data.check": False}
    with np.load("whole.npz") as arrays:
        np.savez("whole.npz", **arrays)
    train(folder / "run", settings)
    network = load_network("run", GROUP)
    rows = open_samples(network, None, "test", GROUP, unknown=None).rows
    with np.load("whole.npz") as arrays:
        x = arrays["x_train"].copy()
        x[rows[4], 1] = 1e300
        np.savez("whole.npz", **{**arrays, "x_train": x})
    train(folder / "again", settings)
    with pytest.raises(DataError, match=rf"x_train\), row {rows[4]}, column 1 \(both from 0\): "):
        evaluate(load_network("again", GROUP), None, GROUP, split="test")
    skipped = evaluate(load_network("again", GROUP), None, GROUP, split="test", nonfinite="skip")
    assert skipped.left_out_rows == (rows[4],)


def test_another_table_with_the_column_has_parts_of_its_own(folder):
    train(folder / "run", {**SETTINGS, **KINDS["a column"]})
    network = load_network("run", GROUP)
    assert evaluate(network, "test.csv", GROUP).samples == 21
    assert evaluate(network, "test.csv", GROUP, split="test").samples == 4
    (folder / "t.csv").write_text("part,a,b,y\ntest,1,2,0\ndev,3,4,1\n")
    assert evaluate(network, "t.csv", GROUP, split="test").samples == 1
    with pytest.raises(
        DataError, match=r"'part' \(data\.split\) names no train rows; --split=validation or --split=test"
    ):
        evaluate(network, "t.csv", GROUP, split="train")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_scores_are_the_same_on_three_ranks(folder):
    summary = train(folder / "run", {**SETTINGS, **KINDS["a column and a share"], "train.threads": 1})
    result = run_ranks(3, ["-m", "dpnet", "evaluate", "run", "--last", "--split", "validation", "--json"])
    assert result.code == 0, result
    found = json.loads(next(line for line in result.output.splitlines() if line.startswith("{")))
    assert (found["loss"], found["accuracy"]) == (summary["eval_loss"], summary["eval_accuracy"])


def test_other_weights_of_what_was_held_out_are_other_data_whatever_classes_weigh(folder):
    settings = {
        **SETTINGS,
        **KINDS["a column"],
        "data.weight": "w",
        "data.ignore": [],
        "data.class_weights": "balanced",
    }
    summary = train(folder / "run", settings)
    network = load_network("run", GROUP, last=True)
    assert evaluate(network, None, GROUP, split="test").accuracy == summary["test_accuracy"]
    assert evaluate(network, None, GROUP, split="train").samples == int((PARTS == "train").sum())
    for part, changed in (("test", "test weights"), ("train", "training weights")):
        table = write(folder)
        table["w"][np.flatnonzero(part == PARTS)[0]] += 1
        csv.write_csv(pa.table(table), "whole.csv")
        with pytest.raises(DataError, match=rf"have changed since the training: the {changed} have other values"):
            evaluate(network, None, GROUP, split=part)


def test_a_table_without_the_column_has_no_parts_which_is_told(folder, capfd):
    train(folder / "run", {**SETTINGS, **KINDS["a column"]})
    table = write(folder, names="t")
    del table["part"]
    csv.write_csv(pa.table(table), "t.csv")
    assert evaluate(load_network("run", GROUP), "t.csv", GROUP, split="test").samples == ROWS
    assert "note: t.csv has no column 'part' (data.split): all its rows are taken\n" in capfd.readouterr().err
    train(folder / "other", {**SETTINGS, **OF_TABLE})
    assert evaluate(load_network("other", GROUP), "t.csv", GROUP, split="test").samples == ROWS
    assert "note: t.csv has no parts (--split=test): all its rows are taken\n" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["arrays", "a column"])
def test_another_row_to_train_on_is_no_other_test_data(folder, kind):
    """Though the numbers of the classes are others then."""
    rows = np.arange(30)
    x, y = rows[:, None] * 1.0, np.array(["b", "c", "d"])[rows % 3]
    part = np.where(rows < 20, "train", "test")

    def save(x, y, part):
        np.savez("n.npz", x_train=x[part == "train"], y_train=y[part == "train"], x_test=x[20:30], y_test=y[20:30])
        csv.write_csv(pa.table({"x": x[:, 0], "part": list(part), "y": y}), "n.csv")

    save(x, y, part)
    of = {"data.source": "n.npz"} if kind == "arrays" else {"data.source": "n.csv", "data.split": "part"}
    train(folder / "run", {**SETTINGS, **of})
    network = load_network("run", GROUP)
    expected = evaluate(network, None, GROUP)
    save(np.append(x, [[99.0]], axis=0), np.append(y, "a"), np.append(part, "train"))
    assert evaluate(network, None, GROUP) == expected
    with pytest.raises(DataError, match="the training features are float64"):
        evaluate(network, None, GROUP, split="train", unknown_labels="ignore")


def test_the_test_samples_of_arrays_are_those_that_were_held_out(folder):
    summary = train(folder / "run", {**SETTINGS, **KINDS["shares of arrays"]})
    network = load_network("run", GROUP, last=True)
    assert evaluate(network, "whole.npz", GROUP).loss == summary["test_loss"]


def test_samples_with_a_name_of_their_own_need_no_others(folder):
    random = np.random.default_rng(0)
    (folder / "npy").mkdir()
    for name in ("train", "test"):
        np.save(f"npy/x_{name}.npy", random.standard_normal((30, 2)))
        np.save(f"npy/y_{name}.npy", np.arange(30) % 2)
    summary = train(folder / "run", {**SETTINGS, "data.source": "npy", "data.target": None})
    (folder / "npy/x_train.npy").unlink()
    (folder / "npy/y_train.npy").unlink()
    assert evaluate(load_network("run", GROUP, last=True), None, GROUP).loss == summary["eval_loss"]


def test_a_copy_of_the_training_data_is_known_again(folder, capfd):
    train(folder / "run", {**SETTINGS, **KINDS["a column"]})
    (folder / "copy.csv").write_text((folder / "whole.csv").read_text())
    network = load_network("run", GROUP)
    for split, on in ((None, "a part of these rows, as column 'part' (data.split) says"), ("train", "these rows")):
        evaluate(network, "copy.csv", GROUP, split=split)
        told = f"note: copy.csv is the training data: the network was trained on {on}\n"
        assert capfd.readouterr().err == told
    evaluate(network, "copy.csv", GROUP, split="test")
    assert capfd.readouterr().err == ""


def test_a_row_of_a_part_of_a_table_is_named_by_its_place_in_the_file(folder):
    lines = ["x,part,y", *(f"{row},{'test' if row % 2 else 'train'},{'ab'[row // 2 % 2]}" for row in range(40))]
    (folder / "t.csv").write_text("\n".join(lines))
    settings = {**SETTINGS, "data.source": "t.csv", "data.split": "part"}
    train(folder / "run", settings)
    lines[14] = lines[14].replace("13,", "1e300,")
    (folder / "t.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"^t\.csv \(rows to test with\), row 13, column 0 \(both from 0\): "):
        train(folder / "again", settings)
    (folder / "t.csv").rename("other.csv")
    network = load_network("run", GROUP)
    assert evaluate(network, "other.csv", GROUP, split="test", nonfinite="skip").left_out_rows == (13,)
    made = predict(network, "other.csv", folder / "p.npy", GROUP, split="test", nonfinite="skip")
    assert made.nonfinite_rows == (13,)
    with pytest.raises(DataError, match=r"^other\.csv \(rows to test with\), row 13, column 0 \(both from 0\): "):
        evaluate(network, "other.csv", GROUP, split="test")
