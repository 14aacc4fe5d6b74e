from __future__ import annotations

import dataclasses
import json
import pickle
import re
import subprocess
import sys
import typing
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.config.directory import existing, first_choice, next_free, with_directory
from dpnet.config.file import from_dict, job_of, load, reference, template, to_dict, to_toml, write_template
from dpnet.config.job import (
    CheckpointConfig,
    DataConfig,
    EvaluateConfig,
    Job,
    ModelConfig,
    OptimizerConfig,
    OutputConfig,
    ScheduleConfig,
    TrainConfig,
)
from dpnet.config.keys import KEYS, SECTIONS
from dpnet.config.model import METRICS
from dpnet.config.section import Governs
from dpnet.errors import ConfigError, OutputError


def job_file(tmp_path, text, name="job.toml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def error_of(path, overrides=(), tmp_path=None):
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    message = str(caught.value)
    return message if tmp_path is None else message.replace(f"{tmp_path}/", "")


@pytest.fixture
def complaint(tmp_path):
    """Gives the message about a job file with this text; the path in it is only the name of the file."""

    def complain(text, *overrides):
        return error_of(job_file(tmp_path, text), overrides, tmp_path)

    return complain


@pytest.fixture
def loaded(tmp_path):
    def read(text, *overrides):
        return load(job_file(tmp_path, text), overrides)

    return read


# Defaults


def test_the_defaults_are_the_documented_ones():
    assert load(None) == Job()
    assert to_dict(Job()) == {
        "model": {
            "task": "classification",
            "loss": "squared_error",
            "huber_delta": 1.0,
            "hidden_layers": [256, 128],
            "activation": "relu",
            "dtype": "float32",
            "freeze": [],
        },
        "data": {
            "source": "digits",
            "features": [],
            "ignore": [],
            "categorical": [],
            "min_frequency": 1,
            "missing": "error",
            "scale": "standardize",
            "check": True,
            "unknown_labels": "error",
        },
        "train": {
            "epochs": 12,
            "global_batch_size": 64,
            "seed": 0,
            "label_smoothing": 0.0,
            "reproducible_shards": 0,
            "workers": 0,
            "sync_every": 16,
            "threads": 0,
            "kernels": "auto",
            "blas": "auto",
            "shared_memory": True,
            "reducer": "auto",
            "exchange": "auto",
            "wire": "float32",
        },
        "optimizer": {
            "name": "adamw",
            "learning_rate": 1e-3,
            "momentum": 0.0,
            "nesterov": False,
            "betas": [0.9, 0.999],
            "eps": 1e-8,
            "weight_decay": 0.01,
            "weight_decay_biases": False,
            "clip_norm": 0.0,
            "outer_learning_rate": 0.7,
            "outer_momentum": 0.9,
        },
        "schedule": {
            "name": "constant",
            "warmup_steps": 0,
            "every_epochs": 1,
            "factor": 0.1,
            "min_learning_rate": 0.0,
        },
        "evaluate": {"every_epochs": 1, "batch_size": 512, "metric": "accuracy", "patience": 0, "min_delta": 0.0},
        "checkpoint": {"every_epochs": 1, "keep_last": 2, "keep_best": True, "max_failed": 3},
        "resilience": {
            "after_loss": "continue",
            "signals": ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP"],
            "preempted_exit_code": 75,
            "timeout_s": 0.0,
            "on_hang": "warn",
            "on_nonfinite": "raise",
            "max_skips": 10,
            "rollback_factor": 0.5,
            "digest_every": 1000,
        },
        "output": {"shared": True, "log_every_steps": 50, "progress": "auto"},
    }


def test_an_empty_file_gives_the_defaults(loaded):
    assert loaded("") == loaded("# nothing\n[train]\n") == Job()


@pytest.mark.parametrize(("name", "expected"), [("sgd", 0.0), ("adam", 0.0), ("adamw", 0.01)])
def test_the_default_of_weight_decay_follows_from_the_optimizer(name, expected):
    assert (
        OptimizerConfig(name=name).weight_decay
        == load(None, [f"optimizer.name={name}"]).optimizer.weight_decay
        == expected
    )
    assert OptimizerConfig(name=name, weight_decay=0.0).weight_decay == 0.0


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("digits", "runs/digits"),
        ("../data/mnist/", "runs/mnist"),
        ("/x/train.npz", "runs/train"),
        ("./a/../b", "runs/b"),
        ("~/set.v2.npz", "runs/set.v2"),
        (".", "runs/data"),
        ("..", "runs/data"),
        ("/", "runs/data"),
        ("~", "runs/data"),
        ("/x/.hidden", "runs/hidden"),
        ("<memory>", "runs/memory"),
    ],
)
def test_the_run_directory_is_named_after_the_source(source, expected):
    assert first_choice(Job(data=DataConfig(source=source))) == Path(expected)
    assert first_choice(from_dict({"data": {"source": source}}, where="here")) == Path(expected)
    assert first_choice(Job(data=DataConfig(source=source), output=OutputConfig(dir="x"))) == Path("x")


def test_a_job_that_is_given_its_directory_keeps_its_other_keys():
    job = Job(data=DataConfig(source="mnist"), output=OutputConfig(log_every_steps=7, progress="none"))
    assert with_directory(job, "runs/x").output == OutputConfig(dir="runs/x", log_every_steps=7, progress="none")
    assert job.output.dir is None


