"""One job file trains on the same data in every format, with the same bits on any number of ranks."""

import importlib
import json

import numpy as np
import pytest
from helpers.jobs import stopped_after, train
from helpers.mpirun import run_ranks

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.cli.main import run
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network

h5py = pytest.importorskip("h5py")
pa = pytest.importorskip("pyarrow")
sklearn = pytest.importorskip("sklearn.datasets")
csv, feather, parquet = (importlib.import_module(f"pyarrow.{name}") for name in ("csv", "feather", "parquet"))

GROUP = LocalGroup()
ROWS, FEATURES = 60, 5
# Eighths are the same numbers as text; the last column is 0 in most rows.
X = np.random.default_rng(0).integers(-40, 40, (ROWS, FEATURES)) / 8
X[np.arange(ROWS) % 4 > 0, -1] = 0
Y = np.array([7, -1, 3])[np.random.default_rng(1).integers(0, 3, ROWS)]
FORMATS = ["d.csv", "d.tsv", "d.parquet", "d.feather", "parts", "d.npz", "npy", "d.h5", "d.hdf5", "d.svm", "a9a.bz2"]
CONVERTED = {"converted.csv": "d.csv", "converted.parts": "parts", "converted.h5": "d.hdf5", "converted.svm": "d.svm"}
"""Folders of converted data, with what they are made of by the job itself."""
JOB = """
[data]
source = "SOURCE"
target = "kind"
test = 0.2
validation = 0.25

[model]
hidden_layers = [6]

[train]
epochs = 3
global_batch_size = 16
reproducible_shards = 6

[checkpoint]
every_steps = 2
keep_last = 20

[output]
progress = "none"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The data in every format."""
    path = tmp_path_factory.mktemp("formats")
    table = pa.table({**{f"x{column}": X[:, column] for column in range(FEATURES)}, "kind": Y})
    csv.write_csv(table, path / "d.csv")
    csv.write_csv(table, path / "d.tsv", csv.WriteOptions(delimiter="\t"))
    parquet.write_table(table, path / "d.parquet")
    feather.write_feather(table, path / "d.feather")
    for name in ("parts", "npy"):
        (path / name).mkdir()
    for number, (first, last) in enumerate([(0, 7), (7, 40), (40, ROWS)]):
        parquet.write_table(table.slice(first, last - first), path / f"parts/part-{number}.parquet")
    np.savez(path / "d.npz", x_train=X, y_train=Y)
    np.save(path / "npy/x_train.npy", X)
    np.save(path / "npy/y_train.npy", Y)
    with h5py.File(path / "d.h5", "w") as file:
        file["x_train"], file["y_train"] = X, Y
    with h5py.File(path / "d.hdf5", "w") as file:
        file.create_dataset("x_train", data=X, chunks=(7, 2), compression="gzip")
        file.create_dataset("y_train", data=Y, chunks=(9,))
    sklearn.dump_svmlight_file(X, Y, str(path / "d.svm"), zero_based=False)
    importlib.import_module("bz2").open(path / "a9a.bz2", "wb").close()
    with importlib.import_module("bz2").open(path / "a9a.bz2", "wb") as stream:
        sklearn.dump_svmlight_file(X, Y, stream, zero_based=True)
    for name, source in CONVERTED.items():
        (path / "convert.toml").write_text(JOB)
        assert run(["data", "convert", f"{path}/{source}", f"{path}/{name}", f"{path}/convert.toml"]) == 0
    return path


def digest(run):
    return checkpoint.digest(checkpoint.read(run / "checkpoints/latest").model)


@pytest.fixture(scope="module")
def job(folder):
    (folder / "job.toml").write_text(JOB)
    return str(folder / "job.toml")


PROGRAM = """
import sys
from dpnet.cli.main import run
_, job, folder, out, *names = sys.argv
for name in names:
    assert run(["train", job, "--set", f"data.source={folder}/{name}", "--output", f"{out}/{name}"]) == 0, name
"""


@pytest.fixture(scope="module")
def runs(folder, job, tmp_path_factory):
    """A training on each format, by one rank."""
    out = tmp_path_factory.mktemp("runs")
    for name in [*FORMATS, *CONVERTED]:
        assert run(["train", job, "--set", f"data.source={folder}/{name}", "--output", f"{out}/{name}"]) == 0
    return out


