"""A table is trained on as arrays of the same numbers are, on any number of ranks, and other tables follow it."""

import json

import numpy as np
import pytest
from helpers.jobs import train
from helpers.mpirun import run_ranks

from dpnet.checkpoint import format as checkpoint
from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.compute.random import VALIDATION
from dpnet.config.data import DataConfig
from dpnet.data.hold_out import hold_out
from dpnet.data.sources import open_source
from dpnet.errors import CheckpointError, DataError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network, make_network

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

GROUP = LocalGroup()
SAVE = {".csv": csv.write_csv, ".parquet": parquet.write_table, ".feather": feather.write_feather}
SETTINGS = {"model.hidden_layers": [8], "train.epochs": 2, "train.global_batch_size": 16, "data.target": "kind"}


def columns(rows, *, first=0):
    """The columns of some flowers, and what they become: inputs, and names of classes."""
    generator = np.random.default_rng(first)
    x = generator.standard_normal((rows, 2))
    colours, kinds = (np.array(names)[np.arange(rows) % 3] for names in (["red", "blue", "red"], ["b", "a", "c, d"]))
    table = {"id": np.arange(first, first + rows), "x": x[:, 0], "colour": colours, "kind": kinds, "z": x[:, 1]}
    inputs = np.stack([x[:, 0], colours == "blue", colours == "red", x[:, 1]], axis=1).astype(np.float64)
    return table, inputs, kinds


