"""Scores and predictions equal those of a network that is written out here in float64, whatever the batch size."""

import csv
import dataclasses
import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.jobs import save_data, train
from threadpoolctl import threadpool_info, threadpool_limits

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.format import step_name
from dpnet.comm.local import LocalGroup
from dpnet.compute.products import wheels
from dpnet.errors import CheckpointError, ConfigError, DataError, OutputError
from dpnet.inference import answers as answers_module
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network, make_network
from dpnet.inference.predict import Predictions, predict
from dpnet.parallel.evaluate import Blocks

GROUP = LocalGroup()
NUM_TEST, CLASSES = 53, 4
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
BATCH_SIZES = [1, 2, 7, 52, 53, 54, 10**9]


@pytest.fixture(scope="module", params=["float32", "float64"])
def trained(request, tmp_path_factory):
    """(folder with data.npz and a run, dtype, logits of the test samples by the oracle, labels)."""
    folder = tmp_path_factory.mktemp(request.param)
    source = save_data(folder / "data.npz", 90, NUM_TEST, features=5, classes=CLASSES)
    settings = {"data.source": source, "model.hidden_layers": [9, 6], "model.dtype": request.param}
    settings |= {"train.epochs": 40, "train.global_batch_size": 16, "data.validation": 0.2}
    train(folder / "run", settings)
    found = checkpoint.read(folder / "run/checkpoints/best")
    with np.load(source) as data:
        x, labels = data["x_test"].astype(np.float64), data["y_test"]
    return folder, request.param, oracle(found, x), labels


def oracle(found, x):
    """The logits of the checkpoint's network, in float64."""
    a = (x - found.scaling["scaling.offset"]) * found.scaling["scaling.factor"]
    for layer in (0, 2, 4):
        weight, bias = (found.model[f"{layer}.{kind}"].astype(np.float64) for kind in ("weight", "bias"))
        z = a @ weight.T + bias
        a = np.maximum(z, 0)
    return z


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def test_a_network_is_shown_by_its_sizes_and_origin_and_not_by_its_numbers(trained):
    run = trained[0] / "run"
    for last, which in [(False, "best"), (True, "newest")]:
        network = load_network(str(run), GROUP, last=last)
        path = run / "checkpoints" / step_name(network.step)
        assert (network.checkpoint, network.which) == (path, which)
        shown = f"Network(5-9-6-{CLASSES}, relu, step {network.step} from {path}"
        assert repr(network) == f"{shown}, the {which} checkpoint)"
        one = load_network(str(path), GROUP)
        assert (one.checkpoint, one.which, repr(one)) == (path.resolve(), "", f"{shown})")