def test_one_job_file_trains_from_every_format_with_the_same_digest(runs):
    names = [*FORMATS, *CONVERTED]
    assert len({digest(runs / name) for name in names}) == 1
    scores = [json.loads((runs / name / "summary.json").read_text()) for name in names]
    assert len({(one["test_loss"], one["test_accuracy"], one["best_loss"]) for one in scores}) == 1


def test_numbers_are_learnt_from_every_format_with_the_same_digest(folder, job, tmp_path):
    summaries = []
    for name in ("d.csv", "parts", "d.npz", "d.hdf5", "d.svm"):
        settings = [f"data.source={folder}/{name}", f"output.dir={tmp_path}/{name}", "model.task=regression"]
        summaries.append(dpnet.train(dpnet.load_job(job, settings), GROUP))
    assert len({(one["digest"], one["test_r2"], one["test_mae"], one["best_loss"]) for one in summaries}) == 1
    assert summaries[0]["test_mae"] > 0.1  # The labels 7, -1 and 3, in their own units.


def test_every_format_is_evaluated_alike(runs, folder):
    by_table = load_network(str(runs / "d.csv"), GROUP)
    whole = evaluate(by_table, str(folder / "d.csv"), GROUP)
    for split in ("train", "validation", "test"):
        expected = evaluate(by_table, str(folder / "d.csv"), GROUP, split=split)
        assert expected.samples < whole.samples == ROWS
        for name in FORMATS:
            network = load_network(str(runs / name), GROUP)
            assert evaluate(network, str(folder / name), GROUP, split=split) == expected, name
    for name in FORMATS[:5]:
        assert evaluate(by_table, str(folder / name), GROUP) == whole, name


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_other_ranks_go_on_within_an_epoch_with_every_format_to_the_digest_of_one_rank(
    runs, folder, job, tmp_path, num_ranks
):
    names = [*FORMATS, *CONVERTED][num_ranks - 2 :: 2]
    for name in names:
        with stopped_after(2 * num_ranks - 1):
            dpnet.train(dpnet.load_job(job, [f"data.source={folder}/{name}", f"output.dir={tmp_path}/{name}"]), GROUP)
    (tmp_path / "train.py").write_text(PROGRAM)
    result = run_ranks(num_ranks, [str(tmp_path / "train.py"), job, str(folder), str(tmp_path), *names])
    assert result.code == 0, result
    assert {digest(tmp_path / name) for name in names} == {digest(runs / "d.csv")}


def opened(source, **keys):
    return open_source(str(source), DataConfig(**keys))


def same(found, expected):
    return found.block(0, len(found)).tobytes() == expected.block(0, len(expected)).tobytes() and np.array_equal(
        found.classes.values[found.labels], expected.classes.values[expected.labels]
    )


def test_a_column_that_a_job_names_is_told_where_there_is_none(folder):
    for name in ("d.npz", "d.h5", "d.svm", "npy"):
        remarks = opened(folder / name, target="kind").train.remarks
        assert any(
            f"data.target ('kind') means a column of a table; {folder}/{name} has labels" in one for one in remarks
        )


@pytest.mark.parametrize("name", ["d.npz", "npy", "d.h5", "d.svm"])
def test_test_data_can_be_a_share_or_a_file_of_any_array(folder, tmp_path, name):
    found = opened(folder / name, test=0.25)
    assert (len(found.train) + len(found.test), found.validation) == (ROWS, None)
    expected = opened(folder / "d.csv", target="kind", test=0.25)
    assert same(found.test, expected.test)
    assert same(found.train, expected.train)
    np.savez(tmp_path / "t.npz", x=X[:7], y=Y[:7])
    np.savez(tmp_path / "both.npz", x_train=X, y_train=Y, x_test=X[:7], y_test=Y[:7])
    for test in (tmp_path / "t.npz", tmp_path / "both.npz", folder / "d.h5"):
        if name == "d.svm" or test != folder / "d.h5":
            assert same(
                opened(folder / name, test=str(test)).test,
                open_split(str(test), "test" if test != folder / "d.h5" else "train"),
            )


