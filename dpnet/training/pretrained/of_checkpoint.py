"""What a training begins with that goes out from a checkpoint, which knows what its inputs and outputs mean."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dpnet.checkpoint.contents import Contents
from dpnet.config.job import Job
from dpnet.config.keys import toml_value
from dpnet.data.scaling import Scaling
from dpnet.data.sources import DataSource
from dpnet.data.tables.schema import Schema
from dpnet.data.tasks import KINDS
from dpnet.errors import CheckpointError
from dpnet.nn.layout import Layout
from dpnet.text import counted, shorten
from dpnet.training.pretrained.begun import Begun, Transfer
from dpnet.training.pretrained.find import Pretrained
from dpnet.training.pretrained.gaps import Gaps

COLUMNS_SHOWN = 8
"""Columns that a line lists at most."""


def of_checkpoint(pretrained: Pretrained, content: Contents, job: Job, source: DataSource, layout: Layout) -> Transfer:
    """What a training begins with.

    Args:
        pretrained: what was found.
        content: what was read of it.
        job: the configuration.
        source: the data.
        layout: of the network.

    Raises:
        CheckpointError: these are not the parameters of such a network.
        ConfigError: a layer is to be frozen that starts anew.
    """
    if wrong := dict(_misfits(content, job, source)):
        raise CheckpointError(_refusal(pretrained, wrong))
    why = _other_outputs(content, job, source)
    begun = Begun(pretrained, job, layout, why)
    params = begun.params(content.layout.named(content.params))
    targets = None if why else content.scaling.targets
    told = [f"{begun.head}, with its scaling of the inputs{' and targets' * (targets is not None)}"]
    dtypes = content.job.model.dtype, job.model.dtype
    told += [f"its parameters are converted from {dtypes[0]} to {dtypes[1]}"] if dtypes[0] != dtypes[1] else []
    told += [*_columns(content, source), *([] if why else _renamed(content, job, source))]
    scaling = Scaling(content.scaling.offset, content.scaling.factor, targets)
    return Transfer(params, scaling, [*told, *begun.anew])


def _misfits(content: Contents, job: Job, source: DataSource) -> Iterator[tuple[str, Any]]:
    """What is another in the job than in the checkpoint: a key, with the value there; or a sentence, with None."""
    model, there = job.model, content.job.model
    for key, seen, expected in (
        ("model.hidden_layers", model.hidden_layers, there.hidden_layers),
        ("model.activation", model.activation, there.activation),
        ("data.scale", job.data.scale, content.job.data.scale),
    ):
        if seen != expected:
            yield f"{key} is {shorten(toml_value(seen))}, there it is {shorten(toml_value(expected))}", (key, expected)
    missing, filled = job.data.missing, content.job.data.missing
    # With "mean" a network that has indicators keeps them.
    if "error" not in (missing, filled) and (missing == "zero") != (filled == "zero"):
        yield f"data.missing is {toml_value(missing)}, there it is {toml_value(filled)}", ("data.missing", filled)
    least, before = job.data.min_frequency, content.job.data.min_frequency
    if None not in (content.schema, source.schema) and least not in (1, before):
        yield f"data.min_frequency is {least}, there it is {before}", ("data.min_frequency", before)
    inputs = content.layout.sizes[0]
    if source.features != inputs:
        width = counted(source.features, "feature")
        yield f"{source.name} has {width} a sample, there the network takes {inputs}", None
    if None not in (content.schema, source.schema) and _becomes(content.schema) != _becomes(source.schema):
        yield f"{source.name} was converted to other inputs than the columns became there; give it unconverted", None
    yield from _other_gaps(Gaps.of(source.schema, source.train.fills), Gaps.of(content.schema, content.fills), source)
    first, began = source.train.first_index, content.data.get("first_index")
    if None not in (first, began) and first != began:
        yield f"the features of {source.name} are counted from {first}, there they were counted from {began}", None


def _other_gaps(now: Gaps, then: Gaps, source: DataSource) -> Iterator[tuple[str, None]]:
    """That missing values become something else here than there, where both are known."""
    way = "give it unconverted, of the kind that the network was trained on: a table, or arrays"
    if (now.indicators or source.schema is not None) and now.indicators != then.indicators:
        yield f"{source.name} has other inputs than there that say where values are missing; {way}", None
    known = [pair for pair in zip(now.values, then.values, strict=False) if None not in pair]
    if len(now.values) == len(then.values) and any(one != other for one, other in known):
        yield f"other numbers than there stand for missing values of {source.name}; {way}", None


def _refusal(pretrained: Pretrained, wrong: Mapping[str, Any]) -> str:
    lines = [f"{pretrained.words}, does not fit this job:", *(f"  {text}" for text in wrong)]
    settings = [f"--set {shlex.quote(f'{key}={toml_value(value)}')}" for key, value in filter(None, wrong.values())]
    if settings:
        lines += ["What you can do: make the job fit it", f"    {' '.join(settings)}"]
    if any(found and found[0] == "data.scale" for found in wrong.values()):
        lines += ["or begin with its parameters alone, for inputs that are scaled anew"]
        lines += [f"    --from {shlex.quote(f'{pretrained.folder}/model.safetensors')}"]
    return "\n".join(lines)


def _other_outputs(content: Contents, job: Job, source: DataSource) -> str:
    """Why the outputs do not mean here what they meant there; empty: they do."""
    task, before = job.model.task, content.job.model.task
    if task != before:
        return f"it was trained with model.task = {toml_value(before)}"
    kind, now = KINDS[task], source.train.classes
    if kind.are_scaled:
        outputs = content.layout.sizes[-1]
        if outputs != source.outputs:
            return f"it gave {counted(outputs, 'target')}, here it is {counted(source.outputs, 'target')}"
        return _other_targets(content, source)
    if kind.in_rows:
        same = content.classes == now
    else:
        same = len(content.classes) == len(now) and np.array_equal(content.classes.number_of(now), np.arange(len(now)))
    old = f"{content.classes.text()} ({len(content.classes):,})"
    return "" if same else f"its {kind.words} were {old}, here they are {now.text()} ({len(now):,})"


def _other_targets(content: Contents, source: DataSource) -> str:
    """That the columns of the targets have other names; empty: they have not, or arrays have none."""
    were, are = (() if schema is None else schema.targets for schema in (content.schema, source.schema))
    return f"its target was {_names(were)}, here it is {_names(are)}" if were and are and were != are else ""


def _renamed(content: Contents, job: Job, source: DataSource) -> list[str]:
    """A line where the labels of another column are the same: 0 and 1 mean many things."""
    other = _other_targets(content, source)
    kept = f"the last layer is kept, as the {KINDS[job.model.task].words} are the same"
    return [f"note: {other}; {kept}"] if other else []


def _becomes(schema: Schema | None) -> list[tuple[Any, ...]]:
    """What the columns of a table become, but for what stands for missing values."""
    features = () if schema is None else schema.features
    return [(feature.name, feature.categories, feature.unknown, feature.indicator) for feature in features]


def _names(names: Sequence[str]) -> str:
    """Names of columns for a line, as many as it has room for."""
    shown = [shorten(name if name.isprintable() else ascii(name), 20) for name in names[:COLUMNS_SHOWN]]
    return ", ".join(shown) + ", ..." * (len(names) > COLUMNS_SHOWN)


def _columns(content: Contents, source: DataSource) -> list[str]:
    """A line on what the inputs are taken for, where that is not known on both sides."""
    if (content.schema is None) == (source.schema is None):
        return []
    schema = content.schema or source.schema
    assert schema is not None
    names = _names([feature.name for feature in schema.features])
    if content.schema is None:
        return [f"note: it knows no columns: those of {source.name} are taken for its inputs in this order: {names}"]
    return [f"note: its inputs were the columns {names}: the features of {source.name} are taken for them in order"]
