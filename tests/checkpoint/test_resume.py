"""A training stopped anywhere and resumed ends with the same bits; a checkpoint that does not fit is refused."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from helpers.jobs import ADAMW, MOMENTUM, curve, make_job, outcome, save_data, train, train_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpnet.checkpoint.folder import steps_in
from dpnet.checkpoint.format import Checkpoint, step_name
from dpnet.checkpoint.manifest import MANIFEST, manifest_sum
from dpnet.checkpoint.resume import numerics_notes
from dpnet.cli.main import run as run_command
from dpnet.config.file import to_dict
from dpnet.data.identity import partial_identity
from dpnet.data.sources import open_source
from dpnet.errors import CheckpointError
from dpnet.training.progress import Progress


@pytest.mark.parametrize("optimizer", [ADAMW, MOMENTUM], ids=["adamw", "momentum"])
@pytest.mark.parametrize("shards", [0, 5])
def test_stopped_anywhere_and_resumed_it_ends_with_the_same_bits(tmp_path, optimizer, shards):
    settings = {**optimizer, "train.reproducible_shards": shards}
    train(tmp_path / "whole", settings)
    train(tmp_path / "again", settings)
    expected = outcome(tmp_path / "whole")
    assert outcome(tmp_path / "again") == expected
    assert set(expected["checkpoints"]) == {35, 36, int(expected["links"]["best"].removeprefix("step-"))}
    for steps in [(1,), (5,), (6,), (7,), (12, 14), (23,), (35,), (3, 8, 13, 18, 34)]:
        path = tmp_path / "-".join(map(str, steps))
        for step in steps:
            train_until(path, step, settings)
            assert not (path / "summary.json").exists()
        train(path, settings)
        assert outcome(path) == expected, steps


def test_a_complete_run_is_left_as_it_is(tmp_path, capsys):
    expected = train(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("[!.]*")}
    assert train(tmp_path) == expected
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("[!.]*")} == before
    assert "is complete already, 36 steps" in capsys.readouterr().out


def test_a_complete_run_without_its_summary_gets_it_again(tmp_path):
    expected = train(tmp_path)
    (tmp_path / "summary.json").unlink()
    assert train(tmp_path)["digest"] == expected["digest"]
    assert json.loads((tmp_path / "summary.json").read_text())["eval_loss"] == expected["eval_loss"]


def test_more_epochs_train_on(tmp_path, capsys):
    expected = train(tmp_path / "whole", {"train.epochs": 5})
    train(tmp_path / "run", {"train.epochs": 3})
    assert train(tmp_path / "run", {"train.epochs": 5})["digest"] == expected["digest"]
    text = capsys.readouterr().out
    assert "note: train.epochs is 5, in the checkpoint it is 3" in text
    assert "going on from the checkpoint of step 36" in text


def test_never_starts_anew_and_loses_nothing(tmp_path):
    train(tmp_path)
    before = outcome(tmp_path)
    train(tmp_path, resume="never")
    assert outcome(tmp_path) == before == outcome(tmp_path / "previous-1")


def test_an_earlier_checkpoint_can_be_resumed_by_its_path(tmp_path):
    train(tmp_path, {"checkpoint.keep_last": 100})
    before = outcome(tmp_path)
    train(tmp_path, {"checkpoint.keep_last": 100}, resume=str(tmp_path / "checkpoints" / step_name(10)))
    assert outcome(tmp_path) == before
    assert steps_in(tmp_path / "previous-1") == [s for s in before["checkpoints"] if s > 10]
    assert curve(tmp_path / "previous-1") == before["curve"]


def test_a_checkpoint_of_another_run_mixes_with_nothing(tmp_path):
    train(tmp_path / "other", {"train.seed": 1})
    kept = outcome(tmp_path / "other")
    train(tmp_path / "first")
    expected = outcome(tmp_path / "first")
    for resume in (".", "checkpoints/" + step_name(35), "checkpoints"):
        summary = train(tmp_path / "other", resume=str(tmp_path / "first" / resume))
        assert summary["digest"] == expected["summary"]["digest"]
        assert steps_in(tmp_path / "other/checkpoints") == [36]
    assert outcome(tmp_path / "other/previous-1") == kept
    assert outcome(tmp_path / "first") == expected


def test_a_damaged_newest_checkpoint_costs_only_time(tmp_path, capsys):
    train(tmp_path)
    before = outcome(tmp_path)
    (tmp_path / "checkpoints/latest/optimizer.safetensors").write_bytes(b"")
    train(tmp_path)
    assert "optimizer.safetensors is damaged" in capsys.readouterr().out
    assert outcome(tmp_path) == before


def test_another_metric_looks_for_the_best_anew(tmp_path):
    train(tmp_path)
    train(tmp_path, {"evaluate.metric": "loss", "train.epochs": 4})
    rows = [row for row in curve(tmp_path) if "eval_loss" in row and row["step"] > 36]
    best = min(rows, key=lambda row: row["eval_loss"])
    assert os.readlink(tmp_path / "checkpoints/best") == step_name(best["step"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model.hidden_layers": [5]}, r"model\.hidden_layers is \[5\], in the checkpoint it is \[12\]"),
        ({"model.activation": "tanh"}, r"model\.activation is tanh, in the checkpoint it is relu"),
        ({"model.dtype": "float64"}, r"model\.dtype is float64, in the checkpoint it is float32"),
        ({"data.scale": "unit"}, r"data\.scale is unit, in the checkpoint it is standardize"),
        ({"train.global_batch_size": 64}, r"train\.global_batch_size is 64, in the checkpoint it is 128"),
        ({"train.seed": 3}, r"train\.seed is 3, in the checkpoint it is 0"),
        ({"train.reproducible_shards": 2}, r"train\.reproducible_shards is 2, in the checkpoint it is 0"),
        ({"optimizer.name": "sgd"}, r"optimizer\.name is sgd, in the checkpoint it is adamw"),
        (
            {**MOMENTUM, "optimizer.nesterov": True},
            r"(?s)optimizer\.name is sgd.*optimizer\.nesterov is True, in the checkpoint it is False",
        ),
        (
            {"train.seed": 3, "data.scale": "unit"},
            r"(?s)data\.scale is unit.*train\.seed is 3.*--resume never.*--output DIR",
        ),
    ],
)
def test_what_may_not_change_is_refused_with_both_values(tmp_path, changed, message):
    train(tmp_path, {"train.epochs": 1})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("[!.]*")}
    with pytest.raises(CheckpointError, match=message):
        train(tmp_path, changed)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("[!.]*")} == before


def test_other_data_are_refused_with_both_values(tmp_path):
    sources = {number: save_data(tmp_path / f"{number}.npz", number, features=4) for number in (50, 60)}
    train(tmp_path / "run", {"data.source": sources[50]})
    message = r"(?s)the training features are float32 \[60, 4\]; in the run they were float32 \[50, 4\].*--resume never"
    with pytest.raises(CheckpointError, match=message):
        train(tmp_path / "run", {"data.source": sources[60]})


def test_data_that_were_moved_or_saved_in_another_format_are_the_same(tmp_path):
    source = save_data(tmp_path / "data.npz", 50)
    train(tmp_path / "run", {"data.source": source})
    (tmp_path / "folder").mkdir()
    with np.load(source) as arrays:
        for name, array in arrays.items():
            np.save(tmp_path / "folder" / f"{name}.npy", array)
    shutil.move(source, tmp_path / "moved.npz")
    for number, place in enumerate(("moved.npz", "folder"), start=4):
        assert (
            train(tmp_path / "run", {"data.source": str(tmp_path / place), "train.epochs": number})["steps"] == number
        )


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x_train", "training features"),
        ("y_train", "training labels"),
        ("x_test", "test features"),
        ("y_test", "test labels"),
    ],
)
def test_a_single_number_that_changed_is_noticed_wherever_it_stands(tmp_path, name, words, checked):
    settings = {"data.source": str(tmp_path / "data.npz"), "data.check": checked, "train.epochs": 1}
    arrays = {**np.load(save_data(tmp_path / "data.npz", 4000, 300))}
    train(tmp_path / "run", settings)
    changed = arrays[name].copy()
    changed[137] = changed[137] * 2 + 1
    np.savez(tmp_path / "data.npz", **{**arrays, name: changed})
    with pytest.raises(CheckpointError, match=f"the {words} have other values than in the run: sha256 ") as refusal:
        train(tmp_path / "run", {**settings, "train.epochs": 2})
    assert str(refusal.value).count("sha256") == 1
    np.savez(tmp_path / "data.npz", **arrays)
    assert train(tmp_path / "run", {**settings, "train.epochs": 2})["steps"] == 64


def test_test_data_that_came_or_went_are_noticed(tmp_path):
    settings = {"data.source": save_data(tmp_path / "data.npz", 50), "train.epochs": 1}
    train(tmp_path / "run", settings)
    save_data(tmp_path / "data.npz", 50, None)
    with pytest.raises(CheckpointError, match=r"there are no test labels; the run had int64 \[6\]"):
        train(tmp_path / "run", {**settings, "train.epochs": 2})
    train(tmp_path / "none", settings)
    save_data(tmp_path / "data.npz", 50)
    with pytest.raises(CheckpointError, match=r"the test features are float32 \[6, 3\]; the run had none"):
        train(tmp_path / "none", {**settings, "train.epochs": 2})


def test_a_run_of_before_goes_on_and_says_what_was_compared(tmp_path, capsys):
    source = save_data(tmp_path / "data.npz", 4000)
    settings = {"data.source": source, "train.epochs": 1}
    train(tmp_path / "run", settings)
    for data, sentence in [
        (partial_identity(open_source(source)), "all training labels, but only 256 rows of the training features"),
        ({"samples": 4000, "features": 3, "classes": 2}, "of its data only the numbers of samples"),
    ]:
        shutil.copytree(tmp_path / "run", tmp_path / sentence, symlinks=True)
        rewrite_data(tmp_path / sentence / "checkpoints/latest/manifest.json", data)
        assert train(tmp_path / sentence, {**settings, "train.epochs": 2})["steps"] == 64
        assert (
            f"note: the checkpoint was written by an older dpnet, which recorded {sentence}" in capsys.readouterr().out
        )
        train(tmp_path / sentence, {**settings, "train.epochs": 3})
        assert "older dpnet" not in capsys.readouterr().out  # The new checkpoints have it all.
        rewrite_data(tmp_path / sentence / "checkpoints/latest/manifest.json", {**data, "samples": 3999})
        with pytest.raises(CheckpointError, match="data: samples is 4000, in the checkpoint it is 3999"):
            train(tmp_path / sentence, {**settings, "train.epochs": 4})


def rewrite_data(path, data):
    """Replace the identity of the data in a manifest."""
    manifest = {**json.loads(path.read_text()), "data": data}
    path.write_text(json.dumps({**manifest, "manifest_sha256": manifest_sum(manifest)}))


def test_an_optimizer_vector_that_is_not_there_is_named(tmp_path):
    train(tmp_path, {"optimizer.name": "sgd", "optimizer.momentum": 0})
    with pytest.raises(CheckpointError, match=r"tensor 0\.weight\.\w+ of the checkpoint is missing"):
        train(tmp_path, {**MOMENTUM, "train.epochs": 4})


def test_what_may_change_is_told(tmp_path, capsys):
    train(tmp_path, {"train.epochs": 1})
    train(tmp_path, {"optimizer.learning_rate": 0.5, "checkpoint.keep_last": 3, "output.log_every_steps": 1})
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: optimizer.learning_rate is 0.5, in the checkpoint it is 0.001",
        "note: train.epochs is 3, in the checkpoint it is 1",
    ]


def test_another_numpy_is_told(tmp_path, capsys, monkeypatch):
    train_until(tmp_path, 5)
    train_until(tmp_path, 9)
    assert "note: " not in capsys.readouterr().out
    before = np.__version__
    monkeypatch.setattr(np, "__version__", "9.9")
    monkeypatch.setattr("dpnet.compute.fingerprint.threadpool_info", list)
    train(tmp_path)
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert [note.split(" is ")[0] for note in notes] == ["note: numpy", "note: blas"]
    assert notes[0].endswith(f"9.9, in the checkpoint it is {before}: bits may differ from there on")


def test_other_numerics_are_no_news_where_the_bits_depend_on_the_ranks():
    found = Checkpoint({}, {}, {}, {"world_size": 2, "numerics": {"numpy": "1"}})
    notes = [numerics_notes(found, {"numpy": "2"}, reproducible=way, world_size=3) for way in (False, True)]
    assert [len(lines) for lines in notes] == [0, 1]


@pytest.mark.parametrize("resume", ["nowhere", "file", "run/checkpoints/step-00000099"])
def test_a_path_without_a_checkpoint_is_refused(tmp_path, resume):
    (tmp_path / "file").touch()
    train(tmp_path / "run", {"train.epochs": 1})
    with pytest.raises(CheckpointError, match=resume):
        train(tmp_path / "run", resume=str(tmp_path / resume))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with data and a run of two steps; its evaluation takes milliseconds."""
    folder = tmp_path_factory.mktemp("tiny")
    source = save_data(folder / "data.npz", 20)
    train(folder / "run", {"data.source": source, "train.epochs": 1, "train.global_batch_size": 10})
    return folder