@pytest.mark.parametrize("name", ["test", "validation"])
def test_samples_of_the_source_itself_and_a_key_contradict(tmp_path, name):
    np.savez(tmp_path / "t.npz", x=X[:9], y=Y[:9])
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x_train"], file["y_train"], file[f"x_{name}"], file[f"y_{name}"] = X, Y, X[:7], Y[:7]
    for value in (str(tmp_path / "t.npz"), 0.2):
        with pytest.raises(DataError, match=rf"but data\.source has {name} samples of its own, .*d\.h5 \(x_{name}\); "):
            opened(tmp_path / "d.h5", **{name: value})
    assert len(opened(tmp_path / "d.h5").splits[name]) == 7


def test_indices_of_test_data_follow_the_training_data(folder, tmp_path):
    (tmp_path / "t.svm").write_text("7 1:8 2:4\n-1 3:1\n")
    found = opened(folder / "d.svm", test=str(tmp_path / "t.svm"))
    assert found.test.inputs.tolist() == [[8, 4, 0, 0, 0], [0, 0, 1, 0, 0]]
    found = opened(folder / "a9a.bz2", test=str(tmp_path / "t.svm"))
    assert found.test.inputs.tolist() == [[0, 8, 4, 0, 0], [0, 0, 0, 1, 0]]
    with pytest.raises(DataError, match=r"t\.svm has the indices 1 to 3, for 5 features: do they count"):
        opened(folder / "d.npz", test=str(tmp_path / "t.svm"))


def test_indices_of_later_data_follow_those_of_the_training_by_its_checkpoint(runs, tmp_path):
    (tmp_path / "t.svm").write_text("7 1:8 2:4\n-1 3:1\n")
    np.savez(tmp_path / "one.npz", x=[[8, 4, 0, 0, 0], [0, 0, 1, 0, 0]], y=[7, -1])
    np.savez(tmp_path / "zero.npz", x=[[0, 8, 4, 0, 0], [0, 0, 0, 1, 0]], y=[7, -1])
    for trained, name in (("d.svm", "one.npz"), ("a9a.bz2", "zero.npz")):
        network = load_network(str(runs / trained), GROUP)
        found, expected = (evaluate(network, str(tmp_path / file), GROUP) for file in ("t.svm", name))
        assert found == expected
    with pytest.raises(DataError, match="do they count from 0 or from 1"):
        evaluate(load_network(str(runs / "d.npz"), GROUP), str(tmp_path / "t.svm"), GROUP)


@pytest.fixture
def simulated(tmp_path):
    """Two files with data sets of other names; the second has fewer samples."""
    for name, rows in (("train.h5", ROWS), ("test.h5", 20)):
        with h5py.File(tmp_path / name, "w") as file:
            file["sim/x"], file["sim/kinds"], file["times"] = X[:rows], [f"k{one}" for one in Y[:rows]], np.arange(rows)
    return tmp_path


NAMED = {"features": ("sim/x",), "target": "/sim/kinds"}


def test_keys_name_the_data_sets_of_an_hdf5_file(simulated):
    found = opened(simulated / "train.h5", **NAMED, weight="times", test=str(simulated / "test.h5"))
    assert (len(found.train), len(found.test), found.train.classes.text()) == (ROWS, 20, "k-1, k3, k7")
    assert isinstance(found.train.inputs, np.memmap)
    assert found.test.weights.tolist() == list(range(20))
    assert not any("means a column" in remark for remark in found.train.remarks)
    assert len(opened(simulated / "train.h5", **NAMED, validation=0.2).validation) == 12


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, r"has no data set x_train; it holds times: .*data\.features = \[\"sim/x\"\], data\.target = \"\.\.\.\""),
        ({"target": "sim/kinds"}, r"data\.target is sim/kinds, a data set of .*, and data\.features is not set"),
        ({**NAMED, "target": "sim/nothing"}, r"\(sim/nothing\) is missing"),
        ({**NAMED, "features": ("sim/y",)}, r"has no data set sim/y; it holds"),
        ({**NAMED, "features": ("sim/x", "times")}, "one data set each"),
        ({**NAMED, "weight": "nothing"}, r"has no data set nothing \(data\.weight\)"),
        ({**NAMED, "ignore": ("a",)}, r"data\.ignore can be set only for a table"),
    ],
)
def test_names_that_are_not_those_of_data_sets_are_refused(simulated, keys, message):
    with pytest.raises(DataError, match=message):
        opened(simulated / "train.h5", **keys)