def test_the_directories_of_a_name_are_those_with_its_numbers(tmp_path):
    names = [
        "digits-10",
        "digits-2",
        "digits-3x",
        "digits-03",
        "digits-1",
        "digits-0",
        "digits",
        "digits-a",
        "others-2",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    found = existing(tmp_path / "digits")
    assert [path.name for path in found] == ["digits", "digits-2", "digits-10"]
    assert next_free(found) == tmp_path / "digits-3"
    nowhere = existing(tmp_path / "nowhere/digits")
    assert nowhere == [tmp_path / "nowhere/digits"]
    assert next_free(nowhere) == tmp_path / "nowhere/digits-2"


DATA_KEYS = (
    "source, test, validation, split, header, target, id, weight, features, ignore, categorical, min_frequency, "
    "missing, class_weights, scale, check and unknown_labels"
)
RESULT = """
model.task model.loss model.huber_delta
model.hidden_layers model.activation model.dtype model.freeze
data.scale data.unknown_labels data.target data.id data.weight
data.split data.features data.ignore data.categorical data.min_frequency data.missing data.class_weights
train.global_batch_size train.seed
train.label_smoothing train.reproducible_shards train.workers train.sync_every
optimizer.outer_learning_rate optimizer.outer_momentum optimizer.name optimizer.learning_rate optimizer.momentum
optimizer.nesterov optimizer.betas optimizer.eps optimizer.weight_decay optimizer.weight_decay_biases
optimizer.clip_norm schedule.name schedule.warmup_steps schedule.every_epochs schedule.every_steps schedule.factor
schedule.min_learning_rate train.wire evaluate.every_epochs evaluate.every_steps evaluate.metric evaluate.min_delta
"""
LENGTH = "train.epochs train.steps evaluate.patience"
OPERATION = """
model.pretrained data.source data.test data.validation data.header data.check train.threads train.kernels train.blas
train.shared_memory train.reducer train.exchange evaluate.batch_size checkpoint.every_epochs checkpoint.every_steps
checkpoint.every_seconds checkpoint.keep_last checkpoint.keep_best checkpoint.max_failed resilience.after_loss
resilience.signals resilience.preempted_exit_code resilience.timeout_s resilience.on_hang resilience.on_nonfinite
resilience.max_skips resilience.rollback_factor resilience.digest_every output.dir output.shared output.log_every_steps
output.progress
"""


@pytest.mark.parametrize("governs", Governs)
def test_every_key_governs_the_result_or_the_length_or_the_operation(governs):
    # Written out, so that whoever adds a key thinks about it.
    expected = {Governs.RESULT: RESULT, Governs.LENGTH: LENGTH, Governs.OPERATION: OPERATION}[governs].split()
    assert {name for name, key in KEYS.items() if key.governs is governs} == set(expected)


def test_an_interval_is_counted_in_steps():
    assert EvaluateConfig(every_epochs=3).interval_steps(10) == 30
    assert EvaluateConfig(every_steps=7).interval_steps(10) == 7
    assert EvaluateConfig(every_epochs=0).interval_steps(10) == 0
    assert EvaluateConfig(every_steps=0).interval_steps(10) == 0
    assert (
        EvaluateConfig().interval_steps(10)
        == ScheduleConfig().interval_steps(10)
        == CheckpointConfig().interval_steps(10)
        == 10
    )
    assert CheckpointConfig(every_seconds=5.0).interval_steps(10) == 0


def test_a_job_is_frozen_and_can_be_sent_to_other_ranks():
    job = load(None, ["train.steps=3", "data.source=mnist"])
    assert pickle.loads(pickle.dumps(job)) == job
    assert hash(job) == hash(dataclasses.replace(job))
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.train.steps = 4


# Values


BAD_INTEGERS = [True, "64", 64.0, 6.5, [1], {}, date(2024, 1, 1), None, 2**63, -(2**63), 16**9999]
BAD_NUMBERS = [True, "0.5", [0.5], {}, None, float("nan"), float("inf"), float("-inf"), 10**400]
BAD_NAMES = ["x", 1, [1], [[]], {}, None, [""], ["x", True], ["\udcff"]]
BAD_STRINGS = [1, True, ["x"], {}, date(2024, 1, 1), None, "", "a\0b", "\udcff"]
BAD_CHOICES = [1, True, ["relu"], {}, None, "", "RELU", "sgd "]
BAD_BOOLEANS = [0, 1, "true", 1.0, [True], {}, None]
AT_LEAST_1 = [*BAD_INTEGERS, 0, -1]
AT_LEAST_0 = [*BAD_INTEGERS, -1]
NOT_NEGATIVE = [*BAD_NUMBERS, -1, -1e-9]
POSITIVE = [*NOT_NEGATIVE, 0, 0.0, -0.0]
BAD_VALUES = {
    "model.task": [*BAD_CHOICES, "multiclass"],
    "model.loss": [*BAD_CHOICES, "mse"],
    "model.huber_delta": POSITIVE,
    "model.hidden_layers": [64, "64", {}, None, [0], [64, -1], [64, True], [64.0], ["64"], [[64]], [2**63]],
    "model.activation": BAD_CHOICES,
    "model.dtype": [*BAD_CHOICES, "float16", 32],
    "model.pretrained": BAD_STRINGS,
    "model.freeze": [0, "0", {}, None, [0], [""], [["0"]], ["\udcff"]],
    "data.source": BAD_STRINGS,
    "data.test": [True, {}, [], "", "a\0b", 0, 0.0, 1, 1.0, -0.5, 2],
    "data.validation": [True, {}, [], "", "a\0b", 0, 0.0, 1, 1.0, -0.5, 2],
    "data.split": [1, True, {}, ["a"], None, "", "\udcff"],
    "data.header": BAD_BOOLEANS,
    "data.target": [True, 1.5, {}, [["a"]], [True], ["a", ""], [1.5], "", "\udcff"],
    "data.id": [1, True, {}, ["a"], None, "", "\udcff"],
    "data.weight": [1, True, {}, ["a"], None, "", "\udcff"],
    "data.features": BAD_NAMES,
    "data.ignore": BAD_NAMES,
    "data.categorical": BAD_NAMES,
    "data.min_frequency": AT_LEAST_1,
    "data.missing": BAD_CHOICES,
    "data.class_weights": [1, True, [], {}, "", "cat", {"cat": -1}, {"cat": "2"}, {"cat": 2e6}, {"cat": float("nan")}],
    "data.scale": BAD_CHOICES,
    "data.check": BAD_BOOLEANS,
    "data.unknown_labels": BAD_CHOICES,
    "train.epochs": AT_LEAST_1,
    "train.steps": AT_LEAST_1,
    "train.global_batch_size": AT_LEAST_1,
    "train.seed": AT_LEAST_0,
    "train.label_smoothing": [*NOT_NEGATIVE, 1, 1.0, 2],
    "train.reproducible_shards": [*AT_LEAST_0, 65537],
    "train.workers": [*AT_LEAST_0, 1025],
    "train.sync_every": AT_LEAST_1,
    "train.threads": AT_LEAST_0,
    "train.kernels": [*BAD_CHOICES, "cython"],
    "train.blas": [*BAD_CHOICES, "openblas"],
    "train.shared_memory": BAD_BOOLEANS,
    "train.reducer": [*BAD_CHOICES, "ring"],
    "train.exchange": [*BAD_CHOICES, "ring"],
    "train.wire": [*BAD_CHOICES, "float64", "float16"],
    "optimizer.name": BAD_CHOICES,
    "optimizer.learning_rate": POSITIVE,
    "optimizer.momentum": [*NOT_NEGATIVE, 1, 1.0, 2],
    "optimizer.nesterov": BAD_BOOLEANS,
    "optimizer.betas": [0.9, "0.9", {}, None, [], [0.9], [0.9, 0.9, 0.9], [0.9, 1], [-0.1, 0.9], [0.9, float("nan")]],
    "optimizer.eps": POSITIVE,
    "optimizer.weight_decay": NOT_NEGATIVE,
    "optimizer.weight_decay_biases": BAD_BOOLEANS,
    "optimizer.clip_norm": NOT_NEGATIVE,
    "optimizer.outer_learning_rate": POSITIVE,
    "optimizer.outer_momentum": [*NOT_NEGATIVE, 1, 1.0, 2],
    "schedule.name": BAD_CHOICES,
    "schedule.warmup_steps": AT_LEAST_0,
    "schedule.every_epochs": AT_LEAST_1,
    "schedule.every_steps": AT_LEAST_1,
    "schedule.factor": [*POSITIVE, 1.001, 2],
    "schedule.min_learning_rate": NOT_NEGATIVE,
    "evaluate.every_epochs": AT_LEAST_0,
    "evaluate.every_steps": AT_LEAST_0,
    "evaluate.batch_size": AT_LEAST_1,
    "evaluate.metric": BAD_CHOICES,
    "evaluate.patience": AT_LEAST_0,
    "evaluate.min_delta": NOT_NEGATIVE,
    "checkpoint.every_epochs": AT_LEAST_0,
    "checkpoint.every_steps": AT_LEAST_0,
    "checkpoint.every_seconds": NOT_NEGATIVE,
    "checkpoint.keep_last": AT_LEAST_1,
    "checkpoint.keep_best": BAD_BOOLEANS,
    "checkpoint.max_failed": AT_LEAST_1,
    "resilience.after_loss": BAD_CHOICES,
    "resilience.signals": ["SIGTERM", 15, [15], ["SIGKILL"], ["SIGTERM", "sigusr1"], [""], {}, None],
    "resilience.preempted_exit_code": [*AT_LEAST_1, 256],
    "resilience.timeout_s": NOT_NEGATIVE,
    "resilience.on_hang": BAD_CHOICES,
    "resilience.on_nonfinite": BAD_CHOICES,
    "resilience.max_skips": AT_LEAST_1,
    "resilience.rollback_factor": [*POSITIVE, 1.001, 2],
    "resilience.digest_every": AT_LEAST_0,
    "output.dir": BAD_STRINGS,
    "output.shared": BAD_BOOLEANS,
    "output.log_every_steps": AT_LEAST_1,
    "output.progress": BAD_CHOICES,
}


def test_bad_values_are_tried_for_every_key():
    assert list(BAD_VALUES) == list(KEYS)


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_refused(name):
    section, key = name.split(".")
    for value in BAD_VALUES[name]:
        with pytest.raises(ConfigError) as caught:
            from_dict({section: {key: value}}, where="the checkpoint")
        message = str(caught.value)
        assert re.fullmatch(rf"{re.escape(name)} is .+; it must be .+ \(the checkpoint\)", message), (value, message)
        message.encode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.hidden_layers", []),
        ("model.hidden_layers", [1]),
        ("train.epochs", 1),
        ("train.steps", 2**63 - 1),
        ("train.seed", 2**63 - 1),
        ("optimizer.learning_rate", 5e-324),
        ("optimizer.clip_norm", 1e30),
        ("optimizer.betas", [0.0, 0.0]),
        ("evaluate.every_epochs", 0),
        ("evaluate.every_steps", 0),
        ("checkpoint.every_seconds", 0.0),
        ("checkpoint.every_seconds", 0.25),
        ("checkpoint.keep_last", 1),
    ],
)
def test_a_value_at_the_limit_is_taken(name, value):
    section, key = name.split(".")
    optimizer = {"name": "adam"} if section == "optimizer" else {}
    assert to_dict(from_dict({section: {key: value, **optimizer}}, where="here"))[section][key] == value


