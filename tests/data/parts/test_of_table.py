"""The column data.split says which rows of a table are trained on, which validate and which test."""

import json

import numpy as np
import pytest
from helpers.jobs import train
from helpers.mpirun import run_ranks

from dpnet.checkpoint import format as checkpoint
from dpnet.config.data import DataConfig
from dpnet.data.proposal.table import propose_table
from dpnet.data.sources import open_source
from dpnet.errors import CheckpointError, DataError

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

SAVE = {".csv": csv.write_csv, ".parquet": parquet.write_table, ".feather": feather.write_feather}
ROWS = 60
PARTS = np.array(["train", "train", "dev", "train", "test", "train"])[np.arange(ROWS) % 6]
X = np.random.default_rng(5).standard_normal((ROWS, 2))
Y = np.array(["b", "a", "c"])[np.arange(ROWS) * 7 // 6 % 3]
SETTINGS = {"model.hidden_layers": [6], "train.epochs": 2, "train.global_batch_size": 16}
OF_TABLE = {"data.target": "y", "data.split": "part"}


def write(path, parts=PARTS):
    SAVE[path.suffix](pa.table({"x0": X[:, 0], "part": list(parts), "x1": X[:, 1], "y": Y}), str(path))
    return str(path)


def opened(path, parts=PARTS, **settings):
    return open_source(write(path, parts), DataConfig(target="y", split="part", **settings))


def save_arrays(path, *names):
    rows = {"train": PARTS == "train", "validation": PARTS == "dev", "test": PARTS == "test"}
    kept = {name: rows[name] for name in names}
    np.savez(
        path, **{f"x_{name}": X[of] for name, of in kept.items()}, **{f"y_{name}": Y[of] for name, of in kept.items()}
    )
    return str(path)


def test_the_rows_are_those_of_their_words_and_the_column_is_no_input(tmp_path):
    found = opened(tmp_path / "t.csv")
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 40, "validation": 10, "test": 10}
    for name, word in (("train", "train"), ("validation", "dev"), ("test", "test")):
        assert found.splits[name].inputs.tolist() == X[word == PARTS].tolist()
        assert found.train.classes.values[found.splits[name].labels].tolist() == Y[word == PARTS].tolist()


@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("TRAINING", " Valid ", "Testing"), ("train", "validation", "test")]
)
def test_the_words_have_their_usual_spellings(tmp_path, words):
    parts = np.array(words)[np.arange(ROWS) % 3]
    found = opened(tmp_path / "t.parquet", parts)
    assert [len(split) for split in found.splits.values()] == [20, 20, 20]


def test_a_column_of_categories_says_it_too(tmp_path):
    table = pa.table({"x": X[:, 0], "y": Y, "part": pa.array(PARTS).dictionary_encode()})
    parquet.write_table(table, str(tmp_path / "t.parquet"))
    found = open_source(str(tmp_path / "t.parquet"), DataConfig(target="y", split="part"))
    assert [len(split) for split in found.splits.values()] == [40, 10, 10]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            ["train", "test", "holdout", "train", "fold, 2", "holdout"],
            r"^.*t\.csv, line 4, column 'part' \(data\.split\): the part is holdout; 30 rows of 60 have such a word "
            r"\('fold, 2' and holdout\); expected train, validation or test \(also training, ",
        ),
        (
            ["train", "test", "", "train", "NA", "train"],
            r"^.*t\.csv, line 4, column 'part' \(data\.split\): the part is missing, as in 20 rows of 60; expected",
        ),
        (
            ["test", "val"],
            r"^.*t\.csv, column 'part' \(data\.split\): no row is trained on; there are 30 rows to validate with and "
            r"30 rows to test with\.$",
        ),
        (
            ["0", "1"],
            r"integers \(int64\); expected train, .* in every row\. Numbers of folds do not say it: write a column",
        ),
        (
            ["True", "False"],
            r"column 'part' \(data\.split\) holds true and false \(bool\); expected train, .* every row\.$",
        ),
    ],
)
def test_what_does_not_say_it_of_every_row_is_refused_by_line(tmp_path, parts, message):
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "t.csv", np.array(parts)[np.arange(ROWS) % len(parts)])


