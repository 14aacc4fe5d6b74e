"""`dpnet init --data`: the job file for a table trains, and says what was found in it."""

from pathlib import Path

import numpy as np
import pytest

from dpnet.cli.main import run as dpnet
from dpnet.config.file import load
from dpnet.data.tables.proposal import propose_table
from dpnet.errors import DataError

pytest.importorskip("pyarrow")
ROWS = 120
TABLE = {
    "PassengerId": np.arange(1, ROWS + 1).astype(str),
    "name": [f"person {row}" for row in range(ROWS)],
    "born": ["1990-01-31"] * ROWS,
    "age": ["" if row % 10 == 3 else str(row % 50) for row in range(ROWS)],
    "number": [str(row % 7) for row in range(ROWS)],  # Named like an identifier, but none.
    "deck": ["AB"[row % 2] for row in range(ROWS)],
    "empty": [""] * ROWS,
    "survived": ["yes" if row % 3 else "no" for row in range(ROWS)],
}


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [",".join(TABLE), *(",".join(row) for row in zip(*TABLE.values(), strict=True))]
    Path("t.csv").write_text("\n".join(lines) + "\n")


def test_the_job_file_of_a_table_trains_as_it_stands(capsys):
    assert dpnet(["init", "--data", "t.csv"]) == 0
    said = capsys.readouterr().out
    job = load(Path("job.toml"))
    assert (job.data.source, job.data.target, job.data.test, job.data.missing) == ("t.csv", "survived", 0.2, "mean")
    assert (job.data.id, job.data.ignore) == ("PassengerId", ("name", "born", "empty"))
    for line in (
        "t.csv has 120 rows and 8 columns; 3 columns make 4 inputs: deck (2 categories).",
        "The target is survived (a guess: if it is another column, change data.target).",
        "It has 2 classes: no, yes; the rarest, no, has 40 rows.",
        "  PassengerId  number, 1 to 120; left out, as it looks like identifiers",
        "  name         text, 120 different: such as person 0; left out, as it looks like free text or names",
        "  born         date32[day]; left out, as it holds neither numbers nor text",
        "  age          number, 0 to 49, 12 values missing",
        "  number       number, 0 to 6",
        "  deck         text, 2 different: A, B",
        "  empty        number, 120 values missing; left out, as it holds no value",
    ):
        assert line in said.splitlines()
        assert f"# {line}" in Path("job.toml").read_text().splitlines()
    assert dpnet(["train", "job.toml", "--set", "train.epochs=1"]) == 0
    assert "96 training samples, 24 test samples" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["deck", 5, -3])
def test_the_target_can_be_said(target):
    proposal = propose_table("t.csv", "t.csv", target)
    assert proposal.settings["data.target"] == "deck"
    assert proposal.lines[1] == "The target is deck."


def test_numbers_with_units_and_dates_as_text_are_left_out():
    lines = [f"{row} kg,{row % 28 + 1}.2.2020,{row % 3},{row % 2}" for row in range(20)]
    Path("u.csv").write_text("weight,day,size,y\n" + "\n".join(lines))
    proposal = propose_table("u.csv", "u.csv", None)
    assert proposal.settings["data.ignore"] == ["weight", "day"]
    assert proposal.lines[3].endswith("such as 0 kg; left out, as it holds numbers as text")
    assert proposal.lines[4].endswith("left out, as it holds dates or times as text")


def test_a_column_of_a_usual_name_is_the_target_wherever_it_stands():
    Path("u.csv").write_text("Label,a\n" + "x,1\ny,2\n" * 9)
    assert propose_table("u.csv", "u.csv", None).settings["data.target"] == "Label"


def test_a_target_that_cannot_be_learnt_is_refused_and_nothing_is_written(capsys):
    Path("u.csv").write_text("a,day\n" + "".join(f"1,{row + 1}.2.2020\n" for row in range(9)))
    assert dpnet(["init", "--data", "u.csv"]) == 1
    assert "in a column of dates or times" in capsys.readouterr().err
    assert not Path("job.toml").exists()
    with pytest.raises(DataError, match=r"no column 'pric' \(--target\)"):
        propose_table("u.csv", "u.csv", "pric")
    with pytest.raises(DataError, match=r"--target is 7, but u\.csv has 2 columns"):
        propose_table("u.csv", "u.csv", 7)


@pytest.mark.parametrize(
    ("target", "is_regression"),
    [
        (lambda row: row + 0.5, True),
        (lambda row: 100 + row, True),  # Whole numbers that two rows share, as in scikit-learn's diabetes.
        (lambda row: row % 10, False),
        (lambda row: row % 10 / 2, True),
        (lambda row: f"c{row % 30}", False),
    ],
)
def test_a_target_of_many_numbers_proposes_a_regression(capsys, target, is_regression):
    Path("u.csv").write_text("a,price\n" + "".join(f"{row}.25,{target(row // 2)}\n" for row in range(120)))
    assert dpnet(["init", "r.toml", "--data", "u.csv"]) == 0
    said, job = capsys.readouterr().out, load(Path("r.toml"))
    assert ("It holds numbers (120 targets, " in said) == is_regression
    assert job.model.task == ("regression" if is_regression else "classification")
    np.savez("u.npz", x_train=np.zeros((60, 2)), y_train=np.array([target(row) for row in range(60)]))
    assert dpnet(["init", "s.toml", "--data", "u.npz"]) == 0
    assert load(Path("s.toml")).model.task == job.model.task


def test_other_data_are_looked_at_too(capsys):
    assert dpnet(["init", "d.toml", "--data", "digits"]) == 0
    said = capsys.readouterr().out
    seen = "digits has 1,437 training samples of 64 numbers, 360 test samples; 10 classes, 0, 1, 2, 3, 4, ..., 9."
    assert seen in said
    assert load(Path("d.toml")) == load(None)
    assert dpnet(["init", "e.toml", "--data", "digits", "--target", "x"]) == 2
    assert "--target is x, but digits is no table" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "header", "rows"), [([], False, 60), (["--header", "true"], True, 59)])
def test_whether_there_is_a_header_is_guessed_told_and_can_be_said(capsys, arguments, header, rows):
    Path("u.csv").write_text("5.1,x,a\n4.9,y,b\n" * 30)
    assert dpnet(["init", "--data", "u.csv", *arguments]) == 0
    said = capsys.readouterr().out
    assert load(Path("job.toml")).data.header is header
    assert f"u.csv has {rows} rows and 3 columns" in said
    assert ("The first line is taken for a sample" in said) is ("dpnet init --header true" in said) is not header


@pytest.mark.parametrize("option", [["--target", "x"], ["--header", "true"]])
def test_what_is_said_of_a_table_needs_one(capsys, option):
    assert dpnet(["init", *option]) == 2
    assert "--target and --header are of a table; name it: --data FILE" in capsys.readouterr().err
    assert not Path("job.toml").exists()
