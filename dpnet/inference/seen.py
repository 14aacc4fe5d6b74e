"""Whether a network was trained on the samples that it is applied to, or on some of them: its scores would flatter."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

from dpnet.config.data import DataConfig
from dpnet.data.converted.parse import read_manifest
from dpnet.data.converted.reader import Converted
from dpnet.data.hold_out import cut
from dpnet.data.parts.again import has_inputs
from dpnet.data.sources import Split, open_split
from dpnet.errors import DataError
from dpnet.files import same_path
from dpnet.inference.network import Network
from dpnet.text import words


def is_source(network: Network, source: str) -> bool:
    """Whether a path is that of the data that a network was trained on."""
    return same_path(source, network.job.data.source)


def is_cut(network: Network, split: str) -> bool:
    """Whether a training had other samples as this part than those that have the name of the split in its source."""
    data = network.job.data
    by_column = data.split is not None and network.schema is not None
    return bool(by_column or shares_of(data) or isinstance(getattr(data, split, None), str))


def was_scored(network: Network, part: str) -> bool:
    """Whether the training had samples of this part, as far as its checkpoint says."""
    arrays = network.data.get("arrays")
    return not isinstance(arrays, dict) or f"x_{part}" in arrays


def shares_of(data: DataConfig) -> list[float]:
    """The shares of the samples that are held out."""
    return [share for share in (data.test, data.validation) if isinstance(share, float)]


def seen_in_training(network: Network, source: str | None, split: str, samples: Split) -> list[str]:
    """A sentence where the samples are the data that the network was trained on, or some of them, wherever they lie.

    Of arrays nothing is said of all training samples by their name: these were asked for.

    Args:
        network: the network.
        source: of the samples; None: they lie in memory.
        split: that was asked for.
        samples: of the split.
    """
    arrays, data = network.data.get("arrays"), network.job.data
    recorded = arrays.get("x_train") if isinstance(arrays, dict) else None
    if source is not None and Converted().fits(os.path.expanduser(source)):
        again = split != "train" and has_inputs(samples, recorded)
        return [f"{source}: the {split} samples are those that the network was trained on"] if again else []
    if source is not None and (converted := _of_conversion(network, source, split)):
        return [converted]
    if network.schema is None and split == "train" and not shares_of(data):
        return []
    of = next(_trained_on(network, source, samples, recorded), "")
    if not of:
        return []
    held = [part for part in ("validation", "test") if was_scored(network, part) and is_cut(network, part)]
    held = held if of != "these rows" and source is not None and is_source(network, source) else []
    ways = f"; {words([f'--split={part}' for part in held], 'or')} takes what was held out" if held else ""
    if source is None:
        return [f"the data are those of the training: the network was trained on {of}"]
    return [f"{source} is the training data: the network was trained on {of}{ways}"]


def _of_conversion(network: Network, source: str, split: str) -> str:
    """A sentence where the data of the training were made of a source, some of whose rows are to be scored; or none."""
    folder, path = network.job.data.source, os.path.realpath(os.path.expanduser(source))
    if not Converted().fits(os.path.expanduser(folder)):
        return ""
    try:
        manifest = read_manifest(os.path.expanduser(folder))
    except DataError:
        return ""  # The folder is damaged: that is told where it is needed.
    mixes = manifest.schema is not None or (split == "train" and {"test", "validation"} & set(manifest.keys))
    if not mixes or not any(name == path or name.startswith(f"{path}{os.sep}") for name in manifest.source["files"]):
        return ""
    held = [f"--split={name}" for name in manifest.splits if name != "train"]
    ways = f"; {words(held, 'or')} without --data takes what was held out" if held else ""
    return f"{source} was converted into {folder}, on which the network was trained{ways}"


def _trained_on(network: Network, source: str | None, samples: Split, recorded: object) -> Iterator[str]:
    """On which of the samples a network was trained, in words, by the sums in its checkpoint; nothing: on none."""
    job, shares = network.job, shares_of(network.job.data)
    if has_inputs(samples, recorded):
        yield "these rows"
    if shares and samples.labels is not None and job.data.split is None:  # Labels say which rows were held out.
        try:
            rows = cut(samples.labels, job.data, file=samples.labels_file, seed=job.train.seed)["train"]
        except DataError:
            return  # Of so few rows none would be held out.
        if has_inputs(samples.part(rows), recorded):
            yield f"{math.prod(1 - share for share in shares):.0%} of these rows"
    if source is not None and job.data.split is not None and network.schema and samples.file_rows is None:
        try:
            part = open_split(source, "train", network.schema, task=job.model.task, column=job.data.split)
            if shares and part.labels is not None:
                part = part.part(cut(part.labels, job.data, file=source, seed=job.train.seed)["train"])
        except DataError:
            return  # There is no such column, or it names no such rows.
        if has_inputs(part, recorded):
            yield f"a part of these rows, as column {job.data.split!r} (data.split) says"
