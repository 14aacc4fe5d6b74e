"""Converted data as a source: the same samples as their own source gives, or a refusal that names the file or key."""

import dataclasses
import importlib.util
import json

import numpy as np
import pytest

import dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.config.model import ModelConfig
from dpnet.config.train import TrainConfig
from dpnet.conversion.convert import convert
from dpnet.data.converted.manifest import manifest_sum
from dpnet.data.converted.parse import read_manifest
from dpnet.data.converted.reader import array_sum
from dpnet.data.converted.source import with_keys
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError
from dpnet.training.prepare import identify, open_data

GROUP = LocalGroup()
tables = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
X = np.arange(120.0).reshape(40, 3)
ROWS = "".join(f"r{row},{row % 7},{'red' if row % 3 else 'blue'},{'cat' if row % 4 else 'dog'}\n" for row in range(40))


def job_of(source, task="classification", seed=0, **keys):
    data = DataConfig(source=str(source), **keys)
    return Job(data=data, model=ModelConfig(task=task), train=TrainConfig(seed=seed))


def converted(folder, source, **how):
    convert(job_of(source, **how), str(folder), GROUP)
    return folder


def identified(source, **how):
    job = job_of(source, **how)
    return identify(job.data, open_data(job, GROUP), GROUP, measure=True).identity


@pytest.fixture
def arrays(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=np.arange(40) % 2, x_test=X[:8], y_test=np.arange(8) % 2)
    return converted(tmp_path / "c", tmp_path / "d.npz")


@pytest.fixture
def csv(tmp_path):
    (tmp_path / "t.csv").write_text("id,n,colour,kind\n" + ROWS)
    return tmp_path / "t.csv"


KEYS = {"target": "kind", "id": "id", "test": 0.25}


@tables
def test_a_table_is_the_same_data_with_its_names_and_columns(csv, tmp_path):
    folder = converted(tmp_path / "c", csv, **KEYS)
    for keys in (KEYS, {}, {"target": "kind"}):
        assert identified(folder, **keys) == identified(csv, **KEYS)
    found, expected = open_source(str(folder)), open_source(str(csv), DataConfig(**KEYS))
    assert found.schema == expected.schema
    assert found.test.names.tolist() == expected.test.names.tolist()
    assert found.train.classes.values.tolist() == ["cat", "dog"]
    # Test data of its own may still be a table: the columns are known.
    folder = converted(tmp_path / "d", csv, target="kind", id="id")
    assert open_source(str(folder), DataConfig(test=str(csv))).test.names[39] == "r39"


@tables
def test_rows_are_not_held_out_where_they_entered_the_encoding(csv, tmp_path):
    folder = converted(tmp_path / "c", csv, target="kind", id="id")
    with pytest.raises(DataError, match=r"data\.test is 0\.25, and .*/c was converted without it: column 'colour' was"):
        open_source(str(folder), DataConfig(test=0.25))
    numbers = {"target": "kind", "features": ("n",)}
    folder = converted(tmp_path / "d", csv, **numbers)
    for shares in ({"test": 0.25}, {"test": 0.25, "validation": 0.2}):
        assert identified(folder, **shares, seed=3) == identified(csv, **numbers, **shares, seed=3)


def test_shares_are_held_out_later_as_of_the_source(arrays, tmp_path):
    expected = identified(tmp_path / "d.npz", validation=0.25, seed=5)
    assert identified(arrays, validation=0.25, seed=5) == expected
    assert identified(converted(tmp_path / "d", tmp_path / "d.npz", validation=0.25, seed=5)) == expected


def test_other_keys_than_those_of_the_conversion_are_refused(arrays, tmp_path):
    with pytest.raises(DataError, match=r"data\.test = 0\.3 is asked for, and .*/c was converted from a source th"):
        open_source(str(arrays), DataConfig(test=0.3))
    with pytest.raises(DataError, match=r"data\.missing = \"mean\" is asked for, and .*/c was converted without that"):
        open_source(str(arrays), DataConfig(missing="mean"))
    folder = converted(tmp_path / "v", tmp_path / "d.npz", validation=0.25)
    with pytest.raises(DataError, match=r"data\.validation = 0\.2 is asked for, .*/v was converted with"):
        open_source(str(folder), DataConfig(validation=0.2))
    with pytest.raises(DataError, match=r"is 0\.25 with train\.seed = 1, and .*/v was converted with train\.seed = 0"):
        open_source(str(folder), DataConfig(validation=0.25), seed=1)
    assert len(open_source(str(folder), seed=1).validation) == 10
    np.savez(tmp_path / "e.npz", x_train=X, y_train=np.arange(40) % 2)
    folder = converted(tmp_path / "e", tmp_path / "e.npz", validation=0.25)
    for keys in ({}, {"validation": 0.25}):
        with pytest.raises(DataError, match=r"data\.test is 0\.2, and .*/e was converted without it, with data\.valid"):
            open_source(str(folder), DataConfig(test=0.2, **keys))
    with pytest.raises(DataError, match=r'for model\.task = "classification", and the task here is regression; set'):
        open_source(str(arrays), task="regression")
    assert any(
        "data.target ('kind') means" in one for one in open_source(str(arrays), DataConfig(target="kind")).train.remarks
    )


