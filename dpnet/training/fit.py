"""Whether a job fits a run that has begun: what may change in it, what may not, and the sentences for both.

A run directory belongs to one job. It holds what this job gives when it is trained in one go, wherever the training was
interrupted in between. What a change of a key means follows from what the key governs, see `config.section.Governs`:

    result      refused
    length      later ends are fine if the steps so far are those of the longer training, too; earlier ones are refused
    operation   free

A training that goes on from a checkpoint in a directory of its own is another run, and may change more: all that the
vectors and the position of the checkpoint allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dpnet.config.file import to_flat_dict
from dpnet.config.job import Job
from dpnet.config.keys import KEYS, toml_value
from dpnet.config.section import Governs
from dpnet.data.identity import differences
from dpnet.data.partial_identity import partial_identity
from dpnet.data.sources import DataSource
from dpnet.files import same_path
from dpnet.text import shorten
from dpnet.training.build import build_schedule, count_steps, count_steps_per_epoch

SHARES = ("data.test", "data.validation")
"""Keys that hold samples out where they are numbers: another number leaves other samples to train on."""
OF_THE_STATE = (
    "model.task",
    "model.hidden_layers",
    "model.activation",
    "model.dtype",
    "data.scale",
    *SHARES,
    "train.global_batch_size",
    "train.seed",
    "train.reproducible_shards",
    "train.workers",
    "optimizer.name",
)
"""Keys on which the vectors and the position of a checkpoint depend."""
OF_THE_DATA = {
    "samples": "the number of training samples",
    "features": "the number of features",
    "classes": "the number of classes",
    "fingerprint": "the sha256 of training labels and some features",
}
"""What a checkpoint of an older dpnet recorded of its data, in words."""
NOT_TOLD = ("output.", "checkpoint.")
"""Beginnings of keys whose change concerns no number of the training."""


@dataclass(frozen=True)
class Fit:
    """How a job compares with that of a run.

    Attributes:
        result: keys that govern the result and differ, each with a sentence.
        state: those of them on which the vectors or the position of a checkpoint depend.
        past: why the run is past the end of the job; empty: it is not.
        length: why the length may not change as it does within the run.
        ends: sentences on a length that differs.
        notes: sentences on what differs and may differ.
        is_same: nothing differs but the operation.
    """

    result: Mapping[str, str]
    state: Sequence[str]
    past: str
    length: Sequence[str]
    ends: Sequence[str]
    notes: Sequence[str]
    is_same: bool

    @property
    def refusals(self) -> list[str]:
        """Why the job cannot go on with the run; empty: it can."""
        return [*self.result.values(), *([self.past] if self.past else self.length)]

    @property
    def differences(self) -> list[str]:
        """What makes the job another one than that of the run."""
        return self.refusals if self.past or self.length else [*self.result.values(), *self.ends]


class _Values(NamedTuple):
    """All keys of two jobs that are set, by full name."""

    before: Mapping[str, Any]
    now: Mapping[str, Any]

    def differ(self, key: str) -> bool:
        return bool(self.before.get(key) != self.now.get(key))

    def differ_in_share(self, key: str) -> bool:
        """Whether a share of the samples is held out now or was before, and not the same; paths go by their content."""
        values = self.before.get(key), self.now.get(key)
        return key in SHARES and values[0] != values[1] and any(isinstance(value, float) for value in values)

    def sentence(self, key: str) -> str:
        return f"{key} is {_shown(self.now, key)}, in the run it is {_shown(self.before, key)}"


def compare(before: Job, now: Job, *, step: int, num_samples: int) -> Fit:
    """Compare the job of a run that has taken `step` steps with another one, on so many training samples."""
    values = _Values(to_flat_dict(before), to_flat_dict(now))
    changed = [key for key in KEYS if values.differ(key)]
    of_result = [key for key in changed if KEYS[key].governs is Governs.RESULT or values.differ_in_share(key)]
    result = {key: values.sentence(key) for key in of_result}
    notes = [values.sentence(key) for key in changed if KEYS[key].governs is Governs.OPERATION and key not in result]
    notes = [note for note in notes if not note.startswith(NOT_TOLD)]
    ends = []
    steps = tuple(count_steps(job.train, num_samples) for job in (before, now))
    if steps[0] != steps[1] and _length(before) != _length(now):
        ends.append(_ends(before, now))
    if values.differ("evaluate.patience"):
        ends.append(values.sentence("evaluate.patience"))
    return Fit(
        result=result,
        state=_state(before, result),
        # Steps of another size, and epochs of other samples, count nothing of the run.
        past="" if {"train.global_batch_size", *SHARES} & set(result) else _past(now, step, steps[1]),
        length=[] if result or not step else [*_patience(before, now, values), *_jump(before, now, step, num_samples)],
        ends=ends,
        notes=[*notes, *ends],
        is_same=not result and not ends,
    )


def _state(before: Job, result: Mapping[str, str]) -> list[str]:
    found = [result[key] for key in OF_THE_STATE if key in result]
    if "optimizer.momentum" in result and before.optimizer.momentum == 0 and "optimizer.name" not in result:
        found.append(f"{result['optimizer.momentum']}: its checkpoints lack the vectors that momentum needs")
    return found


def _past(now: Job, step: int, steps: int) -> str:
    if steps >= step:
        return ""
    end = f"train.steps is {steps:,}" if now.train.steps else f"train.epochs is {now.train.epochs}, {steps:,} steps"
    return f"{end}; the run is past that, at step {step:,}"


def _patience(before: Job, now: Job, values: _Values) -> Iterator[str]:
    if (now.evaluate.patience or math.inf) < (before.evaluate.patience or math.inf):
        yield f"{values.sentence('evaluate.patience')}: it may have gone on where less patience ends it"


def _jump(before: Job, now: Job, step: int, num_samples: int) -> Iterator[str]:
    """Why the steps so far are not those of a training of the new length; nothing if they are."""
    old, new = (
        build_schedule(job, count_steps_per_epoch(job.train, num_samples), count_steps(job.train, num_samples))
        for job in (before, now)
    )
    if old(step - 1) != new(step - 1):
        yield (
            f"{_ends(before, now)}, and schedule.name is {toml_value(now.schedule.name)}, which depends on the length: "
            f"the learning rate would jump from {old(step - 1):.3g} to {new(step):.3g} after step {step:,}"
        )
    every = before.train.sync_every
    if before.train.workers and step % every and _length(before) != _length(now):
        yield (
            f"{_ends(before, now)}, and the workers met after the last step, {step:,}, which is no multiple of "
            f"train.sync_every, {every}: in a longer training they do not"
        )


def _ends(before: Job, now: Job) -> str:
    (key_before, end_before), (key_now, end_now) = _length(before), _length(now)
    return f"{key_now} is {end_now}, in the run {'it' if key_now == key_before else key_before} is {end_before}"


def _length(job: Job) -> tuple[str, int | None]:
    """The key that says how long a job trains, and its value."""
    return ("train.steps", job.train.steps) if job.train.steps else ("train.epochs", job.train.epochs)


def compare_data(before: Mapping[str, Any], identity: Mapping[str, Any], source: DataSource) -> tuple[list[str], str]:
    """How the data of a run differ from these, and what could not be compared.

    Args:
        before: what a checkpoint recorded of its data.
        identity: of the data now.
        source: the data now.
    """
    if "arrays" in before:
        return differences(before, identity), ""
    now = partial_identity(source)
    if "fingerprint" in before:
        compared = "all training labels, but only 256 rows of the training features and no test data"
    else:
        compared = "nothing of its data but the numbers of samples, features and classes"
        del now["fingerprint"]
    wrong = [
        f"{OF_THE_DATA[key]} is {now[key]}, in the run it is {shorten(str(before.get(key, 'unknown')))}"
        for key in now
        if before.get(key) != now[key]
    ]
    return wrong, f"the run was begun by an older dpnet, which recorded {compared}: these agree"


def other_pretrained(before: Any, now: Mapping[str, Any] | None, *, run: Path, goes_on: bool) -> list[str]:
    """A sentence if a run began with other parameters than a job; none if not.

    Args:
        before: what a checkpoint recorded, see `Pretrained.record`; its content may be anything; or the path alone.
        now: of the job; None: it begins with initial parameters.
        run: its directory.
        goes_on: the run was cut off, or the user goes on with it: the same path will do, whatever it leads to by now.
    """
    if before is None and now is None:
        return []
    old: Mapping[str, Any] = before if isinstance(before, Mapping) else {}
    path = old.get("path")
    is_there = now is not None and isinstance(path, str) and same_path(path, now["path"])
    if now is not None and "digest" in old and all(old.get(key) == now.get(key) for key in ("digest", "scaling")):
        return []
    if is_there and (goes_on or "digest" not in old):
        return []
    began, begins = _of_pretrained(old), _of_pretrained(now or {})
    hint = "" if now else f"; --from {shorten(str(old.get('path')), 200)} says that it does"
    if is_there:
        hint = f": it has changed since. --resume {run} goes on with the run as it began"
    elif now is not None and old.get("digest") == now["digest"]:
        hint = "; one of them comes with the scaling of its inputs"
    return [f"the job begins with {begins}, the run began with {began}{hint}"]


def _of_pretrained(record: Mapping[str, Any]) -> str:
    if "path" not in record:
        return "initial parameters"
    digest = f" (digest {record['digest']!s:.12}...)" if "digest" in record else ""
    return f"the parameters of {shorten(str(record['path']), 200)}{digest}"


def _shown(values: Mapping[str, Any], key: str) -> str:
    return shorten(toml_value(values[key]), 1000) if key in values else "not set"
