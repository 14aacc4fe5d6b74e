"""A training stopped anywhere and resumed ends with the same bits; a checkpoint that does not fit is refused."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from helpers.fuzzing import examples
from helpers.jobs import ADAMW, MOMENTUM, curve, make_job, outcome, save_data, train, train_until
from helpers.night import at_night
from hypothesis import given
from hypothesis import strategies as st

import dpnet
from dpnet.checkpoint.folder import steps_in
from dpnet.checkpoint.format import Checkpoint, step_name
from dpnet.checkpoint.manifest import MANIFEST, manifest_sum, read_manifest
from dpnet.checkpoint.resume import numerics_notes
from dpnet.cli.main import run as run_command
from dpnet.comm.local import LocalGroup
from dpnet.config.file import to_dict
from dpnet.data.partial_identity import partial_identity
from dpnet.data.sources import open_source
from dpnet.errors import CheckpointError
from dpnet.training.progress import Progress


@pytest.mark.parametrize(
    ("shards", "optimizer"),
    [
        pytest.param(0, ADAMW, id="0-adamw"),
        at_night(0, MOMENTUM, id="0-momentum"),
        at_night(5, ADAMW, id="5-adamw"),
        pytest.param(5, MOMENTUM, id="5-momentum"),
    ],
)
def test_stopped_anywhere_and_resumed_it_ends_with_the_same_bits(tmp_path, optimizer, shards):
    settings = {**optimizer, "train.reproducible_shards": shards, "data.validation": 0.1}  # 11 steps an epoch.
    train(tmp_path / "whole", settings)
    train(tmp_path / "again", settings)
    expected = outcome(tmp_path / "whole")
    assert outcome(tmp_path / "again") == expected
    assert set(expected["checkpoints"]) == {30, 33, int(expected["links"]["best"].removeprefix("step-"))}
    for steps in [(1,), (5,), (6,), (7,), (12, 14), (23,), (32,), (3, 8, 13, 18, 31)]:
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
    assert "note: train.epochs is 5, in the run it is 3" in text
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
    train(tmp_path / "run", {"data.validation": 0.1})
    settings = {"evaluate.metric": "loss", "train.epochs": 4, "data.validation": 0.1}
    train(tmp_path / "by loss", settings, resume=str(tmp_path / "run"))
    rows = [row for row in curve(tmp_path / "by loss") if "eval_loss" in row]
    best = min(rows, key=lambda row: row["eval_loss"])
    assert os.readlink(tmp_path / "by loss/checkpoints/best") == step_name(best["step"])


NESTEROV = {**MOMENTUM, "optimizer.nesterov": True}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model.hidden_layers": [5]}, r"model\.hidden_layers is \[5\], in the run it is \[12\]"),
        ({"model.activation": "tanh"}, r'model\.activation is "tanh", in the run it is "relu"'),
        ({"model.dtype": "float64"}, r'model\.dtype is "float64", in the run it is "float32"'),
        ({"data.scale": "unit"}, r'data\.scale is "unit", in the run it is "standardize"'),
        ({"train.global_batch_size": 64}, r"train\.global_batch_size is 64, in the run it is 128"),
        ({"train.seed": 3}, r"train\.seed is 3, in the run it is 0"),
        ({"train.reproducible_shards": 2}, r"train\.reproducible_shards is 2, in the run it is 0"),
        ({"optimizer.name": "sgd"}, r'optimizer\.name is "sgd", in the run it is "adamw"'),
        ({"optimizer.learning_rate": 0.5}, r"optimizer\.learning_rate is 0\.5, in the run it is 0\.001"),
        ({"optimizer.clip_norm": 1}, r"optimizer\.clip_norm is 1\.0, in the run it is 0\.0"),
        ({"schedule.name": "cosine"}, r'schedule\.name is "cosine", in the run it is "constant"'),
        ({"evaluate.metric": "loss"}, r'evaluate\.metric is "loss", in the run it is "accuracy"'),
        ({"evaluate.every_steps": 3}, r"evaluate\.every_steps is 3, in the run it is 7"),
        (NESTEROV, r"(?s)optimizer\.name.*optimizer\.nesterov is true, in the run it is false"),
        (
            {"train.seed": 3, "data.scale": "unit"},
            r"(?s)data\.scale is .*train\.seed is 3.*--output DIR .*--resume never ",
        ),
    ],
)
@pytest.mark.parametrize("longer", [False, True])
def test_what_may_not_change_is_refused_with_both_values(tmp_path, changed, message, longer):
    train(tmp_path, {"train.epochs": 1})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("[!.]*")}
    with pytest.raises(CheckpointError, match=message):
        train(tmp_path, {"train.epochs": 3 if longer else 1, **changed})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("[!.]*")} == before


@pytest.mark.parametrize(
    ("given", "name"), [("1e-3", "0.001"), ("1", "1.0"), ("0.10", "1e-1"), ("1000", "1e3"), ("+0.5", "0.5")]
)
def test_a_number_written_in_another_way_is_the_same(tmp_path, given, name):
    first, second = (
        dpnet.load_job(None, [f"output.dir={tmp_path}", "train.steps=1", f"optimizer.learning_rate={text}"])
        for text in (given, name)
    )
    dpnet.train(first, LocalGroup())
    assert dpnet.train(second, LocalGroup())["steps"] == 1


def test_momentum_switched_on_is_refused_by_its_key(tmp_path):
    train(tmp_path / "run", {"optimizer.name": "sgd", "train.epochs": 1})
    settings = {**MOMENTUM, "optimizer.learning_rate": 0.001}
    with pytest.raises(CheckpointError, match=r"optimizer\.momentum is 0\.9, in the run it is 0\.0\n") as refusal:
        train(tmp_path / "run", settings)
    assert "go on with this job" not in str(refusal.value)
    with pytest.raises(CheckpointError, match=r"optimizer\.momentum is 0\.9, .*lack the vectors that momentum needs"):
        train(tmp_path / "other", settings, resume=str(tmp_path / "run"))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("resume", ["auto", "never"])
def test_a_finished_run_without_checkpoints_belongs_to_its_job_too(tmp_path, resume):
    settings = {"checkpoint.every_steps": 0, "train.epochs": 1}
    expected = train(tmp_path, settings)
    if resume == "never":
        train(tmp_path, {**settings, "train.seed": 1}, resume=resume)
        return
    with pytest.raises(CheckpointError, match=r"train\.seed is 1, in the run it is 0"):
        train(tmp_path, {**settings, "train.seed": 1})
    assert train(tmp_path, settings)["digest"] == expected["digest"]


def test_a_run_that_got_nowhere_is_overwritten(tmp_path):
    train_until(tmp_path, 3, {"optimizer.learning_rate": 0.5})
    assert train(tmp_path)["steps"] == 36
    assert not (tmp_path / "previous-1").exists()


# --- the length ---


@pytest.mark.parametrize("length", [{"train.epochs": 2}, {"train.epochs": None, "train.steps": 24}])
@pytest.mark.parametrize("way", ["auto", "elsewhere", "own"])
def test_fewer_steps_than_the_run_has_are_refused(tmp_path, length, way):
    train(tmp_path / "run")
    path = tmp_path / ("new" if way == "elsewhere" else "run")
    name, value = [*length.items()][-1]
    message = f"{name} is {value}(, 24 steps)?; the run is past that, at step 36"
    with pytest.raises(CheckpointError, match=message):
        train(path, length, resume="auto" if way == "auto" else str(tmp_path / "run"))
    assert not (tmp_path / "new").exists()


def test_a_length_between_is_that_of_a_shorter_training(tmp_path):
    expected = train(tmp_path / "whole", {"train.epochs": 2})
    train_until(tmp_path / "run", 14)
    assert train(tmp_path / "run", {"train.epochs": 2})["digest"] == expected["digest"]


def test_epochs_and_steps_say_the_same_length(tmp_path, capsys):
    expected = train(tmp_path)
    capsys.readouterr()
    assert train(tmp_path, {"train.epochs": None, "train.steps": 36}) == expected
    assert "note: " not in capsys.readouterr().out


def test_a_longer_cosine_is_refused_with_the_jump_of_the_rate(tmp_path, capsys):
    settings = {"schedule.name": "cosine", "schedule.warmup_steps": 6}
    train(tmp_path / "run", settings)
    message = (
        r'(?s)train\.epochs is 6, in the run it is 3, and schedule\.name is "cosine", which depends on the length: the '
        r"learning rate would jump from 2\.74e-06 to 0\.000571 after step 36.*--output DIR .*--resume never .*"
        r"--resume \S+/run --output DIR +go on with this job from step 36"
    )
    longer = {**settings, "train.epochs": 6}
    with pytest.raises(CheckpointError, match=message):
        train(tmp_path / "run", longer)
    capsys.readouterr()
    train(tmp_path / "on", longer, resume=str(tmp_path / "run"))
    assert "note: train.epochs is 6, in the run it is 3, and schedule.name" in capsys.readouterr().out
    rates = {row["step"]: row["learning_rate"] for row in curve(tmp_path / "on") if "loss" in row}
    assert rates[40] > 4e-4 > 3e-6 > last_rate(tmp_path / "run")


def last_rate(path):
    """The last learning rate of a run."""
    return [row["learning_rate"] for row in curve(path) if "loss" in row][-1]


def test_a_cosine_may_become_longer_while_its_rate_has_not_left_the_warm_up(tmp_path):
    settings = {"schedule.name": "cosine", "schedule.warmup_steps": 6}
    expected = train(tmp_path / "whole", {**settings, "train.epochs": 4})
    train_until(tmp_path / "run", 6, settings)
    assert train(tmp_path / "run", {**settings, "train.epochs": 4})["digest"] == expected["digest"]


EARLY = {"data.validation": 0.1, "evaluate.every_steps": 2, "evaluate.min_delta": 0.5, "evaluate.patience": 2}


def test_more_epochs_for_a_run_that_patience_has_stopped_change_nothing_and_say_so(tmp_path, capsys):
    stopped = train(tmp_path, EARLY)
    assert stopped["status"] == "stopped_early"
    capsys.readouterr()
    assert train(tmp_path, {**EARLY, "train.epochs": 9}) == stopped
    text = capsys.readouterr().out
    assert f"complete already: evaluate.patience = 2 stopped it after {stopped['steps']} of 99 steps" in text
    assert "with no improvement in 2 evaluations; a larger evaluate.patience goes on" in text
    assert train(tmp_path, {**EARLY, "evaluate.patience": 4})["steps"] > stopped["steps"]


@pytest.mark.parametrize(("before", "now"), [(4, 3), (0, 3)])
def test_less_patience_is_refused(tmp_path, before, now):
    share = {"data.validation": 0.1}
    train(tmp_path, {**share, "evaluate.patience": before, "train.epochs": 1})
    message = f"evaluate.patience is {now}, in the run it is {before}: it may have gone on where less patience ends it"
    with pytest.raises(CheckpointError, match=message):
        train(tmp_path, {**share, "evaluate.patience": now})
    assert train(tmp_path, {**share, "evaluate.patience": 0})["steps"] == 33


# --- a checkpoint taken on elsewhere, with changes ---


def test_a_job_that_was_changed_on_the_way_says_so_in_its_checkpoints(tmp_path, capsys):
    train(tmp_path / "run", {"train.epochs": 1})
    settings = {"optimizer.learning_rate": 0.5}
    train(tmp_path / "on", settings, resume=str(tmp_path / "run"))
    assert "note: optimizer.learning_rate is 0.5, in the run it is 0.001" in capsys.readouterr().out
    changes = ["from step 12 on: optimizer.learning_rate is 0.5, in the run it is 0.001"]
    manifest = read_manifest(tmp_path / "on/checkpoints/latest/manifest.json")
    assert manifest["changes"] == changes
    train(tmp_path / "on", {**settings, "train.epochs": 4})  # Its own directory, so the same job goes on.
    assert read_manifest(tmp_path / "on/checkpoints/latest/manifest.json")["changes"] == changes
    assert "changes" not in read_manifest(tmp_path / "run/checkpoints/latest/manifest.json")


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
    changed[137] = 1 - changed[137]  # Of the labels 0 and 1 the other one.
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
        ({"samples": 4000, "features": 3, "classes": 2}, "nothing of its data but the numbers of samples"),
    ]:
        shutil.copytree(tmp_path / "run", tmp_path / sentence, symlinks=True)
        rewrite_data(tmp_path / sentence / "checkpoints/latest/manifest.json", data)
        assert train(tmp_path / sentence, {**settings, "train.epochs": 2})["steps"] == 64
        assert f"note: the run was begun by an older dpnet, which recorded {sentence}" in capsys.readouterr().out
        train(tmp_path / sentence, {**settings, "train.epochs": 3})
        assert "older dpnet" not in capsys.readouterr().out  # The new checkpoints have it all.
        rewrite_data(tmp_path / sentence / "checkpoints/latest/manifest.json", {**data, "samples": 3999})
        with pytest.raises(CheckpointError, match="the number of training samples is 4000, in the run it is 3999"):
            train(tmp_path / sentence, {**settings, "train.epochs": 4})


def rewrite_data(path, data):
    """Replace the identity of the data in a manifest."""
    manifest = {**json.loads(path.read_text()), "data": data}
    path.write_text(json.dumps({**manifest, "manifest_sha256": manifest_sum(manifest)}))


def test_what_may_change_is_told(tmp_path, capsys):
    train(tmp_path, {"train.epochs": 1})
    train(tmp_path, {"evaluate.batch_size": 7, "checkpoint.keep_last": 3, "output.log_every_steps": 1})
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: evaluate.batch_size is 7, in the run it is 512",
        "note: train.epochs is 3, in the run it is 1",
    ]


def test_another_numpy_is_told(tmp_path, capsys, monkeypatch):
    train_until(tmp_path, 5)
    train_until(tmp_path, 9)
    assert "note: " not in capsys.readouterr().out
    before = np.__version__
    monkeypatch.setattr(np, "__version__", "9.9")
    train(tmp_path)
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert [note.split(" is ")[0] for note in notes] == ["note: numpy"]
    assert notes[0].endswith(f"9.9, in the checkpoint it is {before}: bits may differ from there on")


OPENBLAS = {"internal_api": "openblas", "version": "0.3.31", "architecture": "Haswell", "threading_layer": "pthreads"}
OPENBLAS["num_threads"] = 2
OF_SCIPY = {**OPENBLAS, "version": "0.3.27", "num_threads": 1}


def blas_notes(before, now):
    found = Checkpoint({}, {}, {}, {"world_size": 1, "numerics": {"blas": before}})
    return numerics_notes(found, {"blas": now}, reproducible=False, world_size=1)


@pytest.mark.parametrize("before", [[OPENBLAS], [OPENBLAS, OF_SCIPY], [OF_SCIPY, OPENBLAS, OPENBLAS]])
def test_libraries_that_nothing_is_computed_with_are_no_news(before):
    assert blas_notes(before, [OPENBLAS]) == []


def test_another_blas_is_told_in_words():
    assert blas_notes([OPENBLAS], [{**OPENBLAS, "architecture": "SkylakeX", "num_threads": 1}]) == [
        "the library of matrix products is openblas 0.3.31 (SkylakeX, pthreads, 1 thread), in the checkpoint "
        "it is openblas 0.3.31 (Haswell, pthreads, 2 threads): bits may differ from there on"
    ]


def test_another_library_of_products_or_version_is_told_in_words():
    before = {"numpy": "2.0", "products": "onednn", "products_version": "3.1"}
    found = Checkpoint({}, {}, {}, {"world_size": 1, "numerics": before})

    def notes(**now):
        return numerics_notes(found, {**before, **now}, reproducible=False, world_size=1)

    end = ": bits may differ from there on"
    assert notes() == []
    assert notes(products_version="3.2") == [f"onednn has version 3.2, in the checkpoint 3.1{end}"]
    assert notes(products="numpy", products_version=None, numpy="2.1") == [
        f"numpy is 2.1, in the checkpoint it is 2.0{end}",
        f"matrix products are computed by numpy, in the checkpoint by onednn{end}",
    ]


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


@examples(40)
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
        told = error.startswith("CheckpointError: ")
        # A setting may be one of a job, and of none for these data.
        told |= name.startswith("config.") and error.partition(": ")[2].startswith(name.removeprefix("config."))
        assert (code, error) == (0, "") or (code in (1, 2) and told), (arguments, error)