def test_targets_and_weights_are_kept(tmp_path):
    y, w = X[:, :2] / 7, np.arange(40.0)
    np.savez(tmp_path / "d.npz", x_train=X, y_train=y, w_train=w)
    folder = converted(tmp_path / "c", tmp_path / "d.npz", task="regression")
    assert identified(folder, task="regression") == identified(tmp_path / "d.npz", task="regression")
    found = open_source(str(folder), task="regression").train
    assert (found.labels == y).all()
    assert (found.weights == w).all()
    means = [row[0] for row in json.loads((folder / "manifest.json").read_text())["splits"]["train"]["counts"]]
    assert means == pytest.approx(y.mean(axis=0))


def test_several_labels_of_a_sample_are_kept(tmp_path):
    y = X[:, :2] % 4 > 1
    np.savez(tmp_path / "d.npz", x_train=X, y_train=y, x_test=X[:4], y_test=y[:4].astype(float))
    folder = converted(tmp_path / "c", tmp_path / "d.npz", task="multilabel")
    assert identified(folder, task="multilabel") == identified(tmp_path / "d.npz", task="multilabel")
    assert (np.load(folder / "train-labels.npy") == y).all()
    edit(folder, lambda manifest: manifest["splits"]["train"]["classes"].update(number=3))
    with pytest.raises(DataError, match="it has 2 columns, and there are 3 labels"):
        open_source(str(folder), task="multilabel")


@tables
@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_several_columns_are_the_labels(tmp_path, task):
    lines = [f"{row},{row % 2},{row % 3 == 0:d}" for row in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["n,a,b", *lines, ""]))
    keys = {"target": ("a", "b"), "test": 0.25}
    folder = converted(tmp_path / "c", tmp_path / "t.csv", task=task, **keys)
    places = converted(tmp_path / "d", tmp_path / "t.csv", task=task, target=(1, -1), test=0.25)
    assert identified(places, task=task, target=(1, -1)) == identified(folder, task=task)
    for given in (keys, {}):
        assert identified(folder, task=task, **given) == identified(tmp_path / "t.csv", task=task, **keys)


def test_labels_of_test_data_that_training_lacks_are_told_as_of_the_source(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=np.arange(40) % 2, x_test=X[:8], y_test=np.arange(8) % 3)
    with pytest.raises(DataError, match="the label is 2"):
        converted(tmp_path / "c", tmp_path / "d.npz")
    folder = converted(tmp_path / "d", tmp_path / "d.npz", unknown_labels="ignore")
    with pytest.raises(DataError, match="the label is 2, and the training data"):
        open_source(str(folder))
    assert open_source(str(folder), DataConfig(unknown_labels="ignore")).test.labels.tolist() == [0, 1, -1] * 2 + [0, 1]


def test_class_weights_are_those_of_the_training(arrays, tmp_path):
    weights = {"0": 3.0}
    folder = converted(tmp_path / "w", tmp_path / "d.npz", class_weights=weights)
    assert open_source(str(folder)).train.weights is None
    assert open_source(str(folder), DataConfig(class_weights=weights)).train.weights[:2].tolist() == [3, 1]


def test_damaged_inputs_are_refused_by_their_rows_when_they_are_measured(arrays):
    path = arrays / "train-inputs.npy"
    data = bytearray(path.read_bytes())
    data[128 + 17 * 24] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"/train-inputs\.npy is damaged in the rows 17 to 17 \(from 0\): their sha256"):
        identified(arrays)
    with pytest.raises(DataError, match=r"/train-inputs\.npy is damaged in the rows 17 to 17 .* remove the folder and"):
        converted(arrays, arrays.with_name("d.npz"))
    with pytest.raises(DataError, match=r"/train-inputs\.npy is damaged in the rows 17 to 17"):
        identified(arrays, validation=0.25)
    path.unlink()
    with pytest.raises(DataError, match=r"/train-inputs\.npy is missing"):
        converted(arrays, arrays.with_name("d.npz"))