def test_a_network_takes_the_data_sets_that_its_job_named(simulated, capfd):
    settings = {"data.source": f"{simulated}/train.h5", "data.features": ["sim/x"], "data.target": "sim/kinds"}
    train(simulated / "run", {**settings, "data.test": f"{simulated}/test.h5", "train.epochs": 1})
    network = load_network(str(simulated / "run"), GROUP)
    np.savez(simulated / "t.npz", x=X[:20], y=[f"k{one}" for one in Y[:20]])
    found, expected = (evaluate(network, str(simulated / name), GROUP) for name in ("test.h5", "t.npz"))
    assert found == expected
    capfd.readouterr()
    evaluate(network, str(simulated / "train.h5"), GROUP)
    assert "is the training data: the network was trained on these rows" in capfd.readouterr().err
    words = ["predict", str(simulated / "run"), "--data", f"{simulated}/test.h5", "--out", f"{simulated}/p.csv"]
    assert run(words) == 0
    assert (simulated / "p.csv").read_text().count("\nk") == 20


def test_labels_of_another_name_go_with_inputs_of_the_usual_one(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x_train"], file["y_train"], file["kinds"], file["w"] = X, Y, np.arange(ROWS) % 2, np.ones(ROWS)
    found = opened(tmp_path / "d.h5", features=("x_train",), target="kinds", weight="w").train
    assert (found.classes.text(), found.weights.tolist()) == ("0, 1", [1] * ROWS)


def test_init_looks_into_files_of_arrays(folder, simulated, monkeypatch, capsys):
    monkeypatch.chdir(simulated)
    with h5py.File("i.h5", "w") as file:
        file["sim/images"], file["sim/labels"] = X, [f"k{one}" for one in Y]
    assert run(["init", "h5.toml", "--data", "i.h5"]) == 0
    out = capsys.readouterr().out
    assert "i.h5 has 60 training samples of 5 numbers, no test samples; 3 classes, k-1, k3, k7." in out
    assert "Held out: 20% to test with, 10% of the others to validate with." in out
    with h5py.File("two.h5", "w") as file:
        file["a/x"], file["b/x"], file["kinds"] = X, X, Y
    assert run(["init", "two.toml", "--data", "two.h5"]) == 1
    assert run(["init", "two.toml", "--data", "two.h5", "--target", "kinds", "--set", 'data.features=["a/x"]']) == 0
    assert dpnet.load_job("two.toml").data.features == ("a/x",)
    assert "Inputs are sim/images and labels sim/labels, as their names suggest" in out
    assert run(["init", "svm.toml", "--data", str(folder / "d.svm")]) == 0
    for name, section in (("h5", {"features": ("sim/images",), "target": "sim/labels"}), ("svm", {"target": None})):
        data = dpnet.load_job(f"{name}.toml").data
        assert {key: getattr(data, key) for key in section} == section
        assert data.test == 0.2
        assert run(["train", f"{name}.toml", "--set=train.epochs=1", "--output", name]) == 0


def test_targets_that_are_numbers_are_alike_in_every_format(tmp_path):
    target = X @ np.arange(1, FEATURES + 1) / 8
    csv.write_csv(pa.table({**{f"x{n}": X[:, n] for n in range(FEATURES)}, "kind": target}), tmp_path / "r.csv")
    sklearn.dump_svmlight_file(X, target, str(tmp_path / "r.svm"))
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["x_train"], file["y_train"] = X, target
    (tmp_path / "job.toml").write_text(JOB.replace("[model]", '[model]\ntask = "regression"'))
    for name in ("r.csv", "r.svm", "r.h5"):
        words = ["--set", f"data.source={tmp_path}/{name}", "--output", f"{tmp_path}/{name}-run"]
        assert run(["train", str(tmp_path / "job.toml"), *words]) == 0
    assert len({digest(tmp_path / f"{name}-run") for name in ("r.csv", "r.svm", "r.h5")}) == 1