def test_a_class_that_no_row_to_train_on_has_is_refused_and_one_missing_elsewhere_is_told(tmp_path):
    parts = np.where(Y == "c", "test", PARTS)
    with pytest.raises(DataError, match=r"t\.csv, line \d+, column 'y': the label is c, and the training data"):
        opened(tmp_path / "t.csv", parts)
    found = opened(tmp_path / "t.csv", parts, unknown_labels="ignore")
    assert len(found.test.known) == int(((parts == "test") & (Y != "c")).sum())


def test_what_the_column_does_not_name_is_a_share_of_the_rows_to_train_on(tmp_path):
    parts = np.where(PARTS == "dev", "train", PARTS)
    settings = {**SETTINGS, "data.validation": 0.2}
    train(tmp_path / "table", {**settings, **OF_TABLE, "data.source": write(tmp_path / "t.csv", parts)})
    rows = {"train": parts == "train", "test": parts == "test"}
    arrays = {f"{array}_{name}": all_rows[of] for name, of in rows.items() for array, all_rows in (("x", X), ("y", Y))}
    np.savez(tmp_path / "t.npz", **arrays)
    train(tmp_path / "arrays", {**settings, "data.source": str(tmp_path / "t.npz")})
    assert digest(tmp_path / "table") == digest(tmp_path / "arrays")


@pytest.mark.parametrize("key", ["validation", "test"])
@pytest.mark.parametrize("value", [0.1, "other.csv"])
def test_rows_that_two_keys_name_are_refused(tmp_path, key, value):
    with pytest.raises(
        DataError, match=rf"^data\.{key} is {value}, but column 'part' \(data\.split\) of .* has {key} rows"
    ):
        opened(tmp_path / "t.csv", **{key: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "prat"}, r"has no column 'prat' \(data\.split\); did you mean 'part'\?"),
        ({"split": "y"}, r"data\.split and data\.target are both 'y'"),
        ({"split": "part", "id": "part"}, r"data\.split and data\.id are both 'part'"),
        ({"split": "part", "weight": "part"}, r"data\.split and data\.weight are both 'part'"),
        (
            {"split": "part", "features": ("part", "x0")},
            r"data\.features has 'part', which is what says which rows are",
        ),
    ],
)
def test_the_column_is_nothing_else(tmp_path, settings, message):
    with pytest.raises(DataError, match=message):
        open_source(write(tmp_path / "t.csv"), DataConfig(target="y", **settings))


def test_arrays_have_parts_of_their_own_in_its_place_or_it_is_refused(tmp_path):
    path = save_arrays(tmp_path / "d.npz", "train", "test")
    found = open_source(path, DataConfig(split="part"))
    assert found.train.remarks[-1].endswith("d.npz has validation or test samples of its own")
    with pytest.raises(DataError, match=r"^data\.split is part, a column of a table, and .*e\.npz has neither"):
        open_source(save_arrays(tmp_path / "e.npz", "train"), DataConfig(split="part"))


def test_another_word_in_one_row_is_other_data(tmp_path):
    settings = {**SETTINGS, **OF_TABLE, "data.source": write(tmp_path / "t.csv")}
    train(tmp_path / "run", settings)
    parts = PARTS.copy()
    parts[[0, 2]] = "dev", "train"
    write(tmp_path / "t.csv", parts)
    with pytest.raises(CheckpointError, match="the training features have other values than in the run"):
        train(tmp_path / "run", {**settings, "train.epochs": 3})


def test_init_finds_the_column(tmp_path):
    proposal = propose_table("t.csv", write(tmp_path / "t.csv"), {})
    assert proposal.settings == {"data.source": "t.csv", "data.target": "y", "data.split": "part"}
    assert any(line.split()[0] == "part" and "says which rows are trained on" in line for line in proposal.lines)
    last = pa.table({"x": X[:, 0], "kind": Y, "part": list(np.where(PARTS == "test", "dev", PARTS))})
    csv.write_csv(last, str(tmp_path / "last.csv"))
    assert propose_table("t", str(tmp_path / "last.csv"), {}).settings == {
        "data.source": "t", "data.target": "kind", "data.split": "part", "data.test": 0.2,
    }  # fmt: skip