def test_a_limit_of_an_open_range_is_refused_and_the_other_taken():
    assert load(None, ["optimizer.name=sgd", "optimizer.momentum=0"]).optimizer.momentum == 0
    assert load(None, ["schedule.name=step", "schedule.factor=1"]).schedule.factor == 1


def test_an_integer_is_a_fine_float_and_becomes_one():
    job = load(None, ["optimizer.learning_rate=1", "optimizer.clip_norm=2", "optimizer.betas=[0, 0.5]"])
    assert repr(job.optimizer.learning_rate) == "1.0"
    assert repr(job.optimizer.clip_norm) == "2.0"
    assert repr(job.optimizer.betas) == "(0.0, 0.5)"


def test_the_choices_are_those_of_the_code():
    from dpnet.data.scaling import SCALINGS
    from dpnet.nn.activations import ACTIVATIONS

    assert typing.get_args(KEYS["model.activation"].kind) == tuple(ACTIVATIONS)
    assert typing.get_args(KEYS["data.scale"].kind) == tuple(SCALINGS)


# Messages about values


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train.global_batch_size = 0", "train.global_batch_size is 0; it must be at least 1"),
        ('train.epochs = "64"', 'train.epochs is "64"; it must be an integer, at least 1'),
        ("train.epochs = 64.0", "train.epochs is 64.0; it must be an integer, at least 1: write 64"),
        ("train.epochs = 6.5", "train.epochs is 6.5; it must be an integer, at least 1"),
        ("train.seed = true", "train.seed is true; it must be an integer, at least 0 and at most 9223372036854775807"),
        ("train.threads = 9223372036854775808", None),
        ("optimizer.learning_rate = 0", "optimizer.learning_rate is 0; it must be above 0"),
        ("optimizer.learning_rate = inf", "optimizer.learning_rate is inf; it must be a finite number, above 0"),
        ("optimizer.momentum = 1", "optimizer.momentum is 1; it must be at least 0 and below 1"),
        ("schedule.factor = 0", "schedule.factor is 0; it must be above 0 and at most 1"),
        (
            "model.hidden_layers = [64, 0]",
            "model.hidden_layers is [64, 0]; it must be a list of integers, each at least 1",
        ),
        (
            "optimizer.betas = [0.9]",
            "optimizer.betas is [0.9]; it must be a list of two numbers, each at least 0 and below 1",
        ),
        ('optimizer.name = "adm"', 'optimizer.name is "adm"; it must be "sgd", "adam" or "adamw"'),
        ("data.check = 1", "data.check is 1; it must be true or false"),
        ("data.source = {}", "data.source is a table; it must be a string, not empty and fit for a path"),
        ("data.source = ''", 'data.source is ""; it must be not empty and fit for a path'),
        ("model.dtype = 2024-01-01", 'model.dtype is 2024-01-01; it must be "float32" or "float64"'),
    ],
)
def test_a_message_names_key_value_expectation_and_line(complaint, line, expected):
    expected = expected or "train.threads is 9223372036854775808; it must be at most 9223372036854775807"
    assert complaint(f"# a comment\n\n{line}\n") == f"{expected} (job.toml line 3)"


def test_a_long_value_is_cut_in_a_message(complaint):
    assert complaint(f"data.scale = '{'x' * 1000}'") == (
        f'data.scale is "{"x" * 59}...; it must be "none", "unit" or "standardize" (job.toml line 1)'
    )


