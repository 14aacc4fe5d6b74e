"""Frequent texts become categories; all others of their column share the input `unknown`."""

import json

import numpy as np
import pytest
from helpers.jobs import train

from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.file import job_of
from dpnet.conversion.convert import convert
from dpnet.data.memory.given import in_memory
from dpnet.data.sources import open_source
from dpnet.data.tables.schema import Feature, Schema, recorded_schema
from dpnet.errors import CheckpointError, ConfigError, DataError
from dpnet.inference.network import load_network
from dpnet.inference.predict import predict

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

GROUP = LocalGroup()
SETTINGS = {"data.target": "kind", "model.hidden_layers": [4], "train.epochs": 1, "train.global_batch_size": 16}
CITIES = ["Ulm", "Bonn", "Kiel", "Bonn", "Jena", "Kiel", "Bonn", "Ulm"]


def table(path, cities, **others):
    """A table of cities, and of labels of two classes."""
    rows = [f"{city},{number % 2}" for number, city in enumerate(cities)]
    path.write_text("\n".join(["city,kind", *rows, ""]))
    return str(path)


def opened(source, min_frequency=1, **section):
    return open_source(source, DataConfig(target="kind", min_frequency=min_frequency, **section))


def inputs(split):
    return split.block(0, len(split)).tolist()


def test_rarer_texts_share_an_input_behind_the_categories(tmp_path):
    found = opened(table(tmp_path / "t.csv", CITIES), 2)
    assert found.schema.features == (Feature("city", ("Bonn", "Kiel", "Ulm"), unknown=True),)
    one_of = {"Bonn": [1, 0, 0, 0], "Kiel": [0, 1, 0, 0], "Ulm": [0, 0, 1, 0], "Jena": [0, 0, 0, 1]}
    assert inputs(found.train) == [one_of[city] for city in CITIES]
    assert found.schema.text() == "1 column makes 4 inputs: city (3 categories and unknown)"
    assert any(
        one.endswith("1 row with a text in column 'city' that is no category of its own, and counts as unknown: Jena")
        for one in found.train.remarks
    )


@pytest.mark.parametrize(("least", "kept"), [(1, 4), (2, 3), (3, 1)])
def test_as_many_rows_as_the_key_says_are_enough(tmp_path, least, kept):
    (feature,) = opened(table(tmp_path / "t.csv", CITIES), least).schema.features
    assert (len(feature.categories), feature.unknown) == (kept, kept < 4)


def test_texts_that_mean_the_same_category_are_counted_together(tmp_path):
    (tmp_path / "t.csv").write_text("code,kind\ntrue,0\nTrue,1\n1,0\n1.0,1\n2,0\n")
    found = opened(str(tmp_path / "t.csv"), 2, categorical=("code",))
    assert found.schema.features == (Feature("code", ("1", "true"), unknown=True),)


def test_where_all_texts_are_frequent_others_count_as_none(tmp_path):
    other = table(tmp_path / "other.csv", ["Bonn", "Rome", "Ulm", "Rome"])
    found = opened(table(tmp_path / "t.csv", CITIES * 2), 2, test=other)
    assert inputs(found.test) == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert "that the training data do not have, and that counts as none: Rome" in found.test.remarks[0]