@pytest.mark.parametrize("call", [dpnet.evaluate, dpnet.predict])
def test_inputs_that_were_exchanged_are_refused_by_who_applies_a_network(tmp_path, call):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=np.arange(40) % 2, x_test=X[:8], y_test=np.arange(8) % 2)
    folder = converted(tmp_path / "c", tmp_path / "d.npz", validation=0.2)
    settings = [f"data.source={folder}", "train.epochs=1", f"output.dir={tmp_path}/run", "output.progress=none"]
    dpnet.train(dpnet.load_job(None, settings), GROUP)
    arguments = [dpnet.load_network(str(tmp_path / "run"), GROUP), str(folder)]
    arguments += [tmp_path / "p.csv"] if call is dpnet.predict else []
    call(*arguments, GROUP)
    (folder / "test-inputs.npy").rename(folder / "x")
    (folder / "validation-inputs.npy").rename(folder / "test-inputs.npy")
    (folder / "x").rename(folder / "validation-inputs.npy")
    with pytest.raises(DataError, match=r"/test-inputs\.npy is damaged in the rows 0 to 0 \(from 0\)"):
        call(*arguments, GROUP)


DAMAGED = [
    (lambda f: (f / "train-inputs.npy").unlink(), r"train-inputs\.npy is missing, one of the files of its manifest"),
    (lambda f: (f / "test-labels.npy").unlink(), r"test-labels\.npy is missing"),
    (lambda f: np.save(f / "train-labels.npy", np.arange(40) % 2 * 0), r"train-labels\.npy .* does not match its"),
    (
        lambda f: np.save(f / "train-labels.npy", np.arange(41) % 2),
        r"train-labels\.npy is not the file of",
    ),
    (lambda f: np.save(f / "train-inputs.npy", X.astype("f4")), r"it holds float32 of shape \(40, 3\), and not <f8"),
    (lambda f: np.save(f / "train-inputs.npy", X[:39]), r"train-inputs\.npy is not the file of its manifest"),
    (lambda f: (f / "train-inputs.npy").write_bytes(b"\x93NUMPY"), r"train-inputs\.npy"),
    (lambda f: (f / "manifest.json").unlink(), r"manifest\.json cannot be read: No such file"),
    (lambda f: (f / "manifest.json").write_text("{"), r"manifest\.json is not as dpnet writes it"),
    (lambda f: (f / "manifest.json").write_text('{"format": "other"}'), r"has the format 'other'; this dpnet reads"),
    (lambda f: edit(f, lambda m: m.update(task="x"), whole=False), r"damaged: its content does not match its own"),
    (lambda f: edit(f, lambda m: m.update(task="x")), r'was converted for model\.task = "x"'),
    (lambda f: edit(f, lambda m: m["splits"].pop("train")), r"not as dpnet writes it \(the splits are \['test'\]"),
    (lambda f: edit(f, lambda m: m["splits"]["train"]["classes"].update(number=1)), r"labels are 0 to 1, of 1 classes"),
    (
        lambda f: edit(f, lambda m: m["splits"]["train"]["classes"].update(number=10**9)),
        "there are 1000000000",
    ),
    (
        lambda f: edit(f, lambda m: m["splits"]["train"]["arrays"]["inputs"]["sha256"].pop()),
        r"its 40 rows have 39",
    ),
    (lambda f: edit(f, lambda m: m.update(schema={"features": []})), r"not as dpnet writes it \(the schema"),
    (lambda f: edit(f, lambda m: m["keys"].update(test=[None])), r"not as dpnet writes it"),
    (
        lambda f: edit(f, lambda m: m["source"]["files"].update(x=["1"])),
        r"not as dpnet writes it \(\['1'\] are no",
    ),
    (lambda f: (f / "train-statistics.npy").unlink(), r"train-statistics\.npy is missing"),
    (
        lambda f: np.save(f / "train-statistics.npy", np.ones((4, 3))),
        r"train-statistics\.npy .* does not match its sha",
    ),
]


