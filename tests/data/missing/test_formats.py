"""Missing values of arrays are filled in as those of a table: the same parameters from every format, on any ranks."""

import importlib
import json

import numpy as np
import pytest
from helpers.jobs import stopped_after
from helpers.mpirun import run_ranks

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.cli.main import run
from dpnet.comm.local import LocalGroup
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network

h5py = pytest.importorskip("h5py")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")
parquet = importlib.import_module("pyarrow.parquet")

GROUP = LocalGroup()
ROWS, FEATURES = 60, 5
generator = np.random.default_rng(0)
X = generator.standard_normal((ROWS, FEATURES))
X[:, 4] = np.round(X[:, 4])
X[generator.random(X.shape) < 0.2] = np.nan
X[:, 2] = generator.standard_normal(ROWS)  # A feature that is whole, between others with gaps.
Y = np.array([7, -1, 3])[generator.integers(0, 3, ROWS)]
FORMATS = ["d.csv", "d.parquet", "d.npz", "npy", "d.h5", "d.hdf5", "d.svm"]
CONVERTED = {"converted.csv": "d.csv", "converted.npy": "npy", "converted.h5": "d.hdf5", "converted.npz": "d.npz"}
KINDS = ["mean", "zero", "indicator"]
JOB = """
[data]
source = "SOURCE"
target = "kind"
test = 0.2
validation = 0.25
missing = "KIND"

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
    """The data in every format, and a job for each way to fill in what is missing."""
    path = tmp_path_factory.mktemp("missing")
    names = [f"x{column}" for column in range(FEATURES)]
    table = pa.table({name: pa.array(X[:, place], from_pandas=True) for place, name in enumerate(names)} | {"kind": Y})
    importlib.import_module("pyarrow.csv").write_csv(table, path / "d.csv")
    parquet.write_table(table, path / "d.parquet")
    (path / "npy").mkdir()
    np.savez(path / "d.npz", x_train=X, y_train=Y)
    np.save(path / "npy/x_train.npy", X)
    np.save(path / "npy/y_train.npy", Y)
    with h5py.File(path / "d.h5", "w") as file:
        file["x_train"], file["y_train"] = X, Y
    with h5py.File(path / "d.hdf5", "w") as file:
        file.create_dataset("x_train", data=X, chunks=(7, 2), compression="gzip")
        file["y_train"] = Y
    pairs = [" ".join(f"{place}:{value!r}" for place, value in enumerate(row.tolist(), 1)) for row in X]
    (path / "d.svm").write_text("".join(f"{label} {row}\n" for label, row in zip(Y, pairs, strict=True)))
    for kind in KINDS:
        (path / f"{kind}.toml").write_text(JOB.replace("KIND", kind))
        for name, source in CONVERTED.items():
            words = ["data", "convert", f"{path}/{source}", f"{path}/{name}-{kind}", f"{path}/{kind}.toml"]
            assert run(words) == 0
    return path


def digest(run):
    return checkpoint.digest(checkpoint.read(run / "checkpoints/latest").model)


def sources(kind):
    return [*FORMATS, *(f"{name}-{kind}" for name in CONVERTED)]


def trained(folder, out, name, kind, group=GROUP):
    settings = [f"data.source={folder}/{name}", f"output.dir={out}/{name}-{kind}"]
    return dpnet.train(dpnet.load_job(str(folder / f"{kind}.toml"), settings), group)


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """A training on each format in each way, by one rank."""
    out = tmp_path_factory.mktemp("runs")
    for kind in KINDS:
        for name in sources(kind):
            trained(folder, out, name, kind)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_trains_to_the_digest_of_a_table(runs, kind):
    names = [f"{name}-{kind}" for name in sources(kind)]
    assert {name: digest(runs / name) for name in names} == dict.fromkeys(names, digest(runs / f"d.csv-{kind}"))
    found = [json.loads((runs / name / "summary.json").read_text()) for name in names]
    assert len({(one["test_loss"], one["test_accuracy"], one["best_loss"]) for one in found}) == 1


def test_each_way_gives_other_parameters(runs):
    assert len({digest(runs / f"d.npz-{kind}") for kind in KINDS}) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_in_memory_are_filled_in_alike_and_stay_as_they_are(runs, folder, tmp_path, kind):
    given, job = (
        X.copy(),
        dpnet.load_job(str(folder / f"{kind}.toml"), [f"output.dir={tmp_path}/run", "data.source=<memory>"]),
    )
    dpnet.train(job, GROUP, data=(given, Y))
    assert given.tobytes() == X.tobytes()
    assert digest(tmp_path / "run") == digest(runs / f"d.csv-{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_evaluated_alike(runs, folder, kind):
    by_table = load_network(str(runs / f"d.csv-{kind}"), GROUP)
    whole = evaluate(by_table, str(folder / "d.csv"), GROUP)
    for split in ("train", "validation", "test"):
        expected = evaluate(by_table, str(folder / "d.csv"), GROUP, split=split)
        assert expected.samples < whole.samples == ROWS
        for name in FORMATS:
            network = load_network(str(runs / f"{name}-{kind}"), GROUP)
            assert evaluate(network, str(folder / name), GROUP, split=split) == expected, name
        for name in CONVERTED:
            network = load_network(str(runs / f"{name}-{kind}-{kind}"), GROUP)
            assert evaluate(network, None, GROUP, split=split) == expected, name
    np.savez(folder / "whole.npz", x=X, y=Y)
    for name in ("d.csv", "d.npz", "d.hdf5", "converted.npy-" + kind):
        network = load_network(str(runs / f"{name}-{kind}"), GROUP)
        assert evaluate(network, str(folder / "whole.npz"), GROUP) == whole, name
        assert evaluate(network, (X, Y), GROUP) == whole, name


PROGRAM = """
import sys
from dpnet.cli.main import run
_, folder, out, kind, *names = sys.argv
for name in names:
    words = ["--set", f"data.source={folder}/{name}", "--output", f"{out}/{name}-{kind}"]
    assert run(["train", f"{folder}/{kind}.toml", *words]) == 0, name
"""


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_other_ranks_go_on_within_an_epoch_to_the_digest_of_one_rank(runs, folder, tmp_path, num_ranks):
    kind = KINDS[-num_ranks]
    names = ["d.npz", "npy", "d.hdf5", "d.svm", f"converted.npy-{kind}"]
    for name in names:
        with stopped_after(2 * num_ranks - 1):
            trained(folder, tmp_path, name, kind)
    (tmp_path / "train.py").write_text(PROGRAM)
    result = run_ranks(num_ranks, [str(tmp_path / "train.py"), str(folder), str(tmp_path), kind, *names])
    assert result.code == 0, result
    assert {digest(tmp_path / f"{name}-{kind}") for name in names} == {digest(runs / f"d.csv-{kind}")}


@pytest.mark.ranks
@pytest.mark.slow
def test_several_ranks_convert_what_one_does(folder, tmp_path):
    for name in ("npy", "d.hdf5"):
        words = ["data", "convert", f"{folder}/{name}", f"{tmp_path}/{name}", f"{folder}/indicator.toml"]
        result = run_ranks(3, ["-m", "dpnet", *words])
        assert result.code == 0, result
        for file in ("train-inputs.npy", "test-inputs.npy", "validation-inputs.npy", "train-statistics.npy"):
            source = "converted.npy" if name == "npy" else "converted.h5"
            assert (tmp_path / name / file).read_bytes() == (folder / f"{source}-indicator" / file).read_bytes()