def test_a_missing_text_is_no_unknown_one(tmp_path):
    source = table(tmp_path / "t.csv", ["Bonn", "", "Bonn", "Jena", "NA"])
    assert inputs(opened(source, 2, missing="mean").train) == [[1, 0], [0, 0], [1, 0], [0, 1], [0, 0]]
    found = opened(source, 2, missing="indicator")
    assert inputs(found.train) == [[1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    with pytest.raises(DataError, match="line 3, column 'city': the value is missing"):
        opened(source, 2)


def test_only_rows_that_are_trained_on_are_counted(tmp_path):
    rows = ["Bonn,0,train", "Bonn,1,train", "Kiel,0,train", "Kiel,1,test", "Rome,1,test", "Bonn,0,test"]
    (tmp_path / "t.csv").write_text("\n".join(["city,kind,part", *rows, ""]))
    found = opened(str(tmp_path / "t.csv"), 2, split="part")
    assert (inputs(found.train), inputs(found.test)) == ([[1, 0], [1, 0], [0, 1]], [[0, 1], [0, 1], [1, 0]])
    assert "2 rows with a text in column 'city' that is no category of its own" in found.test.remarks[0]


def many(frequent, rows_of_each, rare):
    """Texts of which some are in so many rows each, and the others in one."""
    return [f"city {row % frequent}" for row in range(frequent * rows_of_each)] + [f"name {row}" for row in range(rare)]


def test_a_column_of_thousands_of_texts_passes_if_some_are_frequent(tmp_path):
    found = opened(table(tmp_path / "t.csv", many(60, 50, 4940)), 50)
    assert (found.schema.width, len(found.train)) == (61, 7940)
    assert found.schema.features[0].unknown


@pytest.mark.parametrize(
    ("texts", "least", "message"),
    [
        (
            many(1, 0, 150),
            2,
            r"holds 150 different texts, such as 'name 0', 0 of them in 2 rows or more \(data\.min_fr",
        ),
        # What people write where there is no name does not make categories of the names.
        (
            many(1, 9, 150),
            5,
            r"holds 151 different texts, .*, 1 of them in 5 rows or more .*, which look like free text",
        ),
        (many(101, 3, 9), 2, r"holds 110 different texts, .*, 101 of them in 2 rows or more .*data\.categorical = \["),
        (many(60, 5, 90), 1, r"holds 150 .*, or keep the 60 frequent ones as categories: data\.min_frequency = 2\."),
        (
            CITIES,
            4,
            r"no text is in 4 rows or more \(data\.min_frequency\); the most frequent one, 'Bonn', is in 3\. Set",
        ),
    ],
)
def test_free_text_and_texts_that_are_all_rare_are_refused(tmp_path, texts, least, message):
    with pytest.raises(DataError, match=rf"t\.csv, column 'city'.*{message}"):
        opened(table(tmp_path / "t.csv", texts), least)


def test_a_column_that_is_named_needs_one_frequent_text(tmp_path):
    found = opened(table(tmp_path / "t.csv", many(1, 9, 150)), 5, categorical=("city",))
    assert found.schema.features == (Feature("city", ("city 0",), unknown=True),)
    with pytest.raises(DataError, match=r"no text is in 5 rows or more"):
        opened(table(tmp_path / "t.csv", many(1, 0, 150)), 5, categorical=("city",))


def test_a_checkpoint_records_the_input_only_where_it_is():
    plain, more = (Schema("y", False, (Feature("a", ("b", "c"), unknown=unknown),)) for unknown in (False, True))
    assert plain.record()["features"] == [{"name": "a", "categories": ["b", "c"], "fill": None, "indicator": False}]
    assert more.record()["features"][0]["unknown"] is True
    assert (recorded_schema(plain.record(), 2), recorded_schema(more.record(), 3)) == (plain, more)
    for change in ({"unknown": 1}, {"unknown": None}, {"unknown": "yes"}, {"categories": None}):
        damaged = more.record()
        damaged["features"][0] |= change
        with pytest.raises(ValueError, match=r"of the table is .*not as dpnet writes it"):
            recorded_schema(damaged, 2 if "categories" in change else 3)
    with pytest.raises(ValueError, match="make 3 inputs; the network has 2"):
        recorded_schema(more.record(), 2)


@pytest.fixture
def run(tmp_path):
    """A training on cities, one of them rare."""
    source = table(tmp_path / "t.csv", CITIES * 3)
    train(tmp_path / "run", {**SETTINGS, "data.source": source, "data.min_frequency": 6})
    return tmp_path / "run"


def test_a_network_is_applied_to_texts_that_it_does_not_know(run, tmp_path, capfd):
    network = load_network(str(run), GROUP)

    def answer(cities):
        source = table(tmp_path / "new.csv", cities)
        predict(network, source, tmp_path / "p.npy", GROUP)
        return np.load(tmp_path / "p.npy")["probabilities"].tolist()

    rare, new, known = answer(["Jena", "Rome", "Bonn"])
    assert rare == new != known
    text = "2 rows with a text in column 'city' that is no category of its own, and counts as unknown: Jena, Rome"
    assert text in capfd.readouterr().err
    assert answer(["Rome"]) == [new]  # A few rows may well be unknown.
    assert answer(["Rome", "Jena"] * 10) == [new] * 20
    with pytest.raises(DataError, match=r"the text is no category of the training data: here 'bonn'; there 'Bonn'"):
        answer(["bonn"])
    assert dpnet(["evaluate", str(run), "--data", table(tmp_path / "new.csv", CITIES)]) == 0
    assert "counts as unknown: Jena" in capfd.readouterr().err


def test_a_training_that_begins_with_a_network_has_its_inputs(run, tmp_path):
    new = table(tmp_path / "new.csv", ["Rome", "Jena", "Bonn", "Ulm"])
    given = {**SETTINGS, "data.source": new, "model.pretrained": str(run)}
    train(tmp_path / "tuned", given)
    manifest = json.loads((tmp_path / "tuned/checkpoints/latest/manifest.json").read_text())
    feature = {"name": "city", "categories": ["Bonn", "Kiel", "Ulm"], "fill": None, "indicator": False, "unknown": True}
    assert manifest["data"]["schema"]["features"] == [feature]
    train(tmp_path / "same", {**given, "data.min_frequency": 6})
    with pytest.raises(CheckpointError, match=r"data\.min_frequency is 2, there it is 6\n(?s:.*)=6"):
        train(tmp_path / "other", {**given, "data.min_frequency": 2})


def test_the_same_table_in_other_formats_and_in_memory_gives_the_same_digest(tmp_path):
    cities = CITIES * 4
    columns = {"city": cities, "kind": [number % 2 for number in range(len(cities))]}
    csv, arrow = table(tmp_path / "t.csv", cities), pa.table(columns)
    parquet.write_table(arrow, tmp_path / "t.parquet")
    (tmp_path / "folder").mkdir()
    for number in range(2):
        parquet.write_table(arrow.slice(16 * number, 16), tmp_path / f"folder/{number}.parquet")
    settings = {**SETTINGS, "data.min_frequency": 4, "data.test": 0.25, "data.validation": 0.25}
    convert(job_of({**settings, "data.source": csv}), str(tmp_path / "converted"), GROUP)
    found = [
        train(tmp_path / f"run-{place}", {**settings, "data.source": str(tmp_path / name)})
        for place, name in enumerate(("t.csv", "t.parquet", "folder", "converted"))
    ]
    assert len({(one["digest"], one["test_loss"], one["best_loss"]) for one in found}) == 1
    manifest = json.loads((tmp_path / "run-0/checkpoints/latest/manifest.json").read_text())
    assert manifest["data"]["schema"]["features"][0]["unknown"] is True
    memory = in_memory(arrow, ["kind"], "weight")
    section = DataConfig(source="<memory>", target="kind", min_frequency=6)
    held = open_source("<memory>", section, memory=memory)
    assert inputs(held.train) == inputs(opened(csv, 6).train)


def test_converted_data_were_converted_with_the_key(tmp_path, capfd):
    source = table(tmp_path / "t.csv", ["unknown", *CITIES, "unknown", "Ulm", "Kiel", "Bonn"])
    job = {"data.source": source, "data.target": "kind", "data.min_frequency": 2}
    convert(job_of(job), str(tmp_path / "c"), GROUP)
    with pytest.raises(DataError, match=r"data\.min_frequency = 3.*was converted with data\.min_frequency = 2"):
        open_source(str(tmp_path / "c"), DataConfig(min_frequency=3))
    assert open_source(str(tmp_path / "c"), DataConfig(min_frequency=2)).schema.width == 5
    convert(job_of({"data.source": source, "data.target": "kind"}), str(tmp_path / "plain"), GROUP)
    with pytest.raises(DataError, match=r"data\.min_frequency = 2.*without that key"):
        open_source(str(tmp_path / "plain"), DataConfig(min_frequency=2))
    capfd.readouterr()
    assert dpnet(["data", "info", str(tmp_path / "c"), "--json"]) == 0
    names = [column["name"] for column in json.loads(capfd.readouterr().out)["columns"]]
    # A category may be called as the input of the others would be.
    assert names == ["city = Bonn", "city = Kiel", "city = Ulm", "city = unknown", "city = (unknown)"]


def test_only_tables_have_the_key(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=np.ones((4, 2)), y_train=[0, 1, 0, 1])
    with pytest.raises(DataError, match=r"data\.min_frequency can be set only for a table"):
        open_source(str(tmp_path / "d.npz"), DataConfig(min_frequency=2))
    with pytest.raises(ConfigError, match=r"data\.min_frequency is 0; it must be at least 1"):
        job_of({"data.min_frequency": 0})


def test_init_proposes_the_key_where_a_column_needs_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    texts = many(30, 10, 150)
    rows = [f"{text},{number % 7},{number % 2}" for number, text in enumerate(texts)]
    (tmp_path / "t.csv").write_text("\n".join(["city,n,kind", *rows, ""]))
    assert dpnet(["init", "--data", "t.csv"]) == 0
    why = (
        "left out, as it looks like free text or names (data.min_frequency = 2 would make it 30 categories and unknown)"
    )
    assert why in capsys.readouterr().out
    job = (tmp_path / "job.toml").read_text()
    assert why in job
    assert "\nmin_frequency = 1\n" in job
    assert dpnet(["init", "more.toml", "--data", "t.csv", "--set", "data.min_frequency=3"]) == 0
    assert "2 columns make 32 inputs: city (30 categories and unknown)" in capsys.readouterr().out
    assert dpnet(["train", "more.toml", "--set", "train.epochs=1"]) == 0
