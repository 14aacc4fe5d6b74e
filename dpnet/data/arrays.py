"""Sources of arrays, which are all but tables: their training, validation and test samples, as a job names them.

A source has test samples of its own, or data.test names them: another source, or a share of the training samples. So
it is with data.validation and the samples that the training is evaluated with.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Sequence

from dpnet.config.data import DataConfig
from dpnet.config.keys import toml_value
from dpnet.config.model import Task
from dpnet.data.converted.reader import Converted
from dpnet.data.hold_out import cut
from dpnet.data.missing.fills import Fills
from dpnet.data.missing.fit import fill_in
from dpnet.data.readers.choose import READERS, SPLIT_READERS, choose_reader
from dpnet.data.readers.hdf5 import named_in, read_hdf5
from dpnet.data.readers.hdf5_file import find_sets, is_hdf5
from dpnet.data.readers.interface import Reader
from dpnet.data.readers.svmlight import SvmFile
from dpnet.data.split import SPLITS, Indices, Split, require_labels
from dpnet.data.tables.files import ENDINGS, is_table
from dpnet.errors import DataError
from dpnet.text import words

TABLE_KEYS = ("header", "id", "ignore", "categorical", "min_frequency")
"""Keys of [data] that only tables have."""
COLUMNS = {"target": "labels", "weight": "weights", "split": "validation or test samples"}
"""Keys that name a column of a table, and what other sources have in its place."""


def open_arrays(
    source: str,
    section: DataConfig,
    seed: int,
    task: Task = "classification",
    memory: Reader | None = None,
    kept: Fills | None = None,
) -> tuple[Split, Split | None, Split | None]:
    """Opens arrays to train on.

    Args:
        source: as it was given.
        section: of the job.
        seed: see `sources.open_source`.
        task: see `sources.open_source`.
        memory: reads arrays in memory, of which `source` is the name then.
        kept: what stands for missing values in a network that was trained before; None: it is fitted.

    Returns:
        the training samples; and those of data.validation and of data.test, or the test samples that the source has.

    Raises:
        DataError: see `sources.open_source`.
        ConfigError: what reads the source is not installed.
    """
    path, reader = choose_reader(source, READERS) if memory is None else (source, memory)
    _refuse_keys(section, source, is_hdf5(path))
    names = named_in(section) if is_hdf5(path) else None
    if names is None and is_hdf5(path) and isinstance(section.target, str) and find_sets(path, (section.target,)):
        raise DataError(
            f"data.target is {section.target}, a data set of {path}, and data.features is not set; name the inputs, "
            'too: data.features = ["x_train"], for example.'
        )
    if names is not None:
        train, own = read_hdf5(path, *names, task=task), {}
        if names[2] and train.weights is None:
            raise DataError(f"{path} has no data set {names[2]} (data.weight); leave the key out, or name another.")
    else:
        train = reader.read(path, "train", task)
        own = {name: reader.read(path, name, task) for name in ("validation", "test") if reader.has(path, name)}
    require_labels(train)
    check_split_key(section, source, own)
    remarks = remarks_on_columns(section, source, train) if names is None else []
    wanted = {"validation": section.validation, "test": section.test}
    for name, split in own.items():
        if wanted[name] is not None:
            raise DataError(
                f"data.{name} is {wanted[name]}, but data.source has {name} samples of its own, {split.inputs_file}; "
                "leave the key out, or give data without them."
            )
    parts = hold_out_shares(section, train, seed)
    validation, test = (
        open_other(f"data.{name}", value, train, section, task)
        if isinstance(value, str)
        else parts.get(name, own.get(name))
        for name, value in wanted.items()
    )
    train = parts.get("train", train)
    train = dataclasses.replace(train, remarks=(*train.remarks, *remarks))
    return fill_in(section.missing, train, validation, test, kept)


def hold_out_shares(section: DataConfig, train: Split, seed: int) -> dict[str, Split]:
    """The samples to train on and those that keys hold out as shares; empty: they hold out none."""
    shares = {f"data.{key}": getattr(section, key) for key in ("test", "validation")}
    shares = {key: value for key, value in shares.items() if isinstance(value, float)}
    if not shares:
        return {}
    rows = cut(require_labels(train), section, file=train.labels_file, seed=seed)
    parts = {name: train.part(some) for name, some in rows.items()}
    if any(part.weights is not None and not part.weights.any() for part in parts.values()):
        keys = words([f"{key} is {value}" for key, value in shares.items()], "and")
        raise DataError(
            f"{keys}: the samples of {train.labels_file} that are held out, or those to train on, would weigh 0 "
            "together; take another share, another train.seed, or a file of its own."
        )
    return parts


def open_other(key: str, source: str, train: Split, section: DataConfig, task: Task = "classification") -> Split:
    """The samples that data.test or data.validation names.

    Args:
        key: that names them, for messages.
        source: its value.
        train: the training samples.
        section: of the job.
        task: what their labels are.

    Raises:
        DataError: they cannot be read, are a table, or it is not clear which are meant.
        ConfigError: what reads them is not installed.
    """
    if is_table(os.path.expanduser(source)):
        raise DataError(
            f"{key} is {source}, a table, and data.source, {section.source}, is none; give the same kind for both."
        )
    path, reader = choose_reader(source, SPLIT_READERS, key)
    like = Indices(train.features_in_file, train.first_index)
    if isinstance(reader, Converted) and reader.is_table(path):
        raise DataError(
            f"{key} is {source}, which was converted from a table, and data.source, {section.source}, is none; give "
            "the same kind for both."
        )
    if (keyed := open_keyed(path, section, task)) is not None:
        return keyed
    splits = [split for split in SPLITS if reader.has(path, split)]
    if reader in READERS and len(splits) > 1:
        if key == "data.test" and "test" in splits:
            return read_like(reader, path, "test", like, task)
        raise DataError(
            f"{key} is {source}, which holds samples of several kinds ({words(splits, 'and')}); name the "
            "file of those that are meant, or a share such as 0.1."
        )
    return read_like(reader, path, splits[0] if splits else "test", like, task)


def open_keyed(path: str, section: DataConfig | None, task: Task | None) -> Split | None:
    """The samples of an HDF5 file in the data sets that a job names; None: it is none, or does not hold them."""
    names = named_in(section) if section is not None and is_hdf5(path) else None
    if names is None or names[0] not in find_sets(path, names[:1]):
        return None
    split = read_hdf5(path, *names, task=task)
    if names[2] and split.weights is None and split.labels is not None:
        remark = f"{path} has no data set {names[2]} (data.weight): every sample counts as 1"
        split = dataclasses.replace(split, remarks=(*split.remarks, remark))
    return split


def open_arrays_split(
    source: str, split: str, section: DataConfig | None, indices: Indices | None, task: Task | None
) -> Split:
    """Arrays that a network is applied to, see `sources.open_split`; values may be missing.

    Args:
        source: as it was given.
        split: one of SPLITS; data of one split serves as any.
        section: of the job that trained the network on arrays; None: no job did.
        indices: see `sources.open_split`.
        task: what the labels are; None: they are not looked at.
    """
    if (keyed := open_keyed(os.path.expanduser(source), section, task)) is not None:
        return keyed
    path, reader = choose_reader(source, SPLIT_READERS)
    if not reader.has(path, split) and (others := [other for other in SPLITS if reader.has(path, other)]):
        seen, ways = words(others, "and"), words([f"--split={other}" for other in others], "or")
        raise DataError(f"{source} has no {split} samples, only {seen} samples; {ways} takes those.")
    return read_like(reader, path, split, indices, task)


def read_like(reader: Reader, path: str, split: str, like: Indices | None, task: Task | None) -> Split:
    """A split of a source, with features that are numbered as those of the training data."""
    if isinstance(reader, SvmFile):
        return reader.read(path, split, task, like)
    return reader.read(path, split, task)


def _refuse_keys(section: DataConfig, source: str, hdf5: bool) -> None:
    """Raises DataError if a key asks for what the source does not have."""
    defaults = DataConfig()
    keys: Sequence[str] = TABLE_KEYS if hdf5 else (*TABLE_KEYS, "features")
    given = [f"data.{key}" for key in keys if getattr(section, key) != getattr(defaults, key)]
    if given:
        names, kinds = words(given, "and"), ", ".join(ENDINGS)
        raise DataError(f"{names} can be set only for a table ({kinds}), and {source} is none; leave it out.")


def check_split_key(section: DataConfig, source: str, own: Collection[str]) -> None:
    """Raises DataError if a column is to say which samples are held out, and no samples are in place of it."""
    if section.split is not None and not own:
        raise DataError(
            f"data.split is {section.split}, a column of a table, and {source} has neither validation nor test "
            "samples; leave it out, and give these as x_validation and x_test, or by data.validation and data.test."
        )


def remarks_on_columns(section: DataConfig, source: str, train: Split) -> list[str]:
    """Sentences on keys that name a column, which the source does not have: the job is one for a table, too.

    Raises:
        DataError: there is nothing in place of the column.
    """
    if section.weight is not None and train.weights is None:
        raise DataError(
            f"data.weight is {section.weight}, a column of a table, and {source} has no weights; leave it out, or give "
            "them beside the labels, as w_train."
        )
    return [
        f"data.{key} ({_shown(value)}) means a column of a table; {source} has {what} of its own"
        for key, what in COLUMNS.items()
        if (value := getattr(section, key)) is not None
    ]


def _shown(value: str | int | tuple[str | int, ...]) -> str:
    return repr(value) if isinstance(value, str | int) else toml_value(value)