def test_all_errors_of_a_file_are_listed_together(complaint):
    text = "[train]\nepochs = 0\nsteps = 5\nbatch = 1\n[optimizer]\neps = 0\nmomentum = 0.5\n[modelx]\n"
    assert complaint(text, "output.dir=3") == (
        "7 errors in the configuration:\n"
        "  train.epochs is 0; it must be at least 1 (job.toml line 2)\n"
        "  unknown key train.batch (job.toml line 4); the keys of train are epochs, steps, global_batch_size, seed, "
        "label_smoothing, reproducible_shards, workers, sync_every, threads, kernels, blas, shared_memory, reducer, "
        "exchange and wire\n"
        "  optimizer.eps is 0; it must be above 0 (job.toml line 6)\n"
        "  unknown section modelx (job.toml line 8); did you mean model?\n"
        "  output.dir is 3; it must be a string, not empty and fit for a path (--set output.dir=3)\n"
        "  train.epochs (job.toml line 2) and train.steps (job.toml line 3) exclude one another; keep one of them\n"
        '  optimizer.momentum is 0.5, which has no effect with optimizer.name = "adamw"; it is for "sgd" '
        "(job.toml line 7)"
    )


# Unknown names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[train]\nbatch_size = 3",
            "unknown key train.batch_size (job.toml line 2); did you mean train.global_batch_size?",
        ),
        ("[train]\nepoch = 3", "unknown key train.epoch (job.toml line 2); did you mean train.epochs?"),
        ("[train]\nmomentum = 3", "unknown key train.momentum (job.toml line 2); did you mean optimizer.momentum?"),
        (
            "[model]\nlearnin_rate = 3",
            "unknown key model.learnin_rate (job.toml line 2); did you mean optimizer.learning_rate?",
        ),
        (
            "train.every_steps = 3",
            "unknown key train.every_steps (job.toml line 1); did you mean schedule.every_steps, evaluate.every_steps "
            "or checkpoint.every_steps?",
        ),
        ("epochs = 3", "unknown key epochs (job.toml line 1); did you mean train.epochs?"),
        (
            "zzz = 3",
            "unknown key zzz (job.toml line 1); every key belongs to a section: "
            "model, data, train, optimizer, schedule, evaluate, checkpoint, resilience or output",
        ),
        (
            "[data]\nzzz = 3",
            "unknown key data.zzz (job.toml line 2); the keys of data are " + DATA_KEYS,
        ),
        ("[trainn]\nepochs = 3", "unknown section trainn (job.toml line 1); did you mean train?"),
        ("[trainn]", "unknown section trainn (job.toml line 1); did you mean train?"),
        (
            "[zzz.y]\nx = 3",
            "unknown section zzz (job.toml line 1); the sections are "
            "model, data, train, optimizer, schedule, evaluate, checkpoint, resilience and output",
        ),
        ("train = 3", "train is 3; it must be a section, [train] (job.toml line 1)"),
        ("[[train]]\nepochs = 3", "train is [a table]; it must be a section, [train] (job.toml line 1)"),
        ("[train.epochs]\nx = 3", "train.epochs is a table; it must be an integer, at least 1 (job.toml line 1)"),
        (
            '[data]\n"a b" = 3',
            'unknown key data."a b" (job.toml line 1); the keys of data are ' + DATA_KEYS,
        ),
        ('"train.epochs" = 3', 'unknown key "train.epochs" (job.toml); did you mean train.epochs?'),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known(complaint, text, expected):
    assert complaint(text) == expected


# Places


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[train]\nepochs = 0", 2),
        ("\n  [ train ]  # how long\n\n\tepochs=0", 4),
        ("train.epochs = 0", 1),
        ("x = 1\ntrain . 'epochs' = 0", 2),
        ('[train]\n"epochs" = 0', 2),
        ("[data]\nscale = 'unit'\n[train]\nseed = 1\nepochs = 0", 5),
        ("[evaluate]\nevery_epochs = 1\n[train]\nepochs = 0", 4),
        ("[model]\nhidden_layers = [\n  1,\n  2,\n]\n[train]\nepochs = 0", 7),
        ("[data]\r\nscale = 'unit'\r\n[train]\r\nepochs = 0\r\n", 4),
        ("\n\ntrain = { epochs = 0 }", 3),
        ("\ufeff[train]\nepochs = 0", 2),
    ],
)
def test_a_message_has_the_line_of_the_key(complaint, text, line):
    assert f"train.epochs is 0; it must be at least 1 (job.toml line {line})" in complaint(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[train]\nepochs = \n", r"job.toml line 2 is no valid TOML: .+: epochs ="),
        (
            "[optimizer]\nname = adam\n",
            r"job.toml line 2 is no valid TOML: .+: name = adam; a string is quoted: name = \"adam\"",
        ),
        ("\n[train\n", r"job.toml line 2 is no valid TOML: .+: \[train"),
        ("[train]\nseed = 1\nseed = 2\n", r"job.toml line 3 is no valid TOML: .+: seed = 2"),
        ("[model]\nhidden_layers = [1,\n", r"job.toml line 2 is no valid TOML: .+: hidden_layers = \[1,"),
        # A control sequence, which a terminal would obey, is not repeated.
        ("a = 'x\x1by'", r"job.toml line 1 is no valid TOML: [^\x1b]+"),
        ("a = " + "9" * 5000, r"job.toml is no valid TOML: .+"),
        ("a = " + "[" * 100_000, r"job.toml is no valid TOML: .+"),
        (b"[train]\n# \xff\n", r"job.toml line 2 is no UTF-8 text: byte 0xff"),
        ("[train]".encode("utf-16"), r"job.toml line 1 is no UTF-8 text: byte 0xff"),
    ],
)
@pytest.mark.usefixtures("no_collector")
def test_a_file_that_is_no_toml_is_refused_with_the_line(complaint, text, expected):
    assert re.fullmatch(expected, complaint(text))


@pytest.mark.parametrize("content", [b"kind,alcohol\nred,9.5\n", b"PK\x03\x04\xff\xfe"])
def test_data_in_the_place_of_the_job_file_are_told_the_command_for_them(tmp_path, content):
    path = tmp_path / "wine.csv"
    path.write_bytes(content)
    text = error_of(path, tmp_path=tmp_path)
    assert text.endswith("; for a job file for these data: dpnet init job.toml --data wine.csv"), text


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    assert error_of(tmp_path / "job.toml", tmp_path=tmp_path) == (
        "cannot read the job file job.toml: No such file or directory"
    )
    assert error_of(tmp_path) == f"cannot read the job file {tmp_path}: Is a directory"


def test_a_mistyped_name_of_a_job_file_is_answered_with_the_one_beside_it(tmp_path):
    (tmp_path / "mnist.toml").touch()
    assert error_of(tmp_path / "minst.toml", tmp_path=tmp_path) == (
        "cannot read the job file minst.toml: No such file or directory; did you mean mnist.toml?"
    )
    assert "did you mean" not in error_of(tmp_path / "else.toml")


def test_a_config_error_ends_the_command_with_code_2():
    assert ConfigError.exit_code == 2


# --set


