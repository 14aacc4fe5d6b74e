"""`dpnet init --data`: the job file for a table trains, and says what was found in it."""

from pathlib import Path

import numpy as np
import pytest

from dpnet.cli.main import run as dpnet
from dpnet.config.file import load
from dpnet.data.proposal.table import propose_table
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
        "  PassengerId  number, 1 to 120; names the rows (data.id), as it looks like identifiers",
        "  name         text, 120 different: such as person 0; left out, as it looks like free text or names",
        "  born         dates (date32[day]); left out, as it holds neither numbers nor text",
        "  age          number, 0 to 49, 12 values missing",
        "  number       number, 0 to 6",
        "  deck         text, 2 different: A, B",
        "  empty        number, 120 values missing; left out, as it holds no value",
    ):
        assert line in said.splitlines()
        assert f"# {line}" in Path("job.toml").read_text().splitlines()
    assert dpnet(["train", "job.toml", "--set", "train.epochs=1"]) == 0
    assert "87 training samples, 9 validation samples, 24 test samples" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["deck", 5, -3])
def test_the_target_can_be_said(target):
    proposal = propose_table("t.csv", "t.csv", {} if target is None else {"data.target": target})
    assert proposal.settings["data.target"] == "deck"
    assert proposal.lines[1] == "The target is deck."


def test_numbers_with_units_and_dates_as_text_are_left_out():
    lines = [f"{row} kg,{row % 28 + 1}.2.2020,{row % 3},{row % 2}" for row in range(20)]
    Path("u.csv").write_text("weight,day,size,y\n" + "\n".join(lines))
    proposal = propose_table("u.csv", "u.csv", {})
    assert proposal.settings["data.ignore"] == ["weight", "day"]
    assert proposal.lines[3].endswith("such as 0 kg; left out, as it holds numbers as text")
    assert proposal.lines[4].endswith("left out, as it holds dates or times as text")


def test_a_column_of_a_usual_name_is_the_target_wherever_it_stands():
    Path("u.csv").write_text("Label,a\n" + "x,1\ny,2\n" * 9)
    assert propose_table("u.csv", "u.csv", {}).settings["data.target"] == "Label"


def test_a_target_that_cannot_be_learnt_is_refused_and_nothing_is_written(capsys):
    Path("u.csv").write_text("a,day\n" + "".join(f"1,{row + 1}.2.2020\n" for row in range(9)))
    assert dpnet(["init", "--data", "u.csv"]) == 1
    assert "no column is left to learn from. The target is 'a'" in capsys.readouterr().err
    assert dpnet(["init", "--data", "u.csv", "--target", "day"]) == 1
    assert "in a column of dates or times" in capsys.readouterr().err
    assert not Path("job.toml").exists()
    with pytest.raises(DataError, match=r"no column 'pric' \(data.target\)"):
        propose_table("u.csv", "u.csv", {"data.target": "pric"})
    with pytest.raises(DataError, match=r"data.target is 7, but u\.csv has 2 columns"):
        propose_table("u.csv", "u.csv", {"data.target": 7})


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
    assert "Held out: 10% to validate with." in said
    assert load(Path("d.toml")) == load(None, ["data.validation=0.1"])
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


