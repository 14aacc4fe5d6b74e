"""A training that begins with a checkpoint or a file: what it keeps of that, what starts anew, and how it goes on."""

import json
import re
import shutil

import numpy as np
import pytest
from helpers.jobs import MOMENTUM, make_job, outcome, save_data, train, train_until
from safetensors.numpy import load_file, save_file

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.format import step_name
from dpnet.checkpoint.manifest import read_manifest
from dpnet.cli.main import run as run_command
from dpnet.comm.local import LocalGroup
from dpnet.errors import CheckpointError, ConfigError
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout

STILL = {"optimizer.name": "sgd", "optimizer.learning_rate": 1e-30, "train.epochs": None, "train.steps": 1}
"""A training that changes no parameter."""
HIDDEN = [7, 6]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A run on data of three classes; its source."""
    path = tmp_path_factory.mktemp("base")
    source = save_data(path / "base.npz", 40, features=5, classes=3)
    settings = {"model.hidden_layers": HIDDEN, "data.source": source, "data.validation": 0.2, "train.epochs": 2}
    summary = train(path / "run", settings)
    return path / "run", source, summary


def data(path, labels, *, scale=3.0, features=5):
    """Other data, with these labels over and over."""
    draw = np.random.default_rng(7)
    arrays = {f"x_{name}": 10 + scale * draw.standard_normal((n, features)) for name, n in (("train", 30), ("test", 9))}
    shape = np.shape(labels)[1:]
    arrays |= {f"y_{name}": np.resize(labels, (n, *shape)) for name, n in (("train", 30), ("test", 9))}
    np.savez(path, **arrays)
    return str(path)


def tune(path, start, source, settings=None, **how):
    return train(path, {**settings_for(source, start), **(settings or {})}, **how)


def settings_for(source, start=None):
    given = {"model.hidden_layers": HIDDEN, "data.source": source, "train.global_batch_size": 7}
    return given if start is None else {**given, "model.pretrained": str(start)}


def written(path, kind="model"):
    return load_file(path / "checkpoints/latest" / f"{kind}.safetensors")


def test_it_begins_with_the_best_parameters_of_a_run_and_their_scaling(base, tmp_path, capsys):
    run, source = base[0], data(tmp_path / "new.npz", [0, 1, 2])
    tune(tmp_path / "run", run, source, STILL)
    best = run / "checkpoints/best"
    assert run_command(["digest", str(best)]) == run_command(["digest", str(tmp_path / "run")]) == 0
    digests = capsys.readouterr().out.split()[-2:]
    assert digests[0] == digests[1]
    for name, array in load_file(best / "scaling.safetensors").items():
        assert written(tmp_path / "run", "scaling")[name].tobytes() == array.tobytes()
    recorded = json.loads((tmp_path / "run/summary.json").read_text())["pretrained"]
    assert recorded == {"path": str(run), "digest": digests[0]}


def test_what_it_begins_with_is_told(base, tmp_path, capsys):
    run, _, summary = base
    tune(tmp_path / "run", run, data(tmp_path / "new.npz", [0, 1, 2]), {**STILL, "output.progress": "plain"})
    step, digest = summary["best_step"], checkpoint.digest(load_file(run / "checkpoints/best/model.safetensors"))
    told = f"begins with the parameters of the best checkpoint of {run}, step {step:,} (digest {digest[:12]}...)"
    assert f"\n{told}, with its scaling of the inputs\n" in capsys.readouterr().out
    assert run_command(["inspect", str(tmp_path / "run")]) == 0
    assert f"\nbegan with   {run}, digest {digest}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("standardize", lambda x: x, ""),
        ("standardize", lambda x: 1.5 * x + 1, ""),
        (
            "standardize",
            lambda x: x / 255,
            r"about 0\.\d+ and deviations of about 0\.00\d+; there it was 0 and 1: are",
        ),
        ("standardize", lambda x: 100 * x, r"deviations of about (\d{2,}|1e\+02)"),
        ("standardize", lambda x: x + 9, r"means of about \d\.?\d* and deviations of about [01]\.?\d*; there"),
        ("unit", lambda x: 1.2 * x, ""),
        ("unit", lambda x: x / 255, r"scaled as there, the inputs are 0\.\d+ to 0\.\d+; there it was 0 to 1: are"),
        ("unit", lambda x: 100 * x, r"scaled as there, the inputs are -\d+"),
    ],
)
def test_inputs_in_other_units_are_told(tmp_path, kind, change, told, capsys):
    with np.load(save_data(tmp_path / "base.npz", 40, features=5)) as arrays:
        given = dict(arrays)
    np.savez(tmp_path / "new.npz", **{n: change(array) if n[0] == "x" else array for n, array in given.items()})
    settings = {**STILL, "data.scale": kind, "output.progress": "plain"}
    train(tmp_path / "run", {**settings_for(str(tmp_path / "base.npz")), **settings})
    capsys.readouterr()
    tune(tmp_path / "new", tmp_path / "run", str(tmp_path / "new.npz"), settings)
    found = re.findall(r"^note: (scaled as there, the inputs .*)", capsys.readouterr().out, re.M)
    assert len(found) == bool(told)
    assert all(re.search(told, line) for line in found), found


OTHERS = {
    "more classes": ([0, 1, 2, 3], r"its classes were 0, 1, 2 \(3\), here they are 0, 1, 2, 3 \(4\)"),
    "fewer classes": ([0, 1], r"its classes were 0, 1, 2 \(3\), here they are 0, 1 \(2\)"),
    "other labels": ([0, 1, 3], r"its classes were 0, 1, 2 \(3\), here they are 0, 1, 3 \(3\)"),
    "names": (["b", "a", "c"], r"its classes were 0, 1, 2 \(3\), here they are a, b, c \(3\)"),
}


@pytest.mark.parametrize(("labels", "told"), OTHERS.values(), ids=OTHERS)
def test_the_last_layer_starts_anew_where_its_classes_are_others(base, tmp_path, labels, told, capsys):
    settings = {**STILL, "output.progress": "plain"}
    tune(tmp_path / "run", base[0], data(tmp_path / "new.npz", labels), settings)
    assert re.search(rf"\nthe last layer, 4, starts anew: {told}\n", capsys.readouterr().out)
    layout = Layout((5, *HIDDEN, len(labels)))
    drawn = np.zeros(layout.size, np.float32)
    initialize(layout, "relu", 0, drawn)
    expected = {**load_file(base[0] / "checkpoints/best/model.safetensors")}
    expected |= {name: array for name, array in layout.named(drawn).items() if name.startswith("4.")}
    for name, array in written(tmp_path / "run").items():  # A bias of 0 moves by the learning rate.
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-20)


@pytest.mark.parametrize("labels", [[0.0, 1.0, 2.0], [2, 0, 1]])
def test_the_same_classes_written_otherwise_are_kept(base, tmp_path, labels):
    tune(tmp_path / "run", base[0], data(tmp_path / "new.npz", labels), STILL)
    expected = load_file(base[0] / "checkpoints/best/model.safetensors")
    assert all(written(tmp_path / "run")[name].tobytes() == array.tobytes() for name, array in expected.items())


NUMBERS = np.random.default_rng(3).standard_normal((30, 2)) * 50 + 7


def test_numbers_keep_their_scaling_unless_there_are_more_of_them(tmp_path):
    task = {"model.task": "regression", **STILL}
    tune_numbers = {**task, "train.steps": 30, "optimizer.learning_rate": 0.01}
    given = {"model.hidden_layers": HIDDEN, "data.source": data(tmp_path / "a.npz", NUMBERS[:, :1])}
    train(tmp_path / "base", {**given, **tune_numbers})
    tune(tmp_path / "same", tmp_path / "base", data(tmp_path / "b.npz", NUMBERS[:, 1:] / 9), task)
    tune(tmp_path / "more", tmp_path / "base", data(tmp_path / "c.npz", NUMBERS / 9), task)
    before, same, more = (written(tmp_path / name, "scaling") for name in ("base", "same", "more"))
    assert before["scaling.offset"].tobytes() == same["scaling.offset"].tobytes() == more["scaling.offset"].tobytes()
    assert before["targets.scaling.offset"].tobytes() == same["targets.scaling.offset"].tobytes()
    np.testing.assert_allclose(more["targets.scaling.offset"], NUMBERS.mean(0) / 9)
    assert written(tmp_path / "same")["4.weight"].tobytes() == written(tmp_path / "base")["4.weight"].tobytes()
    assert written(tmp_path / "more")["2.weight"].tobytes() == written(tmp_path / "base")["2.weight"].tobytes()


@pytest.mark.parametrize(("factor", "shift", "is_told"), [(1, 0, False), (2, 90, False), (30, 0, True), (1, 1e4, True)])
def test_targets_in_other_units_are_told(tmp_path, factor, shift, is_told, capsys):
    task = {"model.task": "regression", **STILL, "output.progress": "plain"}
    train(tmp_path / "base", {**settings_for(data(tmp_path / "a.npz", NUMBERS)), **task})
    tune(tmp_path / "run", tmp_path / "base", data(tmp_path / "b.npz", NUMBERS * factor + shift), task)
    told = re.findall(r"^note: scaled as there, the targets have (.*)", capsys.readouterr().out, re.M)
    assert len(told) == is_told
    assert all(line.endswith("; there it was 0 and 1: are they in the same units?") for line in told)


def test_a_classifier_can_become_a_regression(base, tmp_path, capsys):
    source = data(tmp_path / "new.npz", NUMBERS[:, :1])
    tune(tmp_path / "run", base[0], source, {"model.task": "regression", **STILL, "output.progress": "plain"})
    assert (
        'the last layer, 4, starts anew: it was trained with model.task = "classification"\n' in capsys.readouterr().out
    )
    np.testing.assert_allclose(written(tmp_path / "run", "scaling")["targets.scaling.offset"], NUMBERS[:, 0].mean())


MISFITS = {
    "hidden layers": ({"model.hidden_layers": [8]}, r"model\.hidden_layers is \[8\], there it is \[7, 6\]"),
    "activation": ({"model.activation": "tanh"}, r'model\.activation is "tanh", there it is "relu"'),
    "scale": ({"data.scale": "unit"}, r'data\.scale is "unit", there it is "standardize"'),
}


@pytest.mark.parametrize(("settings", "message"), MISFITS.values(), ids=MISFITS)
def test_a_network_of_another_kind_is_refused_with_both_values_and_what_fits(base, tmp_path, settings, message):
    source = data(tmp_path / "new.npz", [0, 1, 2])
    with pytest.raises(CheckpointError, match=rf"does not fit this job:\n  {message}\nWhat you can do") as refusal:
        tune(tmp_path / "run", base[0], source, settings)
    assert not (tmp_path / "run").exists()
    key = next(iter(settings))
    assert f"\n    --set {key}=" in str(refusal.value) or f"\n    --set '{key}=" in str(refusal.value)


def test_data_of_another_width_are_refused(base, tmp_path):
    source = data(tmp_path / "new.npz", [0, 1, 2], features=4)
    with pytest.raises(CheckpointError, match=r"has 4 features a sample, there the network takes 5"):
        tune(tmp_path / "run", base[0], source)


def test_without_another_layer_there_is_nothing_to_begin_with(tmp_path):
    settings = {"model.hidden_layers": [], **STILL}
    train(tmp_path / "base", {**settings, "data.source": data(tmp_path / "a.npz", [0, 1])})
    with pytest.raises(CheckpointError, match=r"nothing to begin with: its classes were 0, 1 .* no other layer"):
        tune(tmp_path / "run", tmp_path / "base", data(tmp_path / "b.npz", [0, 1, 2]), settings)


def test_a_layer_that_starts_anew_cannot_be_frozen(base, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.freeze has '4', but this layer starts anew: its classes were"):
        tune(tmp_path / "run", base[0], data(tmp_path / "new.npz", [0, 1]), {"model.freeze": ["4"]})


def test_another_precision_is_converted_and_told(base, tmp_path, capsys):
    settings = {**STILL, "model.dtype": "float64", "output.progress": "plain"}
    tune(tmp_path / "run", base[0], data(tmp_path / "new.npz", [0, 1, 2]), settings)
    assert "\nits parameters are converted from float32 to float64\n" in capsys.readouterr().out
    expected = load_file(base[0] / "checkpoints/best/model.safetensors")
    for name, array in written(tmp_path / "run").items():
        assert array.dtype == np.float64
        assert array.tolist() == expected[name].tolist()


# --- files ---


def torch_like(base, path, **extra):
    """A file as PyTorch writes it, of the base run's network under other names."""
    model = load_file(base[0] / "checkpoints/best/model.safetensors")
    names = {"0": "module.fc1", "2": "module.fc2", "4": "module.fc3"}
    save_file({f"{names[name[0]]}{name[1:]}": array for name, array in model.items()} | extra, path)
    return path


