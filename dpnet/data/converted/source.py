"""Converted data as a source: what a job says of its data must be what they were converted with."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from dpnet.config.data import DataConfig
from dpnet.config.file import from_dict
from dpnet.config.keys import setting
from dpnet.config.model import Task
from dpnet.data.arrays import COLUMNS, check_split_key, hold_out_shares, open_other, remarks_on_columns
from dpnet.data.converted.manifest import ANEW, Manifest, is_converted
from dpnet.data.converted.parse import read_manifest
from dpnet.data.converted.reader import read_split
from dpnet.data.missing.filled import TO_TRAIN, apply_fills
from dpnet.data.missing.fills import Fills
from dpnet.data.split import Split
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.source import open_table_named
from dpnet.errors import ConfigError, DataError

CONTENT_KEYS = (
    "test", "validation", "split", "header", "target", "id", "weight", "features", "ignore", "categorical",
    "min_frequency", "missing",
)  # fmt: skip
"""Keys of [data] that decide what is converted. All others are those of the training."""


def open_converted(
    section: DataConfig, path: str, seed: int, task: Task = "classification"
) -> tuple[Split, Split | None, Split | None, Schema | None]:
    """Opens converted data to train on.

    Args:
        section: of the job.
        path: of the folder.
        seed: see `sources.open_source`.
        task: see `sources.open_source`.

    Returns:
        the training samples; those to validate and to test with, if there are any; and the schema of a table.

    Raises:
        DataError: the data are damaged, or were converted with other keys than the job has, or for another task.
    """
    manifest = read_manifest(path)
    _check_keys(section, path, manifest, seed)
    own = {name: read_split(path, manifest, name, task) for name in manifest.splits}
    wanted = {name: None if name in own else getattr(section, name) for name in ("validation", "test")}
    _check_fitted(path, manifest, wanted)
    train = own.pop("train")
    left = dataclasses.replace(section, test=wanted["test"], validation=wanted["validation"])
    parts = hold_out_shares(left, train, seed)
    other = {
        name: open_table_named(name, value, manifest.schema, task, section.split)
        if manifest.schema is not None
        else apply_fills(
            open_other(f"data.{name}", value, train, section, task), train.fills, f"{train.inputs_file} has", TO_TRAIN
        )
        for name, value in wanted.items()
        if isinstance(value, str)
    }
    found = own | parts | other
    train = found.get("train", train)
    if manifest.schema is None:
        train = dataclasses.replace(train, remarks=(*train.remarks, *_of_columns(section, path, manifest, train)))
    return train, found.get("validation"), found.get("test"), manifest.schema


def keys_of(section: DataConfig) -> dict[str, Any]:
    """The keys that decide what is converted, and that do not have their defaults."""
    defaults = DataConfig()
    return {key: value for key in CONTENT_KEYS if (value := getattr(section, key)) != getattr(defaults, key)}


def with_keys(section: DataConfig, seed: int) -> DataConfig:
    """The section of a job, with the keys by which its data were converted where it leaves them out.

    So a job that leaves them out is the same job. Of data that are no converted ones, or are damaged, nothing is known.

    Args:
        section: of the job.
        seed: of the training: rows that another one held out are no share of this job.
    """
    path = os.path.expanduser(section.source)
    if not is_converted(path):
        return section
    try:
        manifest = read_manifest(path)
        recorded = {key: value for key, value in manifest.keys.items() if key in CONTENT_KEYS}
        known = keys_of(from_dict({"data": recorded}, where=path).data)
    except (DataError, ConfigError):
        return section  # That is told when they are opened.
    if manifest.seed not in (None, seed):
        known.pop("validation", None)
    return dataclasses.replace(section, **{**known, **keys_of(section)})


def seed_of(section: DataConfig, seed: int) -> int | None:
    """The seed of a training, if it decides what is converted."""
    return seed if isinstance(section.validation, float) else None


def _check_keys(section: DataConfig, path: str, manifest: Manifest, seed: int) -> None:
    for key, value in keys_of(section).items():
        before = manifest.keys.get(key)
        free = manifest.schema is None and key in COLUMNS and before is None
        if value == before or free or (key in ("test", "validation") and key not in manifest.splits):
            continue
        were = "without that key" if before is None else f"with {setting(f'data.{key}', before)}"
        if before is None and key in manifest.splits:
            were = f"from a source that has {key} samples of its own"
        raise DataError(
            f"{setting(f'data.{key}', value)} is asked for, and {path} was converted {were}; leave the key "
            f"out to take the data as they were converted, or {ANEW}."
        )
    if section.validation is not None and "validation" in manifest.splits and manifest.seed not in (None, seed):
        raise DataError(
            f"data.validation is {section.validation} with train.seed = {seed}, and {path} was converted with "
            f"train.seed = {manifest.seed}: other rows are held out. Leave data.validation out to take those that were "
            f"held out then, or {ANEW}."
        )


def _check_fitted(path: str, manifest: Manifest, wanted: dict[str, Any]) -> None:
    """Refuse to hold out other rows than those of the source, and rows by which columns were encoded."""
    schema = manifest.schema
    shares = [name for name, value in wanted.items() if isinstance(value, float)]
    if "test" in shares and isinstance(manifest.keys.get("validation"), float):
        raise DataError(
            f"data.test is {wanted['test']}, and {path} was converted without it, with data.validation = "
            f"{manifest.keys['validation']}: rows to test with are held out before those to validate with; {ANEW}, "
            f"with --set data.test={wanted['test']}."
        )
    columns = () if schema is None else schema.features
    fitted = [one.name for one in columns if one.categories is not None or one.fill is not None]
    was = f"column {fitted[0]!r} was encoded" if fitted else ""
    if manifest.fills is not None and manifest.keys.get("missing") != "zero":
        was = "what stands for missing values (data.missing) was found"
    if shares and was:
        key = f"data.{shares[0]}"
        raise DataError(
            f"{key} is {wanted[shares[0]]}, and {path} was converted without it: {was} by "
            f"all rows, and those held out may not enter that; {ANEW}, with --set {key}={wanted[shares[0]]}."
        )


def _of_columns(section: DataConfig, path: str, manifest: Manifest, train: Split) -> list[str]:
    target, weight, split = (None if key in manifest.keys else getattr(section, key) for key in COLUMNS)
    section = dataclasses.replace(section, target=target, weight=weight, split=split)
    check_split_key(section, path, [name for name in manifest.splits if name != "train"])
    return remarks_on_columns(section, path, train)


def open_converted_split(
    path: str, split: str, schema: Schema | None, task: Task | None, fills: Fills | None = None
) -> Split:
    """Opens converted data that a network is applied to.

    Args:
        path: of the folder.
        split: one of SPLITS.
        schema: of the table that the network was trained on; None: it was trained on arrays.
        task: what the labels are; None: they are not looked at.
        fills: what stands for missing values of arrays in the network.

    Raises:
        DataError: the data are damaged, have no such samples, or are of a table whose columns became other inputs.
    """
    manifest = read_manifest(path)
    if manifest.schema is not None and (schema is None or manifest.schema.record() != schema.record()):
        trained = "arrays" if schema is None else "a table whose columns became other inputs"
        raise DataError(
            f"{path} was converted from a table, and the network was trained on {trained}; give it the table itself, "
            "or the data that it was trained on."
        )
    found = read_split(path, manifest, split, task)
    return found if manifest.schema is not None else apply_fills(found, fills)