def digest(run):
    return checkpoint.digest(checkpoint.read(run / "checkpoints/latest").model)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_column_gives_the_bits_of_arrays_in_these_parts_on_any_number_of_ranks_and_through_resume(tmp_path):
    settings = {**SETTINGS, "train.reproducible_shards": 3, "checkpoint.every_steps": 1}
    arrays = save_arrays(tmp_path / "d.npz", "train", "validation", "test")
    expected = train(tmp_path / "arrays", {**settings, "data.source": arrays})
    for ending in SAVE:
        path = write(tmp_path / f"t{ending}")
        summary = train(tmp_path / ending[1:], {**settings, **OF_TABLE, "data.source": path})
        assert {**summary, "run_dir": "", "seconds": 0, "samples_per_s": 0} == {
            **expected, "run_dir": "", "seconds": 0, "samples_per_s": 0
        }  # fmt: skip
    job = {**settings, **OF_TABLE, "data.source": str(tmp_path / "t.csv"), "output.progress": "none"}
    options = [f"--set={key}={json.dumps(value)}" for key, value in job.items()]
    run = tmp_path / "ranks"
    for ranks, epochs in ((3, 1), (2, 2)):
        assert (
            run_ranks(
                ranks, ["-m", "dpnet", "train", *options, f"--set=train.epochs={epochs}", "--output", str(run)]
            ).code
            == 0
        )
    assert digest(run) == expected["digest"]


def test_a_file_to_test_with_that_has_the_column_gives_its_test_rows(tmp_path):
    path = write(tmp_path / "t.csv", np.where(PARTS == "test", "train", PARTS))
    other = write(tmp_path / "other.csv")
    found = open_source(path, DataConfig(target="y", split="part", test=other))
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 50, "validation": 10, "test": 10}
    csv.write_csv(pa.table({"x0": X[:, 0], "x1": X[:, 1], "y": Y}), str(tmp_path / "plain.csv"))
    found = open_source(path, DataConfig(target="y", split="part", test=str(tmp_path / "plain.csv")))
    assert (len(found.test), found.test.remarks) == (ROWS, ())


@pytest.mark.parametrize(
    ("odd", "task", "message"),
    [
        (
            "unknown,test,a",
            "classification",
            r"t\.csv, line 12, column 'x': the value is 'unknown', in a column of num",
        ),
        ("3,test,oops", "regression", r"t\.csv, line 12, column 'y': the target is oops, a text"),
    ],
)
def test_a_text_among_numbers_is_named_though_its_row_is_held_out(tmp_path, odd, task, message):
    labels = "ab" if task == "classification" else "12"
    lines = ["x,part,y", *(f"{row},train,{labels[row % 2]}" for row in range(10)), odd, f"4,test,{labels[0]}"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        open_source(str(tmp_path / "t.csv"), DataConfig(target="y", split="part"), task=task)


def test_held_out_rows_whose_categories_are_all_written_otherwise_are_refused(tmp_path):
    lines = ["c,part,y", *(f"{'xy'[row % 2]},train,{row % 2}" for row in range(20)), *["X,test,1"] * 12]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"column 'c': of 12 texts none is a category of the training data: here 'X'"):
        open_source(str(tmp_path / "t.csv"), DataConfig(target="y", split="part"))


def test_init_counts_the_rows_of_all_parts_by_their_labels(tmp_path):
    lines = [
        "x,part,y",
        *(f"{row},train,{'a' if row < 10 else 'b'}" for row in range(12)),
        *["1,test,b"] * 8,
        "2,test,c",
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    text = "\n".join(propose_table("t.csv", str(tmp_path / "t.csv"), {}).lines)
    assert (
        "It has 2 classes: a, b; the rarest, b, has 10 rows. Of 1 row held out no row to train on has the label: c"
        in text
    )
    lines = ["x,y", *(f"{row * 1.5},{'a' if row < 100 else 'b' if row < 102 else 'c'}" for row in range(152))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert "the rarest, b, has 2 rows" in "\n".join(propose_table("t.csv", str(tmp_path / "t.csv"), {}).lines)


@pytest.mark.parametrize(
    ("given", "split"),
    [({"data.ignore": ["part"]}, None), ({"data.id": "part"}, None), ({"data.test": 0.2}, None), ({}, "part")],
)
def test_init_leaves_the_column_to_what_is_said_of_it(tmp_path, given, split):
    settings = propose_table("t.csv", write(tmp_path / "t.csv"), given).settings
    assert settings.get("data.split") == split
    assert "part" in (settings.get("data.ignore") or [settings.get("data.id") or split])