@pytest.mark.parametrize(
    ("override", "section", "key", "expected"),
    [
        ("train.epochs=3", "train", "epochs", 3),
        (" train.epochs = 3 ", "train", "epochs", 3),
        ("optimizer.name=sgd", "optimizer", "name", "sgd"),
        ('optimizer.name="sgd"', "optimizer", "name", "sgd"),
        ("optimizer.name='sgd'", "optimizer", "name", "sgd"),
        ("optimizer.learning_rate=1e-4", "optimizer", "learning_rate", 1e-4),
        ("model.hidden_layers=[64,32]", "model", "hidden_layers", (64, 32)),
        ("model.hidden_layers=[]", "model", "hidden_layers", ()),
        ("data.check=false", "data", "check", False),
        ("data.source=/a b/c=d.npz", "data", "source", "/a b/c=d.npz"),
        ("data.source=a#b", "data", "source", "a#b"),
        ("data.source='x'\nscale = 'unit'", "data", "source", "'x'\nscale = 'unit'"),
    ],
)
def test_an_option_sets_a_key(override, section, key, expected):
    job = load(None, [override])
    assert getattr(getattr(job, section), key) == expected
    changed = {section: {key: list(expected) if isinstance(expected, tuple) else expected}}
    assert job == from_dict(changed, where="here")


def test_an_option_wins_over_the_file_and_the_last_over_the_first(loaded):
    job = loaded("[train]\nseed = 1\nthreads = 2\n", "train.seed=3", "train.seed=4")
    assert (job.train.seed, job.train.threads) == (4, 2)


def test_an_option_hides_a_wrong_value_of_the_file(loaded):
    assert loaded("[train]\nepochs = 0\n", "train.epochs=3").train.epochs == 3


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs=0", "train.epochs is 0; it must be at least 1 (--set train.epochs=0)"),
        ("train.epochs=two", 'train.epochs is "two"; it must be an integer, at least 1 (--set train.epochs=two)'),
        ("data.check=True", 'data.check is "True"; it must be true or false (--set data.check=True)'),
        (
            "model.hidden_layers=[64,",
            'model.hidden_layers is "[64,"; it must be a list of integers, each at least 1 '
            "(--set model.hidden_layers=[64,)",
        ),
        ("train.epoch=1", "unknown key train.epoch (--set train.epoch=1); did you mean train.epochs?"),
        ("trainn.epochs=1", "unknown section trainn (--set trainn.epochs=1); did you mean train?"),
    ],
)
def test_a_wrong_option_is_named_as_the_place(loaded, complaint, override, expected):
    assert complaint("[data]\nscale = 'unit'\n", override) == expected


@pytest.mark.parametrize(
    "override", ["", "=", "epochs=3", "train.epochs", "train.epochs=", "train.=3", ".epochs=3", "train.epochs.x=3"]
)
def test_a_malformed_option_is_refused_with_an_example(override):
    assert error_of(None, [override]) == (
        f"--set {override}: it must be section.key=value, for example --set train.epochs=3"
    )


# Keys that exclude one another


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("train", ["epochs", "steps"]),
        ("schedule", ["every_epochs", "every_steps"]),
        ("evaluate", ["every_epochs", "every_steps"]),
        ("checkpoint", ["every_epochs", "every_steps"]),
        ("checkpoint", ["every_epochs", "every_seconds"]),
        ("checkpoint", ["every_steps", "every_seconds"]),
        ("checkpoint", ["every_epochs", "every_steps", "every_seconds"]),
    ],
)
def test_keys_that_exclude_one_another_are_refused_together(complaint, section, keys):
    name = "name = 'step'" if section == "schedule" else ""
    text = "\n".join([f"[{section}]", *(f"{key} = 1" for key in keys), name])
    places = [f"{section}.{key} (job.toml line {line})" for line, key in enumerate(keys, start=2)]
    named = f"{', '.join(places[:-1])} and {places[-1]}"
    assert complaint(text) == f"{named} exclude one another; keep one of them"


@pytest.mark.parametrize(
    ("text", "override", "expected"),
    [
        ("[train]\nepochs = 3\n", "train.steps=5", {"train": {"steps": 5}}),
        ("[train]\nsteps = 3\n", "train.epochs=5", {"train": {"epochs": 5}}),
        ("[train]\nsteps = 3\nepochs = 2\n", "train.epochs=5", {"train": {"epochs": 5}}),
        ("[evaluate]\nevery_epochs = 0\n", "evaluate.every_steps=5", {"evaluate": {"every_steps": 5}}),
        (
            "[checkpoint]\nevery_epochs = 3\n[evaluate]\nevery_epochs = 4\n",
            "checkpoint.every_seconds=5",
            {"checkpoint": {"every_seconds": 5.0}, "evaluate": {"every_epochs": 4}},
        ),
    ],
)
def test_an_option_replaces_what_excludes_it_in_the_file(loaded, text, override, expected):
    assert loaded(text, override) == from_dict(expected, where="here")


def test_two_options_that_exclude_one_another_are_refused():
    assert error_of(None, ["train.epochs=1", "train.steps=2"]) == (
        "train.epochs (--set train.epochs=1) and train.steps (--set train.steps=2) exclude one another; "
        "keep one of them"
    )


def test_only_the_key_that_holds_is_not_none():
    assert TrainConfig() == TrainConfig(epochs=12)
    assert (TrainConfig(steps=5).epochs, TrainConfig(steps=5).steps) == (None, 5)
    assert CheckpointConfig(every_seconds=1.0).every_epochs is None
    assert EvaluateConfig(every_steps=0).every_epochs is None
    assert to_dict(Job(train=TrainConfig(steps=5)))["train"].keys() & {"epochs", "steps"} == {"steps"}


# Keys without effect


WITHOUT_EFFECT = [
    ("optimizer", "adamw", "momentum", 0.9, '"sgd"'),
    ("optimizer", "adam", "momentum", 0.9, '"sgd"'),
    ("optimizer", "adam", "nesterov", True, '"sgd"'),
    ("optimizer", "sgd", "betas", [0.5, 0.5], '"adam" and "adamw"'),
    ("optimizer", "sgd", "eps", 1e-3, '"adam" and "adamw"'),
    ("schedule", "constant", "factor", 0.5, '"step"'),
    ("schedule", "cosine", "factor", 0.5, '"step"'),
    ("schedule", "constant", "every_epochs", 2, '"step"'),
    ("schedule", "cosine", "every_steps", 2, '"step"'),
    ("schedule", "constant", "min_learning_rate", 1e-5, '"cosine"'),
    ("schedule", "step", "min_learning_rate", 1e-5, '"cosine"'),
]


@pytest.mark.parametrize(("section", "name", "key", "value", "suitable"), WITHOUT_EFFECT)
def test_a_key_without_effect_is_refused(section, name, key, value, suitable):
    with pytest.raises(ConfigError) as caught:
        from_dict({section: {"name": name, key: value}}, where="here")
    shown = json.dumps(value)
    assert str(caught.value) == (
        f'{section}.{key} is {shown}, which has no effect with {section}.name = "{name}"; it is for {suitable} (here)'
    )