def proposed(columns):
    """What is proposed for a table of these columns, whose target is y."""
    names = [*columns, "y"]
    rows = zip(*columns.values(), ["a", "b"] * (ROWS // 2), strict=True)
    Path("u.csv").write_text("\n".join(",".join(map(str, row)) for row in (names, *rows)) + "\n")
    return propose_table("u.csv", "u.csv", {})


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("Unnamed: 0", range(ROWS), "only numbers the rows"),
        ("Unnamed: 0.1", [(7 * row) % ROWS for row in range(ROWS)], "only numbers the rows"),
        ("t", range(1, ROWS + 1), "only numbers the rows"),
        ("level_0", [f"{row}.0" for row in range(ROWS)], "only numbers the rows"),
        ("year", range(1900, 1900 + ROWS), ""),
        ("t", [row // 2 for row in range(ROWS)], ""),
    ],
)
def test_a_column_that_numbers_the_rows_is_no_input(name, values, said):
    proposal = proposed({name: values, "x": [row % 5 for row in range(ROWS)]})
    assert proposal.settings.get("data.ignore") == ([name] if said else None)
    assert "data.id" not in proposal.settings
    assert (f"left out, as it {said}" in proposal.lines[3]) is bool(said)


@pytest.mark.parametrize("form", ["A{}", "{}", "{} kg", "0{}"])
def test_one_of_the_identifiers_may_be_called_na(form):
    proposal = proposed({"id": ["NA", *(form.format(row) for row in range(1, ROWS))], "x": [1] * ROWS})
    assert proposal.settings["data.id"] == "id"
    assert not {"data.ignore", "data.missing"} & set(proposal.settings)


def test_why_no_input_is_left_is_said_of_each_column():
    with pytest.raises(
        DataError, match=r"no column is left.* 'y', and .*: 'id' looks like identifiers; 'review' looks l"
    ):
        proposed({"id": range(ROWS), "review": [f"text of {row} words" for row in range(ROWS)]})
    with pytest.raises(DataError, match=r"u\.csv has one column, 'y'; expected inputs"):
        proposed({})


def test_an_error_over_a_guessed_target_says_that_it_was_a_guess():
    Path("u.csv").write_text("kind,a,b\n" + "x,1,2\nz,3,\n" * 9)
    with pytest.raises(
        DataError, match=r"the label is missing[^\n]*\nThe target, column 'b', is a guess; .*--target kind,"
    ):
        propose_table("u.csv", "u.csv", {})
    with pytest.raises(DataError, match=r"the label is missing[^\n]*$"):
        propose_table("u.csv", "u.csv", {"data.target": "b"})


def test_a_guess_that_is_a_number_names_the_column_that_may_be_classes():
    Path("u.csv").write_text("".join(f"{1 + row // 60},{row * 0.37},{row * 13 % 70 / 9}\n" for row in range(180)))
    proposal = propose_table("u.csv", "u.csv", {})
    assert (
        "The target is 2 (a guess: if it is another column, such as 0: dpnet init --data u.csv --target 0)."
        in proposal.lines
    )


def test_settings_of_the_command_line_win_and_make_of_unclear_labels_what_they_are(capsys):
    rows = "".join(f"{row % 7},{('EU', 'NA', 'SA')[row % 3]}\n" for row in range(60))
    Path("na.csv").write_text("a,y\n" + rows)
    assert dpnet(["init", "--data", "na.csv"]) == 1
    assert 'data.categorical = ["y"]' in capsys.readouterr().err
    given = ["--set", 'data.categorical=["y"]', "--set", "data.test=0.5", "--set", "train.epochs=3"]
    assert dpnet(["init", "--data", "na.csv", *given]) == 0
    assert "It has 3 classes: EU, NA, SA; the rarest" in capsys.readouterr().out
    job = load(Path("job.toml"))
    assert (job.data.categorical, job.data.test, job.train.epochs) == (("y",), 0.5, 3)


def test_settings_of_the_command_line_stand_in_the_job_file_of_arrays_too(capsys):
    np.savez("a.npz", x_train=np.eye(90, 3), y_train=np.arange(90))
    assert dpnet(["init", "--data", "a.npz", "--set", "model.task=classification"]) == 0
    assert "90 classes" in capsys.readouterr().out
    assert load(Path("job.toml")).model.task == "classification"


def test_integers_that_a_network_cannot_tell_apart_are_left_out():
    rows = "".join(f"{2**56 + 2 * row},{row % 7},{'uv'[row % 2]}\n" for row in range(60))
    Path("u.csv").write_text("b,a,y\n" + rows)
    proposal = propose_table("u.csv", "u.csv", {})
    assert proposal.settings["data.ignore"] == ["b"]
    assert any("left out, as it holds integers beyond 2**53" in line for line in proposal.lines)


def of_text(text, **given):
    Path("p.csv").write_text(text)
    return propose_table("p.csv", "p.csv", {f"data.{key}": value for key, value in given.items()})


def labels(kinds):
    return "a,y\n" + "".join(f"{row % 7},{kind}\n" for row, kind in enumerate(kinds))


def test_the_rarest_class_is_counted_by_its_label_in_training_and_test_rows(capsys):
    found = of_text(labels(["a"] * 100 + ["b"] * 2 + ["c"] * 50))
    assert "It has 3 classes: a, b, c; the rarest, b, has 2 rows." in found.lines


def test_labels_that_only_test_rows_have_are_told():
    rows = [(row, "train" if row < 40 else "test", "zz" if row > 57 else "ab"[row % 2]) for row in range(60)]
    found = of_text("a,part,y\n" + "".join(f"{row % 7},{part},{label}\n" for row, part, label in rows))
    assert found.settings["data.split"] == "part"
    assert any("rarest" in line and "no row to train on has the label: zz." in line for line in found.lines)


def test_many_whole_numbers_may_be_numbers_and_fractions_may_be_classes():
    ages = of_text(labels(18 + row % 70 for row in range(2000)))
    assert any("It has 70 classes" in line and 'model.task = "regression"' in line for line in ages.lines)
    rates = of_text(labels((row % 4) / 2 for row in range(200)))
    assert rates.settings["model.task"] == "regression"
    assert any('for classes, leave that out, and data.categorical = ["y"].' in line for line in rates.lines)


@pytest.mark.parametrize("key", ["ignore", "id", "test"])
def test_a_column_of_parts_is_no_guess_where_the_user_says_what_it_is_or_what_is_tested_on(key):
    rows = "".join(f"{row % 7},{'train' if row % 3 else 'test'},{'uv'[row % 2]}\n" for row in range(60))
    given = {"ignore": ["part"], "id": "part", "test": 0.2}[key]
    found = of_text("a,part,y\n" + rows, **{key: given})
    assert "data.split" not in found.settings
    assert found.settings[f"data.{key}"] == given


def test_a_column_that_had_better_be_no_input_is_not_guessed_as_the_target():
    rows = "".join(f"{row % 7},{'uv'[row % 2]},note {row} on the wine,{row + 1}\n" for row in range(160))
    found = of_text("a,kind,note,row\n" + rows)
    assert (found.settings["data.target"], found.settings["data.id"]) == ("kind", "row")
    assert any(line.split()[0] == "row" and "names the rows (data.id), as it" in line for line in found.lines)


def test_a_target_that_is_a_guess_is_named_where_too_few_rows_can_be_held_out():
    rows = "".join(f"{row % 7},c{row}\n" for row in range(60))
    with pytest.raises(DataError, match=r"^data\.test is 0\.2: .*\nThe target, column 'zip', is a guess; if"):
        of_text("a,zip\n" + rows)
