"""What a checkpoint holds besides vectors, and when it is taken."""

import os

import pytest
from helpers.jobs import metrics, train

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.format import STEP_NAME

STEPS = [4, 8, 12, 16, 20, 24, 25]


@pytest.fixture
def saved(tmp_path):
    """The manifests of a training of 1437 samples, 128 in a step and 12 steps in an epoch."""
    settings = {"train.epochs": None, "train.steps": 25, "evaluate.every_steps": 12, "checkpoint.every_steps": 4}
    train(tmp_path, {**settings, "checkpoint.keep_last": 9})
    found = [checkpoint.read(path) for path in sorted((tmp_path / "checkpoints").glob("step-*"))]
    return {one.step: one.manifest for one in found}


def test_the_manifest_says_where_in_which_epoch_the_training_is(saved):
    assert list(saved) == STEPS
    assert [one["epoch"] for one in saved.values()] == [step // 12 for step in STEPS]
    assert [one["samples_of_epoch"] for one in saved.values()] == [step % 12 * 128 for step in STEPS]
    assert [one["progress"]["step"] for one in saved.values()] == STEPS


def test_no_checkpoint_is_ahead_of_the_learning_curve(tmp_path, monkeypatch):
    fsync, rename, on_disk, saved = os.fsync, os.rename, [], {}

    def syncing(handle):
        if os.readlink(f"/proc/self/fd/{handle}").endswith("metrics.jsonl"):
            on_disk[:] = [row["step"] for row in metrics(tmp_path)]
        fsync(handle)

    def renaming(old, new, **how):
        if STEP_NAME.fullmatch(os.path.basename(new)):
            saved[int(os.path.basename(new)[5:])] = list(on_disk)
        rename(old, new, **how)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "rename", renaming)
    settings = {"output.log_every_steps": 1, "train.epochs": 1, "evaluate.every_steps": 0}
    train(tmp_path, settings)
    assert saved == {step: list(range(1, step + 1)) for step in (5, 10, 12)}
