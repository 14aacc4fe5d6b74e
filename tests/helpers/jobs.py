"""Small trainings for tests: how they are made, stopped, and compared."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import steps_in
from dpnet.checkpoint.format import step_name
from dpnet.comm.local import LocalGroup
from dpnet.parallel.step import Trainer

SMALL = {  # 12 steps an epoch, the last one short.
    "model.hidden_layers": [12],
    "train.global_batch_size": 128,
    "train.epochs": 3,
    "checkpoint.every_steps": 5,
    "evaluate.every_steps": 7,
    "output.log_every_steps": 4,
    "output.progress": "none",
}
ADAMW = {
    "optimizer.clip_norm": 0.5,
    "schedule.name": "step",
    "schedule.every_steps": 9,
    "schedule.warmup_steps": 3,
}
MOMENTUM = {"optimizer.name": "sgd", "optimizer.momentum": 0.9, "optimizer.learning_rate": 0.05}

Settings = dict[str, Any]


def make_job(path: Path, settings: Settings | None = None) -> dpnet.Job:
    """A small job whose run directory is `path`; a setting of None removes the one in SMALL."""
    merged = {**SMALL, "output.dir": str(path), **(settings or {})}
    return dpnet.load_job(None, [f"{key}={json.dumps(value)}" for key, value in merged.items() if value is not None])


def train(path: Path, settings: Settings | None = None, *, resume: str = "auto") -> dict[str, Any]:
    return dpnet.train(make_job(path, settings), LocalGroup(), resume=resume)


def save_data(path: Path, num_train: int, num_test: int | None = 6, *, features: int = 3, classes: int = 2) -> str:
    """Write an .npz of random samples."""
    generator = np.random.default_rng(num_train)
    arrays = {}
    for split, number in (("train", num_train), ("test", num_test)):
        if number is not None:
            arrays[f"x_{split}"] = generator.standard_normal((number, features)).astype(np.float32)
            arrays[f"y_{split}"] = np.arange(number) % classes
    np.savez(path, **arrays)
    return str(path)


def curve(path: Path) -> list[dict[str, Any]]:
    """The learning curve without speeds and events, which depend on time and on faults."""
    rows = [row for row in metrics(path) if "event" not in row]
    return [{key: value for key, value in row.items() if key != "samples_per_s"} for row in rows]


def metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a run directory's metrics.jsonl."""
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def outcome(path: Path) -> dict[str, Any]:
    """All results that must not depend on interruptions, to the bit."""
    summary = json.loads((path / "summary.json").read_text())
    kept = {}
    for step in steps_in(path / "checkpoints"):
        found = checkpoint.read(path / "checkpoints" / step_name(step))
        arrays = {
            (kind, name): array.tobytes() for kind in checkpoint.FILES for name, array in getattr(found, kind).items()
        }
        progress = {key: value for key, value in found.manifest["progress"].items() if key != "seconds"}
        kept[step] = (arrays, progress, found.manifest["epoch"], found.manifest["samples_of_epoch"])
    return {
        "summary": {key: value for key, value in summary.items() if key not in ("seconds", "samples_per_s")},
        "curve": curve(path),
        "checkpoints": kept,
        "links": {link.name: os.readlink(link) for link in (path / "checkpoints").iterdir() if link.is_symlink()},
    }


class Stopped(Exception):
    """Stands in for the end of the process."""


@contextlib.contextmanager
def stopped_after(step: int) -> Iterator[None]:
    """Whoever trains in the block is stopped after `step` steps, as if killed."""
    original = Trainer.step

    def stopping(self: Trainer, number: int, *requests: Any, **named: Any) -> Any:
        if number == step:
            raise Stopped
        return original(self, number, *requests, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", stopping)
        with pytest.raises(Stopped):
            yield


def train_until(path: Path, step: int, settings: Settings | None = None) -> None:
    """Train, and stop after `step` steps as if killed."""
    with stopped_after(step):
        train(path, settings)