def test_a_file_is_the_parameters_alone(base, tmp_path, capsys):
    path = torch_like(base, tmp_path / "m.safetensors")
    source = data(tmp_path / "new.npz", [0, 1, 2])
    tune(tmp_path / "run", path, source, {**STILL, "output.progress": "plain"})
    said = capsys.readouterr().out
    assert "\nits layers are, from the input on, module.fc1, module.fc2, module.fc3\n" in said
    assert (
        "\nnote: a file has parameters alone: the activation is taken to be relu, and inputs are scaled anew, " in said
    )
    assert "\nnote: its outputs are taken for the classes in order: 0, 1, 2\n" in said
    expected = load_file(base[0] / "checkpoints/best/model.safetensors")
    assert all(written(tmp_path / "run")[name].tobytes() == array.tobytes() for name, array in expected.items())
    with np.load(source) as arrays:
        np.testing.assert_allclose(written(tmp_path / "run", "scaling")["scaling.offset"], arrays["x_train"].mean(0))


def test_the_last_layer_of_a_file_starts_anew_where_there_are_other_classes(base, tmp_path, capsys):
    path = torch_like(base, tmp_path / "m.safetensors")
    tune(tmp_path / "run", path, data(tmp_path / "new.npz", [0, 1]), {**STILL, "output.progress": "plain"})
    assert "the last layer, 4, starts anew: it gives 3 outputs, the classes here need 2\n" in capsys.readouterr().out
    assert written(tmp_path / "run")["4.weight"].shape == (2, 6)