@pytest.mark.parametrize(("section", "name", "key", "value", "suitable"), WITHOUT_EFFECT)
def test_a_key_is_taken_where_it_has_an_effect_and_its_default_everywhere(section, name, key, value, suitable):
    for choice in re.findall(r'"(\w+)"', suitable):
        more = {"momentum": 0.9} if key == "nesterov" else {}
        job = from_dict({section: {"name": choice, key: value, **more}}, where="here")
        assert to_dict(job)[section][key] == value
    default = to_dict(Job())[section].get(key)
    if default is not None:
        from_dict({section: {"name": name, key: default}}, where="here")


def test_no_effect_is_claimed_where_the_name_itself_is_wrong(complaint):
    assert complaint("[optimizer]\nname = 'sgdd'\nmomentum = 0.9\n") == (
        'optimizer.name is "sgdd"; it must be "sgd", "adam" or "adamw" (job.toml line 2)'
    )


@pytest.mark.parametrize("exchange", ["factors", "recompute"])
def test_factors_are_those_of_the_joint_reducer(complaint, loaded, exchange):
    text = f"[train]\nexchange = '{exchange}'\n"
    seen = f'train.exchange is "{exchange}"; it needs'
    assert complaint(text, "train.reproducible_shards=4") == f"{seen} train.reproducible_shards = 0 (job.toml line 2)"
    for reducer in ("allreduce", "shards"):
        needed = f'{seen} train.reducer "auto" or "joint" (job.toml line 2)'
        assert complaint(text, f"train.reducer={reducer}") == needed
    assert loaded(text, "train.reducer=joint").train.exchange == exchange
    assert loaded("[train]\nexchange = 'gradients'\nreproducible_shards = 4\n").train.exchange == "gradients"


@pytest.mark.parametrize("reducer", ["allreduce", "joint"])
def test_only_shards_are_reproducible(complaint, loaded, reducer):
    text = f"[train]\nreproducible_shards = 4\nreducer = '{reducer}'\n"
    assert complaint(text) == (
        f'train.reducer is "{reducer}"; with train.reproducible_shards it must be "auto" or "shards" (job.toml line 3)'
    )
    assert loaded(text, "train.reproducible_shards=0").train.reducer == reducer
    for fits in ("auto", "shards"):
        assert loaded(text, f"train.reducer={fits}").train.reproducible_shards == 4


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("train.reproducible_shards", 4, "0"),
        ("train.workers", 4, "0"),
        ("train.reducer", '"allreduce"', '"auto", "joint" or "shards"'),
        ("train.exchange", '"factors"', '"auto" or "gradients"'),
        ("model.dtype", '"float64"', '"float32"'),
    ],
)
def test_only_sums_of_float32_in_no_fixed_order_are_rounded_on_the_wire(complaint, loaded, key, value, expected):
    text = "[train]\nwire = 'bfloat16'\n"
    assert complaint(text, f"{key}={value}") == (
        f'{key} is {value}; with train.wire = "bfloat16" it must be {expected} (job.toml line 2)'
    )
    assert loaded(text).train.wire == "bfloat16"
    assert loaded(text, f"{key}={value}", "train.wire=float32").train.wire == "float32"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "reproducible_shards = 4",
            "train.workers is 4, which gives the same bits on any number of ranks; leave train.reproducible_shards out",
        ),
        (
            'reducer = "allreduce"',
            'train.workers is 4, and train.reducer = "allreduce"; with workers it must be "auto" or "shards"',
        ),
        (
            'reducer = "joint"',
            'train.workers is 4, and train.reducer = "joint"; with workers it must be "auto" or "shards"',
        ),
    ],
)
def test_what_does_not_go_with_workers_is_refused(complaint, loaded, line, problem):
    assert complaint(f"[train]\nworkers = 4\n{line}\n") == f"{problem} (job.toml line 3)"
    assert loaded(f"[train]\nworkers = 0\n{line}\n").train.workers == 0


def test_each_worker_needs_a_sample(complaint, loaded):
    text = "[train]\nglobal_batch_size = 4\nworkers = 5\n"
    assert complaint(text) == (
        "train.workers is 5; it must be at most train.global_batch_size, 4: each takes samples in a step "
        "(job.toml line 3)"
    )
    assert loaded(text, "train.workers=4").train.fixed_shards == 4


@pytest.mark.parametrize(
    "key", ["train.sync_every = 8", "optimizer.outer_learning_rate = 0.5", "optimizer.outer_momentum = 0.0"]
)
def test_keys_of_workers_need_workers(complaint, loaded, key):
    assert complaint(f"{key}\n") == (
        f"{key.replace('=', 'is')}, which has no effect without workers; set train.workers, to 4 for example, or leave "
        "it out (job.toml line 1)"
    )
    assert loaded(f"{key}\n", "train.workers=2").train.workers == 2
    defaults = ["train.sync_every=16", "optimizer.outer_learning_rate=0.7", "optimizer.outer_momentum=0.9"]
    loaded("[train]\nworkers = 0\n", *defaults)


def test_nesterov_needs_momentum(complaint, loaded):
    text = "[optimizer]\nname = 'sgd'\nnesterov = true\n"
    assert complaint(text) == ("optimizer.nesterov is true; it needs an optimizer.momentum above 0 (job.toml line 3)")
    assert loaded(text, "optimizer.momentum=0.9").optimizer.nesterov


@pytest.mark.parametrize(
    ("freeze", "problem"),
    [
        ('["1"]', "'1' is no layer of the network; its layers are 0, 2, 4"),
        ('["0", "0.weight"]', "'0.weight' is no layer of the network; its layers are 0, 2, 4"),
        ('["4", "2", "0"]', "these are all layers of the network, 0, 2, 4; one must be trained"),
    ],
)
def test_what_cannot_be_frozen_is_refused_with_the_layers(complaint, freeze, problem):
    text = f"[model]\nhidden_layers = [8, 7]\nfreeze = {freeze}"
    assert complaint(text) == f"model.freeze is {freeze}; {problem} (job.toml line 3)"


@pytest.mark.parametrize("every", ["every_epochs", "every_steps"])
def test_patience_without_evaluations_and_rollback_without_checkpoints_are_refused(complaint, every):
    assert (
        f"evaluate.patience is 3, which has no effect without evaluations; evaluate.{every} is 0 (job.toml line 3)"
    ) in complaint(f"[evaluate]\npatience = 3\n{every} = 0\n")
    assert (
        'resilience.on_nonfinite is "rollback", which has no effect without checkpoints; '
        f"checkpoint.{every} is 0 (job.toml line 2)"
    ) in complaint(f"[checkpoint]\n{every} = 0\n[resilience]\non_nonfinite = 'rollback'\n")


def test_the_learning_rate_cannot_end_above_its_start(complaint, loaded):
    text = "[schedule]\nname = 'cosine'\nmin_learning_rate = 0.01\n"
    assert complaint(text) == (
        "schedule.min_learning_rate is 0.01; it must be at most optimizer.learning_rate, 0.001 (job.toml line 3)"
    )
    assert loaded(text, "optimizer.learning_rate=0.01").schedule.min_learning_rate == 0.01