def uses(folder, checkpoint_path):
    """Every command that reads a checkpoint."""
    source = str(folder / "data.npz")
    overrides = [f"data.source={source}", "model.hidden_layers=[12]", "train.global_batch_size=10", "train.epochs=1"]
    overrides += ["output.progress=none", f"output.dir={folder / 'resumed'}"]
    return [
        ["digest", checkpoint_path],
        ["inspect", checkpoint_path],
        ["evaluate", checkpoint_path, "--data", source],
        ["predict", checkpoint_path, "--data", source, "--out", str(folder / "out.npy")],
        ["train", "--resume", checkpoint_path, *(part for text in overrides for part in ("--set", text))],
    ]


NAMES = [
    *MANIFEST,
    *(f"config.{section}" for section in to_dict(make_job("x"))),
    *(f"config.{section}.{key}" for section, keys in to_dict(make_job("x")).items() for key in keys),
    *(f"progress.{key}" for key in Progress().to_dict()),
    *(f"data.{key}" for key in ("samples", "features", "classes", "arrays", "arrays.x_train", "arrays.y_test")),
    "numerics.blas",
    "config.train.novelty",
    "novelty",
]
ABSENT = object()
JUNK = [ABSENT, None, "x", -1, 0, 7, 2**40, 10**30, 0.5, float("nan"), True, [], [1], [3, 12, 2], {}, {"x": 1}]


def test_every_use_of_the_original_works(tiny, capsys):
    for arguments in uses(tiny, str(tiny / "run")):
        assert run_command(arguments) == 0, capsys.readouterr()


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(NAMES), st.sampled_from(JUNK))
def test_a_manifest_of_another_program_is_a_checkpoint_error_wherever_it_is_used(tiny, capsys, name, value):
    shutil.rmtree(tiny / "changed", ignore_errors=True)
    shutil.rmtree(tiny / "resumed", ignore_errors=True)
    shutil.copytree(tiny / "run/checkpoints/step-00000002", tiny / "changed")
    path = tiny / "changed/manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["manifest_sha256"]
    *parents, key = name.split(".")
    place = manifest
    for parent in parents:
        place = place[parent]
    place.pop(key, None)
    if value is not ABSENT:
        place[key] = value
    manifest["manifest_sha256"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(manifest))
    for arguments in uses(tiny, str(tiny / "changed")):
        code, error = run_command(arguments), capsys.readouterr().err
        assert (code, error) == (0, "") or (code == 1 and error.startswith("CheckpointError: ")), (arguments, error)