def test_the_file_of_a_checkpoint_leads_to_the_checkpoint(base, tmp_path, capsys):
    folder = base[0] / "checkpoints" / step_name(base[2]["best_step"])
    source = data(tmp_path / "new.npz", [0, 1, 2])
    tune(tmp_path / "run", folder / "model.safetensors", source, {**STILL, "output.progress": "plain"})
    assert f"note: --from {folder}, its checkpoint, would keep the scaling" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "features", "hint"),
    [
        ({"model.hidden_layers": [9]}, 5, r"It would fit model\.hidden_layers = \[7, 6\]"),
        ({"model.hidden_layers": [7, 5]}, 5, r"It would fit model\.hidden_layers = \[7, 6\]"),
        ({}, 4, r"It would fit data of 5 features; these have 4"),
        (
            {"model.hidden_layers": [1]},
            4,
            r"It would fit model\.hidden_layers = \[7, 6\] and data of 5 features; these",
        ),
    ],
)
def test_a_file_of_other_shapes_is_refused_with_all_shapes_and_what_would_fit(base, tmp_path, settings, features, hint):
    path = torch_like(base, tmp_path / "m.safetensors")
    message = rf"(?s)does not fit this job: .*it holds .*fc1\.weight \[7, 5\].*this job has 0\.bias .*\n{hint}"
    with pytest.raises(CheckpointError, match=message):
        tune(tmp_path / "run", path, data(tmp_path / "new.npz", [0, 1, 2], features=features), settings)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_number_that_cannot_be_held_is_refused(base, tmp_path, value):
    path = torch_like(base, tmp_path / "m.safetensors", **{"module.fc2.bias": np.full(6, value)})
    with pytest.raises(CheckpointError, match=r"tensor 2\.bias holds the value .*; expected numbers that float32 can"):
        tune(tmp_path / "run", path, data(tmp_path / "new.npz", [0, 1, 2]))