def edit(folder, change, *, whole=True):
    """Change a manifest; its own sha256 follows, unless it is to be damaged."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    total = manifest.pop("manifest_sha256")
    change(manifest)
    path.write_text(json.dumps({**manifest, "manifest_sha256": manifest_sum(manifest) if whole else total}))


@pytest.mark.parametrize(("damage", "message"), DAMAGED)
def test_what_is_missing_or_damaged_or_does_not_fit_is_named(arrays, damage, message):
    damage(arrays)
    with pytest.raises(DataError, match=message):
        open_source(str(arrays))


@tables
@pytest.mark.parametrize("other", [np.arange(30), np.array([b"x"] * 30), np.array([["x"]] * 30)])
def test_names_of_samples_that_are_no_texts_are_refused_though_their_sha256_is_right(csv, tmp_path, other):
    folder = converted(tmp_path / "c", csv, **KEYS)
    np.save(folder / "train-ids.npy", other)
    manifest = json.loads((folder / "manifest.json").read_text())
    of_ids = manifest["splits"]["train"]["arrays"]["ids"]
    of_ids |= {"dtype": other.dtype.str, "shape": list(other.shape), "sha256": [array_sum(other)]}
    del manifest["manifest_sha256"]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "manifest_sha256": manifest_sum(manifest)}))
    with pytest.raises(
        DataError, match=r"train-ids\.npy is not the file of its manifest\.json: it holds .*, and no names"
    ):
        open_source(str(folder))


def test_a_split_is_taken_by_its_name(arrays):
    assert len(open_split(str(arrays), "train")) == 40
    assert len(open_split(str(arrays), "test", labelled=False)) == 8
    with pytest.raises(DataError, match="has no validation samples, only train and test samples; --split=train"):
        open_split(str(arrays), "validation")


@tables
def test_jobs_with_and_without_the_keys_of_the_conversion_are_one(csv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = converted(tmp_path / "c", csv, **KEYS, validation=0.2)
    job = [f"data.source={folder}", "train.epochs=2", "output.progress=none"]
    keys = ["data.target=kind", "data.id=id", "data.test=0.25", "data.validation=0.2"]
    runs = [dpnet.train(dpnet.load_job(None, [*job, *more]), GROUP)["run_dir"] for more in ([], keys, keys[:2])]
    assert runs == ["runs/c"] * 3
    assert dpnet.load_job("runs/c/config.toml").data.test == 0.25
    # Rows that another seed held out are those of the folder, and no share of the job.
    other = dpnet.train(dpnet.load_job(None, [*job, "train.seed=1"]), GROUP)
    assert other["run_dir"] == "runs/c-2"
    assert dpnet.load_job("runs/c-2/config.toml").data.validation is None


def test_keys_that_no_job_has_are_not_taken_from_a_manifest(arrays):
    edit(arrays, lambda manifest: manifest["keys"].update(missing="never", check=False))
    section = DataConfig(source=str(arrays))
    assert with_keys(section, 0) == section


@tables
def test_data_of_a_table_do_not_test_a_network_on_arrays(csv, arrays, tmp_path):
    folder = converted(tmp_path / "t", csv, target="kind", features=("n",))
    np.savez(tmp_path / "e.npz", x_train=X[:, :1], y_train=np.arange(40) % 2)
    for key in ("test", "validation"):
        with pytest.raises(
            DataError, match=rf"data\.{key} is .*/t, which was converted from a table, and data\.source"
        ):
            open_source(str(tmp_path / "e.npz"), DataConfig(**{key: str(folder)}))


@tables
def test_rows_of_the_table_that_was_converted_are_told(csv, tmp_path, capfd):
    folder = converted(tmp_path / "c", csv, **KEYS)
    settings = [f"data.source={folder}", "train.epochs=1", f"output.dir={tmp_path}/run", "output.progress=none"]
    dpnet.train(dpnet.load_job(None, settings), GROUP)
    network = dpnet.load_network(str(tmp_path / "run"), GROUP)
    told = f"note: {csv} was converted into {folder}, on which the network was trained; --split=test without --data"
    for split in ("test", None):
        dpnet.evaluate(network, str(csv), GROUP, split=split)
        assert told in capfd.readouterr().err
    assert dpnet.evaluate(network, None, GROUP, split="test").samples == 10
    assert "was converted into" not in capfd.readouterr().err


@tables
def test_a_network_of_other_columns_refuses_them(csv, arrays, tmp_path):
    folder = converted(tmp_path / "t", csv, **KEYS)
    schema = read_manifest(str(folder)).schema
    assert len(open_split(str(folder), "test", schema)) == 10
    with pytest.raises(DataError, match="was converted from a table, and the network was trained on arrays"):
        open_split(str(folder), "test")
    other = dataclasses.replace(schema, target="other")
    with pytest.raises(DataError, match="was trained on a table whose columns became other inputs"):
        open_split(str(folder), "test", other)
