"""Labels of tables: what is a class, what is told, and what is refused instead of made one by mistake."""

import re

import pytest

from dpnet.config.data import DataConfig
from dpnet.data.numbering import numbered_as
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def labels(tmp_path, *texts, **section):
    """The classes of a table with these labels, and what is said of it beside its columns and classes."""
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f'{row},"{text}"\n' for row, text in enumerate(texts)))
    train = open_source(str(path), DataConfig(target="y", **section)).train
    return train.classes.values.tolist(), train.remarks[1:]


@pytest.mark.parametrize("texts", [("01", "1"), ("1", "2", "+1")])
def test_codes_that_are_the_same_number_are_refused_and_kept_apart_where_the_target_is_named(tmp_path, texts):
    with pytest.raises(
        DataError, match=rf"column 'y': '.*{re.escape(texts[0])}.*' are the same label, .* keep them apart: data.c"
    ):
        labels(tmp_path, *texts)
    assert labels(tmp_path, *texts, categorical=("y",)) == (sorted(texts), ())


@pytest.mark.parametrize(
    ("texts", "classes", "told"),
    [
        (("1", "1.0", "2"), [1.0, 2.0], "'1' and '1.0' are the same label, 1; to keep them apart: data.categorical"),
        (("1", "1e0", "2"), [1.0, 2.0], "'1' and '1e0' are the same label, 1"),
        (("True", "true", "false"), [False, True], "'True' and 'true' are the same label, 1"),
        (("01", "02"), [1, 2], "labels such as '01' are taken as numbers, 1; as they stand: data.categorical = "),
        (("2", "11"), [2, 11], ""),
        (("9007199254740993", "9007199254740992"), [9007199254740992, 9007199254740993], ""),
        (("no", "01"), ["01", "no"], ""),
        (("0x10", "16"), ["0x10", "16"], ""),
    ],
)
def test_labels_that_are_not_taken_as_they_are_written_are_told(tmp_path, texts, classes, told):
    found, said = labels(tmp_path, *texts)
    assert found == classes
    assert len(said) == bool(told)
    assert told in "".join(said)


@pytest.mark.parametrize(
    "texts", [("<=50K", ">50K"), ("18-24", "65+"), ("1st", "2nd"), ("1 star", "2 stars"), ("Q1", "Q2"), ("7", "?!")]
)
def test_names_of_classes_may_have_digits(tmp_path, texts):
    assert labels(tmp_path, *texts)[0] == sorted(texts)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (("31.12.2020", "1.1.2021"), "dates or times"),
        (("5.2 kg", "7 kg"), "numbers"),
        (("1,5", "2,5"), "numbers"),
        ([f"{number} EUR" for number in range(30)], "numbers"),
        ([*map(str, range(30)), "n.a."], "numbers"),
    ],
)
def test_dates_and_numbers_with_units_are_no_classes_unless_the_target_is_named(tmp_path, texts, kind):
    with pytest.raises(
        DataError, match=rf"column 'y': the label is .*, in a column of {kind}. Targets .* model.task = .*. If "
    ):
        labels(tmp_path, *texts)
    assert labels(tmp_path, *texts, categorical=("y",))[0] == sorted(texts)


@pytest.mark.parametrize("texts", [("5 kg", "6 kg"), ("50%", "60%"), ("$10", "$5"), ("1,000", "2,000"), ("5", "6 kg")])
def test_a_few_numbers_with_units_are_names_of_classes_and_told(tmp_path, texts):
    shown = next(text for text in texts if not text.isdigit())
    found, said = labels(tmp_path, *texts)
    assert found == sorted(texts)
    assert len(said) == 1
    assert f"labels such as {shown!r} are names of classes, and no numbers; if that is meant: data.cat" in said[0]
    assert labels(tmp_path, *texts, categorical=("y",)) == (sorted(texts), ())


def test_digits_that_were_saved_as_text_are_classes(tmp_path):
    columns = {"x": list(range(60)), "y": [str(row % 30) for row in range(60)]}
    parquet.write_table(pa.table(columns), str(tmp_path / "t.parquet"))
    source = open_source(str(tmp_path / "t.parquet"), DataConfig(target="y"))
    assert source.train.classes.kind == "text"
    parquet.write_table(pa.table(columns | {"y": [row % 3 for row in range(60)]}), str(tmp_path / "t.parquet"))
    source = open_source(str(tmp_path / "t.parquet"), DataConfig(target="y", categorical=("y",)))
    assert source.train.classes.values.tolist() == ["0", "1", "2"]


def test_a_missing_label_is_refused_by_row(tmp_path):
    with pytest.raises(
        DataError, match=r"column 'y': the label is missing, as in 1 row of 2; take such rows out .*\.$"
    ):
        labels(tmp_path, "a", "")
    with pytest.raises(DataError, match=r"2 rows of 4; .* If None is a class: data.categorical = \["):
        labels(tmp_path, "a", "None", "b", "NA")
    assert labels(tmp_path, "a", "None", "b", "NA", categorical=("y",))[0] == ["NA", "None", "a", "b"]
    with pytest.raises(
        DataError, match=r"the label is missing, as in 1 row of 3; the others are numbers such as 2\.5\."
    ):
        labels(tmp_path, "1", "", "2.5")


def test_labels_that_float64_does_not_tell_apart_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"column 'y': the label is 9223372036854775808, and float64 does not tell"):
        labels(tmp_path, "9223372036854775809", "9223372036854775808")


@pytest.mark.parametrize(
    ("classes", "odd"),
    [((0, 1), "7"), ((0, 1), "unknown"), ((False, True), "maybe"), (("a", "b"), "7"), ((0.0, 1.0), "x")],
)
def test_one_odd_label_does_not_make_the_others_unknown(tmp_path, classes, odd):
    train, test = (tmp_path / f"{name}.csv" for name in ("train", "test"))
    train.write_text("x,y\n" + "".join(f"{row},{classes[row % 2]}\n" for row in range(20)))
    test.write_text(train.read_text() + f"1,{odd}\n")
    source = open_source(str(train), DataConfig(target="y"))
    other = open_split(str(test), schema=source.schema)
    seen = (
        rf"line 22, column 'y': the label is {odd}, and the network has the classes {source.train.classes.text()}\. 1"
    )
    with pytest.raises(DataError, match=seen):
        numbered_as(other, source.train.classes, of="the network", unknown="error")
    kept = numbered_as(other, source.train.classes, of="the network", unknown="ignore")
    assert kept.labels.tolist() == [*source.train.labels.tolist(), -1]