@pytest.mark.parametrize("name", ["nowhere", "nowhere/m.safetensors", "empty", "x" * 300])
def test_a_path_that_leads_to_nothing_is_refused_with_the_key(base, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"^model\.pretrained \(--from\): "):
        dpnet.train(make_job(tmp_path / "run", STILL), LocalGroup(), pretrained=name)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", ["", "a\0b", "\udcff", b"m", 3])
def test_what_is_no_path_is_refused(tmp_path, path):
    with pytest.raises(
        ConfigError, match=r"^model\.pretrained is .*; it must be a string, not empty and fit for a path$"
    ):
        dpnet.train(make_job(tmp_path / "run", STILL), LocalGroup(), pretrained=path)


def test_gradients_of_frozen_layers_are_checked_as_well(capsys):
    assert run_command(["gradcheck", "--set", "model.hidden_layers=[3, 2]", "--set", 'model.freeze=["0", "4"]']) == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"^{name} .* ok$", said, re.M) for name in ("0.weight", "0.bias", "2.weight", "4.bias"))


# --- going on ---


@pytest.mark.parametrize("shards", [0, 3])
def test_stopped_anywhere_it_goes_on_from_its_own_checkpoints(base, tmp_path, shards):
    settings = {**MOMENTUM, "train.reproducible_shards": shards, "model.freeze": ["2"]}
    source = data(tmp_path / "new.npz", [0, 1])
    tune(tmp_path / "whole", base[0], source, settings)
    expected = outcome(tmp_path / "whole")
    for step in (3, 8, 14):
        tune_until(tmp_path / "run", step, base[0], source, settings)
    shutil.copytree(base[0], tmp_path / "moved")
    tune(tmp_path / "run", tmp_path / "moved", source, settings)  # Another path to the same.
    found = outcome(tmp_path / "run")
    found["summary"]["pretrained"] = expected["summary"]["pretrained"]
    assert found == expected