# Writing


counts = st.integers(1, 2**63 - 1)
not_negative = st.floats(0, allow_infinity=False)
positive = st.floats(0, exclude_min=True, allow_infinity=False)
fractions = st.floats(0, 1, exclude_max=True)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def one_of(section, others, **rivals):
    return st.one_of(*(st.builds(section, **{name: value}, **others) for name, value in rivals.items()))


def choices(name):
    return st.sampled_from(typing.get_args(KEYS[name].kind))


models = st.builds(
    ModelConfig,
    hidden_layers=st.lists(counts).map(tuple),
    activation=choices("model.activation"),
    dtype=choices("model.dtype"),
)
trains = one_of(
    TrainConfig,
    {
        "global_batch_size": counts,
        "seed": st.integers(0, 2**63 - 1),
        "label_smoothing": fractions,
        "reproducible_shards": st.integers(1, 65536),
        "threads": counts,
    },
    epochs=counts,
    steps=counts,
)
common = {
    "learning_rate": st.floats(1, 1e300),
    "weight_decay": not_negative,
    "weight_decay_biases": st.booleans(),
    "clip_norm": not_negative,
}
optimizers = st.one_of(
    st.builds(OptimizerConfig, name=st.just("sgd"), momentum=fractions, **common),
    st.builds(
        OptimizerConfig,
        name=st.just("sgd"),
        momentum=st.floats(0, 1, exclude_min=True, exclude_max=True),
        nesterov=st.booleans(),
        **common,
    ),
    st.builds(
        OptimizerConfig,
        name=st.sampled_from(["adam", "adamw"]),
        betas=st.tuples(fractions, fractions),
        eps=positive,
        **common,
    ),
)
warmup = {"warmup_steps": st.integers(0, 2**63 - 1)}
schedules = st.one_of(
    st.builds(ScheduleConfig, **warmup),
    st.builds(ScheduleConfig, name=st.just("cosine"), min_learning_rate=st.floats(0, 1), **warmup),
    one_of(
        ScheduleConfig,
        {"name": st.just("step"), "factor": st.floats(0, 1, exclude_min=True), **warmup},
        every_epochs=counts,
        every_steps=counts,
    ),
)
intervals = st.integers(0, 2**63 - 1)
evaluations = one_of(
    EvaluateConfig,
    {"batch_size": counts, "patience": intervals, "min_delta": not_negative},
    every_epochs=intervals,
    every_steps=intervals,
).filter(lambda how: not how.patience or 0 not in (how.every_epochs, how.every_steps))
checkpoints = one_of(
    CheckpointConfig,
    {"keep_last": counts, "keep_best": st.booleans()},
    every_epochs=intervals,
    every_steps=intervals,
    every_seconds=not_negative,
)
tasks = st.one_of(
    st.tuples(models, st.sampled_from(METRICS["classification"])),
    st.tuples(
        st.builds(ModelConfig, task=st.just("regression"), loss=st.just("huber"), huber_delta=positive),
        st.sampled_from(METRICS["regression"]),
    ),
    st.tuples(st.builds(ModelConfig, task=st.just("multilabel")), st.sampled_from(METRICS["multilabel"])),
)


def job_of_task(task, evaluate, train, **others):
    model, metric = task
    if model.task != "classification":
        train = dataclasses.replace(train, label_smoothing=0.0)
    return Job(model=model, evaluate=dataclasses.replace(evaluate, metric=metric), train=train, **others)


jobs = st.builds(
    job_of_task,
    task=tasks,
    data=st.builds(DataConfig, source=texts, scale=choices("data.scale"), check=st.booleans()),
    train=trains,
    optimizer=optimizers,
    schedule=schedules,
    evaluate=evaluations,
    checkpoint=checkpoints,
    output=st.one_of(
        st.builds(OutputConfig, log_every_steps=counts),
        st.builds(OutputConfig, dir=texts, log_every_steps=counts, progress=choices("output.progress")),
    ),
)


@settings(deadline=None, max_examples=60)
@given(job=jobs)
def test_plain_data_give_the_job_back(job):
    assert from_dict(to_dict(job), where="here") == job
    assert from_dict(json.loads(json.dumps(to_dict(job), allow_nan=False)), where="here") == job


@settings(deadline=None, max_examples=60)
@given(job=jobs)
def test_a_job_file_gives_the_job_back(tmp_path_factory, job):
    path = job_file(tmp_path_factory.getbasetemp(), to_toml(job), "round-trip.toml")
    assert load(path) == job


def test_a_job_file_is_written_one_line_a_key():
    lines = to_toml(load(None, ["train.steps=3"])).splitlines()
    assert "hidden_layers = [256, 128]" in lines
    assert "steps = 3" in lines
    assert not [line for line in lines if line.startswith("epochs")]
    assert [line.strip("[]") for line in lines if line.startswith("[")] == list(SECTIONS)


# The task


def test_the_score_that_chooses_the_best_follows_from_the_task(loaded):
    assert Job().evaluate.metric == loaded("").evaluate.metric == "accuracy"
    assert loaded("", "model.task=regression").evaluate.metric == "r2"
    assert Job(model=ModelConfig(task="regression")).evaluate.metric == "r2"
    assert loaded("", "model.task=regression", "evaluate.metric=mae").evaluate.metric == "mae"
    assert loaded("", "model.task=multilabel").evaluate.metric == "loss"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[model]\ntask = "regression"\n[evaluate]\nmetric = "accuracy"',
            'evaluate.metric is "accuracy", and model.task is "regression"; it must be "r2", "rmse", "mae" or "loss" '
            "(job.toml line 4)",
        ),
        (
            '[evaluate]\nmetric = "r2"',
            'evaluate.metric is "r2", and model.task is "classification"; it must be "accuracy" or "loss" '
            "(job.toml line 2)",
        ),
        (
            '[model]\ntask = "multilabel"\n[evaluate]\nmetric = "accuracy"',
            'evaluate.metric is "accuracy", and model.task is "multilabel"; it must be "loss", "micro_f1", "macro_f1" '
            'or "subset_accuracy" (job.toml line 4)',
        ),
        (
            '[model]\ntask = "multilabel"\n[data]\nclass_weights = "balanced"',
            'data.class_weights is "balanced", which has no effect with model.task = "multilabel"; it is for '
            '"classification" (job.toml line 4)',
        ),
        (
            '[model]\nloss = "huber"',
            'model.loss is "huber", which has no effect with model.task = "classification"; it is for "regression" '
            "(job.toml line 2)",
        ),
        (
            '[model]\ntask = "regression"\nhuber_delta = 2.0',
            'model.huber_delta is 2.0, which has no effect with model.loss = "squared_error"; it is for "huber" '
            "(job.toml line 3)",
        ),
        (
            '[model]\ntask = "regression"\n[train]\nlabel_smoothing = 0.1',
            'train.label_smoothing is 0.1, which has no effect with model.task = "regression"; it is for '
            '"classification" (job.toml line 4)',
        ),
        (
            '[model]\ntask = "regression"\n[data]\nclass_weights = "balanced"',
            'data.class_weights is "balanced", which has no effect with model.task = "regression"; it is for '
            '"classification" (job.toml line 4)',
        ),
        (
            '[model]\ntask = "regression"\n[data]\nunknown_labels = "ignore"',
            'data.unknown_labels is "ignore", which has no effect with model.task = "regression"; it is for '
            '"classification" and "multilabel" (job.toml line 4)',
        ),
    ],
)
def test_a_key_of_another_task_is_refused(complaint, text, message):
    assert complaint(text) == message


