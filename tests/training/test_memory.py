"""A training on data that a program holds in memory: the same as on files of them, on any number of ranks."""

import json

import numpy as np
import pytest
from helpers.jobs import train
from helpers.mpirun import run_ranks

import dpnet
from dpnet.comm.local import LocalGroup
from dpnet.errors import CheckpointError, ConfigError, DataError

GROUP = LocalGroup()
RANDOM = np.random.default_rng(7)
X, Y = RANDOM.standard_normal((90, 3)), np.array(["no", "yes", "so"])[np.arange(90) * 7 // 5 % 3]
SETTINGS = {
    "model.hidden_layers": [6], "train.epochs": 2, "train.global_batch_size": 16, "output.progress": "none",
    "data.test": 0.2, "data.validation": 0.2, "train.reproducible_shards": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trained(data, resume="auto", **settings):
    job = {key: value for key, value in {**SETTINGS, **settings}.items() if value is not None}
    return dpnet.train(job, GROUP, data=data, resume=resume)


def test_arrays_and_data_frames_give_the_digest_of_files():
    np.savez("d.npz", x_train=X, y_train=Y)
    expected = dpnet.train({**SETTINGS, "data.source": "d.npz"}, GROUP)
    found = [trained((X, Y)), trained({"x_train": X, "y_train": Y}), trained("d.npz")]
    arrow = pytest.importorskip("pyarrow")
    columns = {f"c{place}": X[:, place] for place in range(3)}
    found.append(trained(arrow.table({**columns, "kind": Y}), **{"data.target": "kind"}))
    found.append(trained((arrow.table(columns), Y)))
    for name in ("digest", "eval_loss", "test_accuracy", "best_test_loss", "steps"):
        assert {summary[name] for summary in found} == {expected[name]}
    assert [summary["run_dir"] for summary in found] == [
        "runs/memory", "runs/memory", "runs/d", "runs/memory-2", "runs/memory-3"
    ]  # fmt: skip


def test_a_run_goes_on_with_the_same_data_and_with_no_others():
    settings = {"output.dir": "run", "checkpoint.every_steps": 1}
    trained((X, Y), **settings, **{"train.epochs": 1})
    assert trained((X, Y), **settings)["digest"] == trained((X, Y), **{"output.dir": "whole"})["digest"]
    other = X.copy()
    other[17, 1] += 1e-9
    with pytest.raises(CheckpointError, match="features have other values than in the run"):
        trained((other, Y), **settings, **{"train.epochs": 3})
    job = dpnet.load_job("run/config.toml", ["train.epochs=3", "output.progress=none"])
    assert job.data.source == "<memory>"
    with pytest.raises(DataError, match="the data of this job lay in memory"):
        dpnet.train(job, GROUP)
    assert dpnet.train(job, GROUP, data=(X, Y))["steps"] == 12


def test_the_scores_of_what_was_held_out_are_those_of_the_summary():
    summary = trained((X, Y))
    network = dpnet.load_network(summary["run_dir"], GROUP, last=True)
    for split, prefix in (("validation", "eval"), ("test", "test")):
        for name, value in dpnet.evaluate(network, (X, Y), GROUP, split=split).measures.items():
            assert summary[f"{prefix}_{name}"] == value
    with pytest.raises(DataError, match=r"^x in memory: the data have changed since the training"):
        dpnet.evaluate(network, (X + 1, Y), GROUP, split="test")
    assert dpnet.evaluate(network, (X + 1, Y), GROUP).samples == 90
    with pytest.raises(DataError, match="the data of this job lay in memory"):
        dpnet.evaluate(network, group=GROUP)


def test_predictions_are_returned_as_a_file_would_hold_them(tmp_path):
    network = dpnet.load_network(trained((X, Y))["run_dir"])
    made = dpnet.predict(network, X)
    np.savez("x.npz", x=X)
    dpnet.predict(network, "x.npz", "p.npy", GROUP, batch_size=7)
    dpnet.predict(network, "x.npz", "q.npy", GROUP)
    assert made.records.tobytes() == np.load("q.npy").tobytes()
    assert made.labels.tolist() == np.load("p.npy")["label"].tolist()
    assert made.probabilities.shape == (90, 3)
    for name in ("numbers",):
        with pytest.raises(
            ConfigError, match="these predictions have no prediction; they have label and probabilities"
        ):
            getattr(made, name)
    with pytest.raises(ConfigError, match="the predictions are in a file"):
        dpnet.predict(network, X, "p.csv").labels  # noqa: B018  # A property that raises.


def test_rows_without_an_answer_are_refused_marked_or_left_out():
    network = dpnet.load_network(trained((X, Y))["run_dir"])
    bad = X.copy()
    bad[[3, 60], 1] = np.nan
    with pytest.raises(DataError, match=r"^x in memory, row 3, column 1 \(both from 0\): the value is nan"):
        dpnet.predict(network, bad)
    marked = dpnet.predict(network, bad, nonfinite="nan")
    assert np.flatnonzero(marked.labels == "").tolist() == [3, 60]
    left = dpnet.predict(network, bad, nonfinite="skip")
    assert (left.samples, len(left.records), left.nonfinite_rows) == (88, 88, (3, 60))


def test_numbers_come_back_in_their_units():
    target = X @ [1.0, 2.0, 3.0] * 100 + 7
    settings = {"model.task": "regression", "evaluate.metric": "r2", "train.epochs": 40, "train.global_batch_size": 8}
    network = dpnet.load_network(trained((X, target), **settings)["run_dir"])
    made = dpnet.predict(network, X).numbers
    assert made.shape == (90,)
    assert 1 - np.square(made - target).sum() / np.square(target - target.mean()).sum() == pytest.approx(
        dpnet.evaluate(network, (X, target)).r2
    )


def test_a_data_frame_is_applied_by_the_names_of_its_columns():
    arrow = pytest.importorskip("pyarrow")
    columns = {f"c{place}": X[:, place] for place in range(3)}
    network = dpnet.load_network(trained((arrow.table(columns), Y))["run_dir"])
    frame = arrow.table(dict(reversed(columns.items())))
    assert dpnet.predict(network, frame).records.tobytes() == dpnet.predict(network, X).records.tobytes()
    assert dpnet.evaluate(network, (frame, Y)) == dpnet.evaluate(network, (X, Y))
    network = dpnet.load_network(trained((X, Y))["run_dir"])
    with pytest.raises(DataError, match=r"^the data frame is a table, and the network was trained on arrays"):
        dpnet.predict(network, frame)


def test_several_numbers_may_stand_beside_a_data_frame():
    arrow = pytest.importorskip("pyarrow")
    frame = arrow.table({f"c{place}": X[:, place] for place in range(3)})
    settings = {"model.task": "regression", "evaluate.metric": "r2"}
    network = dpnet.load_network(trained((frame, X[:, :2]), **settings)["run_dir"])
    arrays = dpnet.load_network(trained((X, X[:, :2]), **settings)["run_dir"])
    assert network.schema.targets == ("target0", "target1")
    assert dpnet.predict(network, frame).numbers.tolist() == dpnet.predict(arrays, X).numbers.tolist()
    assert dpnet.evaluate(network, (frame, X[:, :2])) == dpnet.evaluate(arrays, (X, X[:, :2]))


def test_data_that_are_named_twice_are_refused():
    with pytest.raises(
        ConfigError, match=r"^data\.source is d\.npz, and data were given as well; leave one of the two"
    ):
        trained((X, Y), **{"data.source": "d.npz"})


def test_what_is_trained_on_is_told(tmp_path, capsys):
    train(tmp_path / "run", {"train.epochs": 1})
    capsys.readouterr()
    dpnet.train({**SETTINGS, "output.progress": "plain"}, GROUP, data=(X, Y))
    assert "\ndata in memory: 57 training samples, 15 validation samples, 18 test samples\n" in capsys.readouterr().out


@pytest.mark.parametrize("of", ["arrays", "a file", "a data frame"])
def test_a_part_of_one_set_is_that_which_was_held_out_or_refused(of, capfd):
    np.savez("d.npz", x_train=X, y_train=Y)
    data = (X, Y)
    if of == "a data frame":
        arrow = pytest.importorskip("pyarrow")
        data = (arrow.table({f"c{place}": X[:, place] for place in range(3)}), Y)
    summary = trained("d.npz" if of == "a file" else data, **{"data.validation": None, "train.seed": 5})
    network = dpnet.load_network(summary["run_dir"], GROUP, last=True)
    assert dpnet.evaluate(network, data, GROUP, split="test").loss == summary["eval_loss"]
    if of == "a data frame":
        turned = (data[0].select(["c2", "c0", "c1"]), Y)
        assert dpnet.evaluate(network, turned, GROUP, split="test").loss == summary["eval_loss"]
    with pytest.raises(DataError, match=r"^the training had no validation samples"):
        dpnet.evaluate(network, data, GROUP, split="validation")
    other = (data[0], np.roll(Y, 1))
    with pytest.raises(DataError, match=r"the data have changed since the training: .* taken as they are, all of them"):
        dpnet.evaluate(network, other, GROUP, split="test")
    capfd.readouterr()
    assert dpnet.evaluate(network, data, GROUP).samples == 90
    assert (
        "note: the data are those of the training: the network was trained on 80% of these r" in capfd.readouterr().err
    )
    dpnet.predict(network, data[0], None, GROUP)
    assert capfd.readouterr().err == ""


def test_samples_with_a_name_are_no_others():
    summary = trained(
        {"x_train": X, "y_train": Y, "x_test": X[:9], "y_test": Y[:9]}, **{"data.test": None, "data.validation": None}
    )
    network = dpnet.load_network(summary["run_dir"], GROUP)
    assert dpnet.evaluate(network, {"x_test": X[:7], "y_test": Y[:7]}, GROUP, split="test").samples == 7
    with pytest.raises(DataError, match="has no validation samples, only test samples"):
        dpnet.evaluate(network, {"x_test": X[:7], "y_test": Y[:7]}, GROUP, split="validation")


def test_labels_in_a_data_frame_give_their_names_to_the_targets():
    arrow = pytest.importorskip("pyarrow")
    frame, labels = arrow.table({"a": X[:, 0], "b": X[:, 1]}), arrow.table({"t": X[:, 2], "u": X[:, 0]})
    settings = {"model.task": "regression", "evaluate.metric": "r2"}
    network = dpnet.load_network(trained((frame, labels), **settings)["run_dir"], GROUP)
    assert network.schema.targets == ("t", "u")
    expected = dpnet.evaluate(network, (frame, labels), GROUP)
    assert dpnet.evaluate(network, (frame, labels.select(["u", "t"])), GROUP) == expected


def test_a_target_by_its_place_is_no_name_of_labels_that_stand_apart():
    frame = pytest.importorskip("pyarrow").table({"a": X[:, 0], "b": X[:, 1]})
    with pytest.raises(
        ConfigError, match=r"^data\.target is 0, the place of a column, and the labels were given apart"
    ):
        trained((frame, Y), **{"data.target": 0})


SCRIPT = """
import json, sys
import numpy as np
import dpnet

group, settings = dpnet.connect(), json.loads(sys.argv[1])
random = np.random.default_rng(7)
x, y = random.standard_normal((90, 3)), np.array(["no", "yes", "so"])[np.arange(90) * 7 // 5 % 3]
summary = dpnet.train(settings, group, data=(x, y))
network = dpnet.load_network(summary["run_dir"], group, last=True)
made = dpnet.predict(network, x, None, group, batch_size=16)
scores = dpnet.evaluate(network, (x, y), group, split="validation")
print("found", json.dumps([summary["digest"], scores.loss, made.records.tobytes().hex()]))
labels = np.array([f"c{row % 15:02}" for row in range(90)])
mine = {**settings, "data.source": "d.npz"} if group.rank == 1 else settings
for call in (
    lambda: dpnet.predict(network, x + group.rank, None, group),
    lambda: dpnet.train(settings, group, data=(x + (group.rank == 1) * np.eye(90, 3), y)),
    lambda: dpnet.train(settings, group, data=(x, np.where((labels == "c10") & (group.rank == 1), "c10b", labels))),
    lambda: dpnet.train(mine, group, data=(x, y)),
    lambda: dpnet.train(settings, group, data=None if group.rank else (x, y)),
):
    try:
        call()
    except dpnet.ConfigError as error:
        print("refused", error)
"""
SAID = (
    "the content of the test features is float64, sha256 ",
    "the content of the training features is float64, sha256 ",
    "the content of the training labels is c00, c01, ",
    "the job is understood on ranks 0, 2 and refused (data.source is d.npz, and data were given as well",
    'data.source is "<memory>" on rank 0 and "digits" on ranks 1, 2; data in memory is ',
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_rank_gives_the_same_data_and_gets_the_same_result(tmp_path):
    (tmp_path / "s.py").write_text(SCRIPT)
    expected = trained((X, Y), **{"train.threads": 1})
    network = dpnet.load_network(expected["run_dir"], GROUP, last=True)
    records = dpnet.predict(network, X, None, GROUP, batch_size=16).records.tobytes().hex()
    result = run_ranks(3, ["s.py", json.dumps({**SETTINGS, "train.threads": 1, "output.dir": "ranks"})])
    assert result.code == 0, result
    for text in result.ranks:
        found = json.loads(next(line for line in text.splitlines() if line.startswith("found ")).removeprefix("found "))
        assert found == [expected["digest"], expected["eval_loss"], records]
        refused = [line for line in text.splitlines() if line.startswith("refused ")]
        assert len(refused) == len(SAID), result
        for line, said in zip(refused, SAID, strict=True):
            assert line.startswith(f"refused the ranks disagree: {said}"), result