def test_the_last_of_one_checkpoint_is_refused_in_the_words_of_python_too(trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    with pytest.raises(ConfigError) as refusal:
        load_network("run/checkpoints/latest", GROUP, last=True)
    assert (
        str(refusal.value) == "run/checkpoints/latest is one checkpoint; the last one can be asked of a run: give run"
    )


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_scores_are_those_of_the_oracle(trained, batch_size):
    folder, dtype, logits, labels = trained
    network = load_network(str(folder / "run"), GROUP)
    scores = evaluate(network, str(folder / "data.npz"), GROUP, batch_size=batch_size)
    p = softmax(logits)[np.arange(NUM_TEST), labels]
    assert scores.samples == NUM_TEST
    assert scores.accuracy == (logits.argmax(axis=1) == labels).mean()
    assert scores.loss == pytest.approx(-np.log(p).mean(), rel=TOLERANCE[dtype])


def test_scores_of_training_samples_are_others(trained):
    folder = trained[0]
    network = load_network(str(folder / "run"), GROUP)
    scores = evaluate(network, str(folder / "data.npz"), GROUP, split="train")
    assert scores.samples == 72  # Of 90 samples, 18 validate.


def test_scores_are_those_of_the_training(trained):
    folder = trained[0]
    network = load_network(str(folder / "run"), GROUP)
    scores = dpnet.evaluate(network, str(folder / "data.npz"), GROUP)
    summary = json.loads((folder / "run/summary.json").read_text())
    assert (scores.loss, scores.accuracy) == (summary["best_test_loss"], summary["best_test_accuracy"])


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_an_npy_file_holds_labels_and_probabilities(trained, tmp_path, batch_size):
    folder, dtype, logits, _ = trained
    network = load_network(str(folder / "run"), GROUP)
    made = predict(network, str(folder / "data.npz"), tmp_path / "out.npy", GROUP, batch_size=batch_size)
    records = np.load(tmp_path / "out.npy")
    assert os.listdir(tmp_path) == ["out.npy"]
    assert made == Predictions(NUM_TEST)
    assert len(records) == NUM_TEST
    assert records.dtype == [("label", np.int64), ("probabilities", dtype, (CLASSES,))]
    assert records["label"].tolist() == logits.argmax(axis=1).tolist()
    np.testing.assert_allclose(records["probabilities"], softmax(logits), rtol=50 * TOLERANCE[dtype])


def test_a_csv_file_holds_the_same_numbers_to_the_bit(trained, tmp_path):
    folder, dtype, _, _ = trained
    network = load_network(str(folder / "run"), GROUP)
    for name in ("out.npy", "out.csv"):
        predict(network, str(folder / "data.npz"), tmp_path / name, GROUP, batch_size=7)
    with (tmp_path / "out.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    records = np.load(tmp_path / "out.npy")
    assert header == ["label", "p0", "p1", "p2", "p3"]
    assert [int(row[0]) for row in rows] == records["label"].tolist()
    assert np.array([row[1:] for row in rows], dtype=dtype).tobytes() == records["probabilities"].tobytes()


def test_labels_are_not_needed_and_an_old_file_is_replaced(trained, tmp_path):
    folder, _, logits, _ = trained
    with np.load(folder / "data.npz") as data:
        np.save(tmp_path / "x.npy", data["x_test"])
    (tmp_path / "out.npy").write_text("old")
    network = load_network(str(folder / "run"), GROUP)
    predict(network, str(tmp_path / "x.npy"), tmp_path / "out.npy", GROUP)
    assert np.load(tmp_path / "out.npy")["label"].tolist() == logits.argmax(axis=1).tolist()
    with pytest.raises(DataError, match="label"):
        evaluate(network, str(tmp_path / "x.npy"), GROUP)


@pytest.mark.parametrize("name", ["out.npy", "out.csv"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", [1, 3])
def test_an_error_leaves_the_old_file_and_nothing_else(trained, tmp_path, monkeypatch, name, error, call):
    folder = trained[0]
    (tmp_path / name).write_text("old")
    network, calls = load_network(str(folder / "run"), GROUP), []
    original = answers_module.softmax

    def failing(values):
        calls.append(1)
        if len(calls) == call:
            raise error
        original(values)

    monkeypatch.setattr(answers_module, "softmax", failing)
    with pytest.raises(type(error)):
        predict(network, str(folder / "data.npz"), tmp_path / name, GROUP, batch_size=7)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "old"


def test_a_file_that_cannot_be_put_in_place_is_an_error(trained, tmp_path):
    folder = trained[0]
    network = load_network(str(folder / "run"), GROUP)
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*out\.csv: Is a directory"):
        predict(network, str(folder / "data.npz"), tmp_path / "out.csv", GROUP)
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("out", ["not there/out.npy", "file/out.csv"])
def test_a_folder_that_is_none_is_an_error(trained, tmp_path, out):
    folder = trained[0]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=out):
        predict(load_network(str(folder / "run"), GROUP), str(folder / "data.npz"), tmp_path / out, GROUP)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["out", "out.txt", ".npy"])
def test_an_ending_that_is_no_format_is_an_error(trained, tmp_path, name):
    folder = trained[0]
    with pytest.raises(ConfigError, match=r"must end in \.npy or \.csv"):
        predict(load_network(str(folder / "run"), GROUP), str(folder / "data.npz"), tmp_path / name, GROUP)


def test_samples_of_another_width_are_refused(trained, tmp_path):
    folder = trained[0]
    network = load_network(str(folder / "run"), GROUP)
    np.save(tmp_path / "x.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(DataError, match=r"has 4 features a sample; the network takes 5"):
        predict(network, str(tmp_path / "x.npy"), tmp_path / "out.npy", GROUP)


def test_tensors_that_do_not_fit_the_sizes_are_refused(trained):
    folder = trained[0]
    found = checkpoint.read(folder / "run/checkpoints/latest")
    found.manifest["sizes"] = [10**6, 10**6]  # So many parameters do not fit in memory.
    with pytest.raises(CheckpointError, match="not those of a network of sizes"):
        make_network(found)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize(("num_samples", "size"), [(10, 3), (9, 3), (1, 5), (100, 1)])
def test_blocks_cover_every_sample_once(world_size, num_samples, size):
    seen, numbers = [], []
    for rank in range(world_size):
        group = LocalGroup()
        group.rank, group.world_size = rank, world_size
        blocks = Blocks(group, num_samples, size)
        mine = list(blocks)
        assert len(mine) == blocks.counts[rank]
        numbers += [number for number, _ in mine]
        seen += [sample for number, ids in mine for sample in ids if sample // size == number]
    assert seen == list(range(num_samples))
    assert numbers == list(range(blocks.num))


def test_the_threads_of_other_libraries_are_as_before(trained, tmp_path):
    folder = trained[0]
    network = load_network(str(folder / "run"), GROUP)
    job = dataclasses.replace(network.job, train=dataclasses.replace(network.job.train, threads=1))
    network = dataclasses.replace(network, job=job)
    with threadpool_limits(2):
        before = {library["filepath"]: library["num_threads"] for library in threadpool_info()}
        evaluate(network, str(folder / "data.npz"), GROUP)
        predict(network, str(folder / "data.npz"), tmp_path / "out.npy", GROUP)
        after = {library["filepath"]: library["num_threads"] for library in threadpool_info()}
    # MKL stays at 1 where an earlier test of this process loaded its sequential layer.
    assert 2 in before.values()
    assert {path: after[path] for path in before} == before


def test_what_is_not_installed_here_is_chosen_as_by_auto(trained, monkeypatch):
    folder = trained[0]
    network = load_network(str(folder / "run"), GROUP)
    train = dataclasses.replace(network.job.train, blas="mkl", kernels="numba")
    network = dataclasses.replace(network, job=dataclasses.replace(network.job, train=train))
    monkeypatch.setattr("dpnet.compute.products.wheels.find", lambda name: None)
    monkeypatch.setattr("dpnet.compute.products.wheels.loads", lambda name: False)
    expected = evaluate(load_network(str(folder / "run"), GROUP), str(folder / "data.npz"), GROUP)
    assert evaluate(network, str(folder / "data.npz"), GROUP).accuracy == expected.accuracy


def test_a_training_with_more_threads_can_follow_an_evaluation_with_one(trained):
    if not wheels.loads("mkl"):
        pytest.skip("mkl is not installed; pip install 'dpnet[mkl]'")
    folder = trained[0]
    code = (
        "import dataclasses, sys, dpnet\n"
        "from dpnet.compute.backend import Libraries, make_backend\n"
        "from threadpoolctl import threadpool_info\n"
        "group = dpnet.connect()\n"
        f"network = dpnet.load_network({str(folder / 'run')!r}, group)\n"
        "train = dataclasses.replace(network.job.train, blas='mkl', threads=1)\n"
        "network = dataclasses.replace(network, job=dataclasses.replace(network.job, train=train))\n"
        f"dpnet.evaluate(network, {str(folder / 'data.npz')!r}, group)\n"
        "make_backend(Libraries('mkl', 'numpy'), 2)\n"
        "print([lib['num_threads'] for lib in threadpool_info() if lib['internal_api'] == 'mkl'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[2]\n"