# Documentation


def test_the_template_gives_the_defaults(loaded):
    assert loaded(template()) == Job()


def test_the_template_is_written_to_a_new_file_only(tmp_path):
    path = tmp_path / "job.toml"
    write_template(path)
    assert path.read_text() == template()
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"job\.toml: it exists already; name another file$"):
        write_template(path)
    assert path.read_text() == "mine"
    with pytest.raises(OutputError, match=r"^cannot write .*job\.toml: No such file or directory$"):
        write_template(tmp_path / "nowhere" / "job.toml")


def test_the_template_has_every_key_with_its_documentation():
    flowing = re.sub(r"\n# ", " ", template())
    for key in KEYS.values():
        assert re.search(rf"^(# )?{key.name} = ", template(), re.MULTILINE)
        assert f"{key.doc} " in flowing.replace("\n", " ")
    assert max(map(len, template().splitlines())) <= 120


def test_the_template_comments_out_what_another_key_decides():
    inactive = set(re.findall(r"^# (\w+) = ", template(), re.MULTILINE))
    of_data = {"test", "validation", "split", "header", "target", "id", "weight", "class_weights"}
    assert inactive == {
        "pretrained",
        "steps",
        "every_steps",
        "every_seconds",
        "weight_decay",
        "metric",
        "dir",
        *of_data,
    }


@pytest.mark.parametrize(
    "text",
    ["[data]\nclass_weights = { cat = 2, 'a dog' = 0.5 }\n", "[data.class_weights]\ncat = 2\n'a dog' = 0.5\n"],
)
def test_weights_of_classes_are_a_table_that_a_job_file_keeps(loaded, tmp_path, text):
    job = loaded(text)
    assert job.data.class_weights == {"cat": 2.0, "a dog": 0.5}
    assert load(job_file(tmp_path, to_toml(job), "again.toml")) == job
    assert loaded("", "data.class_weights={ cat = 2, 'a dog' = 0.5 }") == job
    assert loaded("", "data.class_weights=balanced").data.class_weights == "balanced"


def test_a_weight_of_a_class_that_cannot_be_is_named(complaint):
    assert "that of 'cat' is -1 (job.toml line 2)" in complaint("[data]\nclass_weights = { dog = 1, cat = -1 }\n")


@pytest.mark.parametrize(
    ("section", "active", "inactive"),
    [("train", "epochs", "steps"), ("checkpoint", "every_epochs", "every_seconds")],
)
def test_an_alternative_of_the_template_works_as_it_stands(loaded, section, active, inactive):
    head, body = template().split(f"[{section}]\n")
    body = re.sub(rf"^{active} = .*\n", "", body, count=1, flags=re.MULTILINE)
    body = re.sub(rf"^# ({inactive} = )", r"\1", body, count=1, flags=re.MULTILINE)
    job = loaded(f"{head}[{section}]\n{body}")
    assert getattr(getattr(job, section), inactive) > 0
    assert getattr(getattr(job, section), active) is None


def test_another_optimizer_in_the_template_brings_its_own_weight_decay(loaded):
    assert loaded(template(), "optimizer.name=sgd").optimizer == OptimizerConfig(name="sgd")


def test_the_reference_is_a_table_with_a_row_for_every_key():
    rows = reference().splitlines()
    assert rows[:2] == ["| Key | Default | Meaning |", "|---|---|---|"]
    assert [row.split("`")[1] for row in rows[2:]] == list(KEYS)
    assert all(row.count("|") == 4 for row in rows)
    assert (
        "| `train.global_batch_size` | `64` | Samples in a step, summed over all ranks. An integer, at least 1. |"
    ) in rows
    assert "| `train.steps` |  | Length of the training, in updates of the parameters." in reference()


# Imports


@pytest.mark.parametrize("module", ["dpnet.config", "dpnet.config.file"])
def test_importing_the_configuration_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not loaded & {"pydantic", "pydantic_core", "annotated_types", "numpy", "mpi4py"}


def test_a_configuration_without_any_value_is_made_without_pydantic():
    code = "import sys; from dpnet.config.file import load; load(None); assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)


# --- what a program gives ---


def test_a_program_may_give_a_job_a_path_or_a_dictionary(tmp_path):
    (tmp_path / "job.toml").write_text('[train]\nepochs = 3\n[optimizer]\nname = "sgd"\n')
    expected = load(tmp_path / "job.toml")
    all_given = (
        expected,
        str(tmp_path / "job.toml"),
        tmp_path / "job.toml",
        {"train": {"epochs": 3}, "optimizer": {"name": "sgd"}},
        {"train.epochs": 3, "optimizer.name": "sgd"},
        {"train": {"epochs": 3}, "optimizer.name": "sgd"},
        to_dict(expected),
    )
    for job in all_given:
        assert job_of(job) == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train": {"epochz": 3}}, "unknown key train.epochz (in the dictionary); did you mean train.epochs?"),
        ({"train.epochs": 0}, "train.epochs is 0; it must be at least 1 (in the dictionary)"),
        ({"epochs": 3}, "epochs"),
        ({"train": 3}, "train"),
        ({3: 4}, "3"),
        (["train.epochs=3"], "a job is a Job, the path of a job file or a dictionary; this is a list"),
        (None, "this is a NoneType"),
        ("nothing.toml", "cannot read the job file nothing.toml"),
    ],
)
def test_what_else_a_program_gives_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        job_of(wrong)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("name = adamw", '; a string is quoted: name = "adamw"'),
        ("source = /data/my files # mine", '; a string is quoted: source = "/data/my files"'),
        ("rate = 1e-3x", ""),
        ("list = [a, b]", ""),
        ('name = "adamw', ""),
    ],
)
def test_an_unquoted_string_is_shown_quoted(tmp_path, line, advice):
    (tmp_path / "job.toml").write_text(f"[optimizer]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "job.toml")
    assert str(caught.value).endswith(advice or line)


def test_layers_are_frozen_in_any_order(loaded):
    jobs = [loaded(f"[model]\nhidden_layers = [5, 5, 5, 5, 5]\nfreeze = {names}") for names in FROZEN]
    assert jobs == [jobs[0]] * len(jobs)
    assert jobs[0].model.freeze == ("0", "4", "10")


FROZEN = ('["0", "4", "10"]', '["10", "0", "4"]', '["4", "4", "10", "0"]')