def save(folder, ending):
    """Writes training and test data; returns the settings that train on them."""
    paths = [folder / f"{name}{ending}" for name in ("train", "test")]
    if ending == ".npz":
        arrays = {}
        for path, (_, inputs, kinds) in zip(paths, (columns(60), columns(21, first=60)), strict=True):
            arrays |= {f"x_{path.stem}": inputs, f"y_{path.stem}": kinds}
        np.savez(folder / "d.npz", **arrays)
        return {"data.source": str(folder / "d.npz"), "data.target": None}
    for path, (table, _, _) in zip(paths, (columns(60), columns(21, first=60)), strict=True):
        SAVE[ending](pa.table(table), str(path))
    return {"data.source": str(paths[0]), "data.test": str(paths[1]), "data.ignore": ["id"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of a training on each kind of file."""
    made = {}
    for ending in (*SAVE, ".npz"):
        folder = made[ending] = tmp_path_factory.mktemp(ending[1:])
        train(folder / "run", {**SETTINGS, **save(folder, ending)})
    return made


def digest(run):
    return checkpoint.digest(checkpoint.read(run / "checkpoints/latest").model)


def test_the_same_data_give_the_same_bits_from_every_kind_of_file(runs):
    assert len({digest(folder / "run") for folder in runs.values()}) == 1
    scores = set()
    for ending, folder in runs.items():
        data = folder / ("d.npz" if ending == ".npz" else f"test{ending}")
        scores.add(evaluate(load_network(str(folder / "run"), GROUP), str(data), GROUP))
    assert len(scores) == 1


def test_a_network_takes_tables_of_another_kind_with_their_columns_in_another_order(runs, tmp_path, capfd):
    table = columns(21, first=60)[0]
    csv.write_csv(pa.table(dict(reversed(table.items()))), str(tmp_path / "t.csv"))
    network = load_network(str(runs[".parquet"] / "run"), GROUP)
    assert evaluate(network, str(tmp_path / "t.csv"), GROUP) == evaluate(
        network, str(runs[".parquet"] / "test.parquet"), GROUP
    )
    assert capfd.readouterr().err == ""


def test_what_is_made_of_a_table_is_told(runs, tmp_path, capfd):
    settings = {**SETTINGS, "data.source": str(runs[".csv"] / "train.csv"), "data.ignore": ["id"]}
    arguments = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    assert dpnet(["train", *arguments, "--output", str(tmp_path / "run")]) == 0
    out = capfd.readouterr().out
    assert "note: 3 columns make 4 inputs: colour (2 categories)" in out
    assert "note: 3 classes stand for the labels: a, b, 'c, d'" in out


def test_a_share_of_the_rows_is_held_out_and_the_schema_is_that_of_the_others(runs, tmp_path, capfd):
    table = columns(60)[0]
    csv.write_csv(pa.table(table), str(tmp_path / "t.csv"))
    section = DataConfig(target="kind", ignore=("id",), test=0.3)
    source = open_source(str(tmp_path / "t.csv"), section)
    assert np.bincount(source.test.labels).tolist() == [6, 6, 6]
    everything = np.concatenate([source.train.inputs, source.test.inputs])
    assert sorted(everything.tolist()) == sorted(columns(60)[1].tolist())
    settings = {**SETTINGS, "data.source": str(tmp_path / "t.csv"), "data.test": 0.3, "data.ignore": ["id"]}
    train(tmp_path / "run", settings)
    assert checkpoint.read(tmp_path / "run/checkpoints/latest").manifest["progress"]["eval_samples"] == 18
    assert dpnet(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "t.csv")]) == 0
    assert "t.csv is the training data: the network was trained on 70% of these rows" in capfd.readouterr().err


@pytest.mark.parametrize("test", ["a file", 0.25])
def test_rows_to_validate_with_are_held_out_of_a_table_as_of_arrays(tmp_path, test):
    digests, arrays = [], {}
    for ending in (".csv", ".npz"):
        folder = tmp_path / ending[1:]
        folder.mkdir()
        settings = {**SETTINGS, **save(folder, ending), "data.validation": 0.2}
        if test != "a file":
            settings["data.test"] = test if ending == ".csv" else None
        if ending == ".npz" and arrays:
            np.savez(folder / "d.npz", **arrays)
        section = DataConfig(**{key[5:]: value for key, value in settings.items() if key.startswith("data.")})
        source = open_source(settings["data.source"], section)
        assert np.bincount(source.validation.labels).tolist() == [4 if test == "a file" else 3] * 3
        if ending == ".csv" and test != "a file":  # As arrays these are the rows that are not tested with.
            whole = open_source(settings["data.source"], DataConfig(target="kind", ignore=("id",), test=test))
            for name, split in whole.splits.items():
                arrays |= {f"x_{name}": split.inputs, f"y_{name}": split.classes.values[split.labels]}
        train(folder / "run", settings)
        digests.append(digest(folder / "run"))
    assert digests[0] == digests[1]


def test_a_table_to_validate_with_follows_the_schema_of_the_training_data(runs, tmp_path):
    settings = {**SETTINGS, "data.source": str(runs[".csv"] / "train.csv"), "data.ignore": ["id"]}
    summary = train(tmp_path / "run", {**settings, "data.validation": str(runs[".parquet"] / "test.parquet")})
    assert (summary["eval_split"], summary["test_loss"]) == ("validation", None)
    scores = evaluate(load_network(str(tmp_path / "run"), GROUP, last=True), str(runs[".csv"] / "test.csv"), GROUP)
    assert (summary["eval_loss"], summary["eval_accuracy"]) == (scores.loss, scores.accuracy)
    with pytest.raises(DataError, match=r"data\.validation is v\.npz: there is no such file\."):
        open_source(settings["data.source"], DataConfig(target="kind", validation="v.npz"))


@pytest.mark.parametrize(("test", "left"), [(None, 80), (0.5, 40)])
def test_that_rows_to_validate_with_are_among_those_of_the_table_is_told(runs, tmp_path, capfd, test, left):
    source = str(runs[".csv"] / "train.csv")
    train(tmp_path / "run", {**SETTINGS, "data.source": source, "data.test": test, "data.validation": 0.2})
    assert dpnet(["evaluate", str(tmp_path / "run"), "--data", source]) == 0
    assert f"the network was trained on {left}% of these rows" in capfd.readouterr().err


def test_what_only_held_out_rows_have_is_no_category(tmp_path):
    labels = ["ab"[row % 2] for row in range(40)]
    held = hold_out(np.array(labels), 0.2, key="data.test", file="t")[0]
    lines = ["t,kind", *(f"{'rare' if row == held[0] else 'usual'},{label}" for row, label in enumerate(labels))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    source = open_source(str(tmp_path / "t.csv"), DataConfig(target="kind", test=0.2))
    assert source.schema.features[0].categories == ("usual",)
    assert source.test.remarks[0].endswith("and that counts as none: rare")
    seed = next(
        n
        for n in range(99)
        if held[0] in hold_out(np.array(labels), 0.2, key="", file="", seed=n, purpose=VALIDATION)[0]
    )
    found = open_source(str(tmp_path / "t.csv"), DataConfig(target="kind", validation=0.2), seed=seed)
    assert found.schema.features[0].categories == ("usual",)
    assert found.validation.remarks[0].endswith("and that counts as none: rare")


def test_an_error_names_the_line_of_the_file_though_rows_are_held_out(tmp_path):
    lines = ["x,kind", *(f"{row if row != 37 else 'inf'},{'ab'[row % 2]}" for row in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    for share in (0.2, 0.8):
        with pytest.raises(DataError, match=r"t\.csv, line 39, column 'x': the value is inf"):
            open_source(str(tmp_path / "t.csv"), DataConfig(target="kind", test=share))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, r"with the columns colour, id, kind, x, z; say which of them holds the labels: data.target = \"z\""),
        ({"target": "knd"}, r"has no column 'knd' \(data.target\); did you mean 'kind'\?"),
        ({"target": 5}, r"data.target is 5, but .*train.csv has 5 columns"),
        ({"target": "kind", "test": "/no/none.csv"}, r"data.test is /no/none.csv: there is no such file\.$"),
        ({"target": "kind", "test": "none.csv"}, r"none.csv: there is no such file\. A relative path begins in .*/"),
        ({"target": "kind", "test": "/dev/null"}, r"data.test is /dev/null, which is no table \(\.csv, .*; name one"),
        (
            {"target": "kind", "test": 0.001},
            r"data.test is 0.001: of the 60 rows of .*that is not one of any class",
        ),
        ({"target": "x"}, r"column 'x': the label is .*; expected whole numbers, .*model.task"),
    ],
)
def test_what_a_job_says_of_a_table_must_fit_it(runs, section, message):
    with pytest.raises(DataError, match=message):
        open_source(str(runs[".csv"] / "train.csv"), DataConfig(**section))


def test_the_target_is_a_place_too(runs):
    path = str(runs[".csv"] / "train.csv")
    by_name, first, last = (open_source(path, DataConfig(target=one, ignore=("id",))) for one in ("kind", 3, -2))
    assert by_name.schema == first.schema == last.schema
    assert by_name.schema.target == "kind"


def test_keys_of_tables_are_refused_for_other_data():
    with pytest.raises(DataError, match=r"data.id and data.ignore can be set only for a table .* digits is none"):
        open_source("digits", DataConfig(id="y", ignore=("x",)))


def test_a_network_that_was_trained_on_arrays_takes_no_table(runs):
    network = load_network(str(runs[".npz"] / "run"), GROUP)
    with pytest.raises(DataError, match=r"test.csv is a table, and the network was trained on arrays; give it arrays"):
        evaluate(network, str(runs[".csv"] / "test.csv"), GROUP)


def test_a_run_is_not_continued_with_other_columns_of_the_same_numbers(runs, tmp_path):
    folder = runs[".csv"]
    text = (folder / "train.csv").read_text().replace('"x"', '"width"')
    (tmp_path / "t.csv").write_text(text)
    settings = {**SETTINGS, "data.source": str(tmp_path / "t.csv"), "data.ignore": ["id"], "train.epochs": 3}
    with pytest.raises(CheckpointError, match=r"the columns are width, colour, z; in the run they were x, colour, z"):
        train(folder / "run", settings)


def test_a_checkpoint_with_a_schema_of_another_network_is_refused(runs):
    found = checkpoint.read(runs[".csv"] / "run/checkpoints/latest")
    found.manifest["data"]["schema"]["features"].pop()
    with pytest.raises(CheckpointError, match=r"cannot be used: the columns of the table make 3 inputs; .* has 4"):
        make_network(found)


@pytest.mark.ranks
def test_a_table_is_trained_on_alike_on_three_ranks(runs, tmp_path):
    folder, settings = runs[".csv"], {**SETTINGS, "train.reproducible_shards": 4}
    settings |= {"data.source": f"{folder}/train.csv", "data.test": f"{folder}/test.csv", "data.ignore": ["id"]}
    train(tmp_path / "one", settings)
    arguments = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    result = run_ranks(3, ["-m", "dpnet", "train", *arguments, "--output", str(tmp_path / "three")])
    assert result.code == 0, result
    assert digest(tmp_path / "three") == digest(tmp_path / "one")