def tune_until(path, step, start, source, settings):
    train_until(path, step, {**settings_for(source, start), **settings})


def test_a_run_does_not_go_on_from_another_beginning(base, tmp_path):
    source = data(tmp_path / "new.npz", [0, 1, 2])
    tune(tmp_path / "run", base[0], source)
    other = torch_like(base, tmp_path / "m.safetensors", **{"module.fc2.bias": np.zeros(6, np.float32)})
    digest = r"\(digest [0-9a-f]{12}\.\.\.\)"
    with pytest.raises(
        CheckpointError,
        match=rf"the job begins with the parameters of \S+m\.safetensors {digest}, "
        rf"the run began with the parameters of \S+run {digest}",
    ):
        tune(tmp_path / "run", other, source)
    given = settings_for(source)
    hint = rf"begins with initial parameters, the run began with .*; --from {base[0]} says that it does"
    with pytest.raises(CheckpointError, match=hint):
        train(tmp_path / "run", given)
    train(tmp_path / "plain", given)
    with pytest.raises(CheckpointError, match="the run began with initial parameters"):
        tune(tmp_path / "plain", base[0], source)
    file = base[0] / "checkpoints/best/model.safetensors"
    with pytest.raises(CheckpointError, match="one of them comes with the scaling of its inputs"):
        tune(tmp_path / "run", file, source)


def test_a_beginning_that_is_gone_is_needed_by_new_trainings_alone(base, tmp_path, capsys):
    shutil.copytree(base[0], tmp_path / "base")
    source = data(tmp_path / "new.npz", [0, 1, 2])
    expected = tune(tmp_path / "whole", tmp_path / "base", source)
    tune_until(tmp_path / "run", 8, tmp_path / "base", source, {})
    shutil.rmtree(tmp_path / "base")
    settings = {"output.progress": "plain"}
    assert tune(tmp_path / "run", tmp_path / "base", source, settings)["digest"] == expected["digest"]
    said = capsys.readouterr().out
    assert "note: model.pretrained (--from): " in said
    assert " does not exist; the run goes on as it began\n" in said
    assert read_manifest(tmp_path / "run/checkpoints/latest/manifest.json")["pretrained"]["path"].endswith("/base")
    with pytest.raises(CheckpointError, match="does not exist"):
        tune(tmp_path / "run", tmp_path / "base", source, resume="never")
    with pytest.raises(CheckpointError, match="does not exist"):
        tune(tmp_path / "new", tmp_path / "base", source)


@pytest.mark.parametrize("resume", ["auto", "never"])
def test_a_run_does_not_begin_with_itself(base, tmp_path, resume):
    shutil.copytree(base[0], tmp_path / "base", symlinks=True)
    before = outcome(tmp_path / "base")
    with pytest.raises(ConfigError, match=r"does not begin with itself; name another directory with --output DIR"):
        tune(tmp_path / "base", tmp_path / "base", base[1], resume=resume)
    assert outcome(tmp_path / "base") == before


