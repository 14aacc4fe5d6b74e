"""Resuming: from which checkpoint a training goes on, and whether that checkpoint fits the job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import newest_whole, resolve
from dpnet.checkpoint.format import Checkpoint
from dpnet.config.file import from_dict, to_dict
from dpnet.config.job import Job
from dpnet.data.identity import differences, partial_identity
from dpnet.data.sources import DataSource
from dpnet.errors import CheckpointError, ConfigError
from dpnet.text import shorten

FIXED_KEYS = (
    "model.hidden_layers",
    "model.activation",
    "model.dtype",
    "data.scale",
    "train.global_batch_size",
    "train.seed",
    "train.reproducible_shards",
    "optimizer.name",
    "optimizer.nesterov",
)
"""Keys that cannot change within a training: the network, the samples or the optimizer vectors would be others."""


def choose(resume: str, checkpoints: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The checkpoint to go on from; None: start anew.

    Args:
        resume: "auto": the newest whole one in `checkpoints`, if any. "never": none. Else a path: of a checkpoint, or
            of a run directory, whose newest is taken.
        checkpoints: the folder of this job's checkpoints.
        warn: is called with a sentence for each damaged checkpoint that is passed over.

    Raises:
        CheckpointError: the checkpoint at the path, or every one in the folder, is damaged or missing.
    """
    if resume == "never":
        return None
    if resume == "auto":
        return newest_whole(checkpoints, warn)
    return checkpoint.read(resolve(Path(resume)))


def job_of(found: Checkpoint) -> Job:
    """The configuration of the training that wrote a checkpoint.

    Raises:
        CheckpointError: this dpnet does not know such a configuration.
    """
    try:
        return from_dict(found.manifest["config"], where="the checkpoint's manifest")
    except ConfigError as error:
        raise CheckpointError(f"the checkpoint was written by dpnet {found.manifest['dpnet']}: {error}") from error


def check_fits(found: Checkpoint, job: Job, identity: Mapping[str, Any], source: DataSource) -> list[str]:
    """Compare the job that wrote a checkpoint with this one.

    Args:
        found: the checkpoint.
        job: this job.
        identity: of this job's data.
        source: this job's data.

    Returns:
        a sentence for each setting that differs and may differ.

    Raises:
        CheckpointError: a setting differs that must not; the message lists all of these, with both values.
    """
    before, now = _flat(to_dict(job_of(found))), _flat(to_dict(job))
    changed = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    wrong = [_difference(key, before, now) for key in FIXED_KEYS if key in changed]
    others, notes = _compare_data(found.manifest["data"], identity, source)
    wrong += others
    if wrong:
        raise CheckpointError(
            f"the checkpoint of step {found.step} does not fit this job:\n  "
            + "\n  ".join(wrong)
            + "\nStart anew with --resume never, or write to another directory with --output DIR"
        )
    silent = ("output.", "data.source", "checkpoint.", "resilience.")
    return notes + [_difference(key, before, now) for key in sorted(changed) if not key.startswith(silent)]


def _compare_data(
    before: Mapping[str, Any], identity: Mapping[str, Any], source: DataSource
) -> tuple[list[str], list[str]]:
    """How the data of a checkpoint differ from these, and what could not be compared."""
    if "arrays" in before:
        return differences(before, identity), []
    old = partial_identity(source)
    if "fingerprint" not in before:
        compared = "of its data only the numbers of samples, features and classes"
        del old["fingerprint"]
    else:
        compared = "all training labels, but only 256 rows of the training features, and no test data"
    wrong = [_difference(f"data: {key}", before, old) for key in old if before.get(key) != old[key]]
    return wrong, [f"the checkpoint was written by an older dpnet, which recorded {compared}: these agree"]


def numerics_notes(found: Checkpoint, numerics: Mapping[str, Any], *, reproducible: bool, world_size: int) -> list[str]:
    """Sentences on what keeps this process from computing the same bits as the one that wrote a checkpoint.

    Args:
        found: the checkpoint.
        numerics: of this process, see `dpnet.compute.fingerprint`.
        reproducible: the bits do not depend on the number of ranks.
        world_size: number of ranks now.
    """
    if not reproducible and world_size != found.manifest["world_size"]:
        return []  # With another number of ranks the bits differ anyway.
    before = found.manifest["numerics"]
    changed = [key for key in numerics if numerics[key] != before.get(key)]
    return [f"{_difference(key, before, numerics)}: bits may differ from there on" for key in changed]


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def _difference(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    name = key.removeprefix("data: ")
    seen = shorten(str(before.get(name, "not set")), 1000)
    return f"{key} is {now.get(name, 'not set')}, in the checkpoint it is {seen}"