def lengthened(base, tmp_path):
    """The newest checkpoint of a copy of the base run, and what makes it another one."""
    shutil.copytree(base[0], tmp_path / "base", symlinks=True)

    def change():
        settings = {**settings_for(base[1]), "data.validation": 0.2, "train.global_batch_size": 128, "train.epochs": 40}
        train(tmp_path / "base", settings, resume=str(tmp_path / "base"))

    return tmp_path / "base/checkpoints/latest", change


@pytest.mark.parametrize("way", ["auto", "resume", "no path", "named anew"])
def test_a_run_that_was_cut_off_goes_on_though_what_it_began_with_was_trained_on(base, tmp_path, way, capsys):
    start, change = lengthened(base, tmp_path)
    source = data(tmp_path / "new.npz", [0, 1, 2])
    expected = tune(tmp_path / "whole", start, source)
    tune_until(tmp_path / "run", 8, start, source, {})
    began = read_manifest(tmp_path / "run/checkpoints/latest/manifest.json")["pretrained"]
    change()
    capsys.readouterr()
    settings = {**settings_for(source, None if way == "no path" else start), "output.progress": "plain"}
    if way == "named anew":
        settings["model.pretrained"] = f"{start}/../latest/"
    resume = "auto" if way in ("auto", "named anew") else str(tmp_path / "run")
    assert train(tmp_path / "run", settings, resume=resume)["digest"] == expected["digest"]
    now = checkpoint.digest(load_file(start / "model.safetensors"))
    told = f"has changed since (digest {now[:12]}..., it was {began['digest'][:12]}...); the run goes on as it began\n"
    assert (told in capsys.readouterr().out) == (resume == "auto")
    assert read_manifest(tmp_path / "run/checkpoints/latest/manifest.json")["pretrained"]["digest"] == began["digest"]
    assert json.loads((tmp_path / "run/summary.json").read_text())["pretrained"]["digest"] == began["digest"]


def test_a_run_that_is_complete_is_not_that_of_what_was_trained_on_but_can_be_lengthened(base, tmp_path, monkeypatch):
    start, change = lengthened(base, tmp_path)
    source = data(tmp_path / "new.npz", [0, 1, 2])
    tune(tmp_path / "run", start, source)
    monkeypatch.chdir(tmp_path)
    unnamed = {**settings_for(source, start), **STILL, "output.progress": "none"}
    del unnamed["train.epochs"]
    assert dpnet.train(unnamed, LocalGroup())["run_dir"] == "runs/new"
    change()
    message = r"the job begins with .*, the run began with .*: it has changed since\. --resume \S+/run goes on with the"
    with pytest.raises(CheckpointError, match=message):
        tune(tmp_path / "run", start, source)
    assert dpnet.train(unnamed, LocalGroup())["run_dir"] == "runs/new-2"
    longer = tune(tmp_path / "run", start, source, {"train.epochs": 4}, resume=str(tmp_path / "run"))
    assert longer["steps"] == 20


def test_each_beginning_has_a_run_directory_of_its_own(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = data(tmp_path / "new.npz", [0, 1, 2])
    job = {**settings_for(source), **STILL, "output.progress": "none"}
    del job["train.epochs"]
    file = torch_like(base, tmp_path / "m.safetensors")
    starts = [None, base[0], file, None, file, base[0]]
    runs = [dpnet.train(job, LocalGroup(), pretrained=start)["run_dir"] for start in starts]
    assert runs == ["runs/new", "runs/new-2", "runs/new-3", "runs/new", "runs/new-3", "runs/new-2"]


def test_the_option_is_the_key(base, tmp_path, capsys):
    source = data(tmp_path / "new.npz", [0, 1, 2])
    given = {"model.hidden_layers": HIDDEN, "data.source": source, **STILL, "output.dir": str(tmp_path / "run")}
    del given["train.epochs"]
    settings = [word for key, value in given.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    assert run_command(["train", "--from", str(base[0]), *settings]) == 0
    manifest = read_manifest(tmp_path / "run/checkpoints/latest/manifest.json")
    assert manifest["config"]["model"]["pretrained"] == manifest["pretrained"]["path"] == str(base[0])
    capsys.readouterr()
    longer = ["--resume", str(tmp_path / "run"), "--set", "train.steps=2"]
    assert run_command(["train", *longer]) == 0  # Its job is that of the run.
    assert "going on from the checkpoint of step 1" in capsys.readouterr().out
