"""Opens a source of samples by its name.

The first reader of a table that fits the source reads it. All readers return a Split, so nothing above this module
knows file formats. Every rank may open the same source: the ranks of a node then share the pages of mapped files.
"""

from __future__ import annotations

import difflib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from dpnet.config.data import DataConfig
from dpnet.data.class_weights import weigh_classes
from dpnet.data.digits import NAME, Digits
from dpnet.data.readers.guards import guarded
from dpnet.data.readers.idx import IdxFile, IdxFolder
from dpnet.data.readers.npy import NpyFile, NpyFolder
from dpnet.data.readers.npz import BareNpz, Npz
from dpnet.data.readers.recipes import conversion
from dpnet.data.split import SPLITS, Reader, Split, require_labels
from dpnet.data.tables.files import ENDINGS, is_table
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.source import open_table, open_tables
from dpnet.errors import DataError
from dpnet.files import where_from
from dpnet.text import listed, words

__all__ = [
    "READERS",
    "SPLIT_READERS",
    "DataSource",
    "Split",
    "check_classes",
    "open_source",
    "open_split",
    "require_labels",
]

READERS: tuple[Reader, ...] = (Digits(), IdxFolder(), NpyFolder(), Npz())
"""Readers of sources that can be trained on, with named splits and labels."""

SPLIT_READERS: tuple[Reader, ...] = (BareNpz(), NpyFile(), IdxFile(), *READERS)
"""Readers for evaluation and prediction: of sources with a single split, and of READERS."""

TABLE_KEYS = ("test", "header", "target", "id", "weight", "features", "ignore", "categorical", "missing")
"""Keys of [data] that only tables have."""
FEW_CLASSES = 10_000
"""So many classes are taken for classes, however few samples there are of each."""
MAX_FOLDERS = 100
"""Most folders that are searched for one that the user may have meant."""


@dataclass(frozen=True, eq=False)
class DataSource:
    """What a job trains on.

    Attributes:
        name: the source as it was given.
        train: training samples, with labels.
        test: test samples, with labels, numbered as those of the training data, and as many features; None if the
            source has none.
        schema: of a table; None: the source is none.
    """

    name: str
    train: Split
    test: Split | None
    schema: Schema | None = None

    @property
    def features(self) -> int:
        """Numbers in one sample."""
        return self.train.features

    @property
    def classes(self) -> int:
        """Number of classes of the training data."""
        return len(self.train.classes)


def open_source(source: str, section: DataConfig | None = None) -> DataSource:
    """Opens data to train on.

    Args:
        source: "digits", a folder of IDX files, an .npz file, a folder of .npy files or a table; ~ is the home folder.
        section: what a job says of the data; None: the defaults.

    Raises:
        DataError: the source does not exist, is of no known kind or lacks the training samples or labels; or one of its
            files is damaged or holds what cannot be trained on.
    """
    section = section or DataConfig()
    path, schema = os.path.expanduser(source), None
    if is_table(path):
        train, test, schema = open_tables(section, path)
    else:
        path, reader = _choose(source, READERS)
        _refuse_table_keys(section, source)
        train = reader.read(path, "train")
        test = reader.read(path, "test") if reader.has(path, "test") else None
    require_labels(train)
    if test is not None:
        require_labels(test)
        if test.features != train.features:
            raise DataError(
                f"{test.inputs_file} has {test.features} features, but {train.inputs_file} has {train.features}; "
                "training and test samples must have the same."
            )
        of = f"the training data, {train.labels_file},"
        test = test.numbered_as(train.classes, of=of, unknown=section.unknown_labels)
    return DataSource(source, weigh_classes(train, section.class_weights), test, schema)


def _refuse_table_keys(section: DataConfig, source: str) -> None:
    """Raises DataError if a key asks for what only tables have."""
    defaults = DataConfig()
    given = [key for key in TABLE_KEYS if getattr(section, key) != getattr(defaults, key)]
    if given:
        names, kinds = words([f"data.{key}" for key in given], "and"), ", ".join(ENDINGS)
        raise DataError(f"{names} can be set only for a table ({kinds}), and {source} is none; leave it out.")


def check_classes(source: DataSource) -> DataSource:
    """The source itself, if its labels can be those of classes.

    The output layer has one unit for every class. Identifiers in place of labels would make a network that fills the
    memory.

    Raises:
        DataError: most training samples have a class of their own, and there are many.
    """
    classes, samples = source.train.classes, len(source.train)
    if len(classes) > FEW_CLASSES and 2 * len(classes) > samples:
        raise DataError(
            f"{source.train.labels_file} holds {len(classes):,} different labels, {classes.text()}, for {samples:,} "
            "samples; expected those of classes, which several samples share. Are these identifiers, or targets that "
            "are numbers (regression)? Neither can be trained on."
        )
    return source


def open_split(source: str, split: str = "test", schema: Schema | None = None, *, labelled: bool = True) -> Split:
    """Opens data to evaluate or predict.

    Args:
        source: as in `open_source`, but labels may be missing; or data of one split: an .npz file with x and perhaps y,
            an .npy or an IDX file of inputs, with its labels in the file beside it that the name of the inputs tells.
        split: "train" or "test"; data of one split serves as either.
        schema: of the table that the network was trained on; None: it was trained on arrays.
        labelled: see `tables.source.open_table`.

    Raises:
        DataError: as in `open_source`, or the source does not have the split; or it is a table, and there is no schema.
    """
    assert split in SPLITS
    if is_table(os.path.expanduser(source)):
        if schema is None:
            raise DataError(f"{source} is a table, and the network was trained on arrays; give it arrays.")
        return open_table(os.path.expanduser(source), schema, labelled=labelled)
    path, reader = _choose(source, SPLIT_READERS)
    other = SPLITS[1 - SPLITS.index(split)]
    if not reader.has(path, split) and reader.has(path, other):
        raise DataError(f"{source} has no {split} samples, only {other} samples; --split={other} takes those.")
    return reader.read(path, split)


def _choose(source: str, readers: tuple[Reader, ...]) -> tuple[str, Reader]:
    path = os.path.expanduser(source)
    for reader in readers:
        if reader.fits(path):
            return path, reader
    descriptions = [*(reader.description for reader in readers), f"a table: {', '.join(ENDINGS)}"]
    kinds = "\n".join(["What is expected, one of:", *(f"  {kind}" for kind in descriptions)])
    if not os.path.exists(path):
        hint, start = _nearby(path), where_from(path)
        lines = [f'The data source "{source}" was not found{hint}.', *([start] if start and "mean" not in hint else [])]
        raise DataError("\n".join([*lines, kinds]))
    if (way := conversion(path)) is not None:
        raise DataError(way)
    if os.path.isdir(path):
        seen = f"it holds {listed(os.listdir(path))}{_deeper(path, readers)}"
        raise DataError(f'No data in the folder "{source}" can be used here; {seen}.\n{kinds}')
    raise DataError(f'The file "{source}" is of no kind that can be used here.\n{kinds}')


def _deeper(folder: str, readers: tuple[Reader, ...]) -> str:
    """A hint at folders up to two levels within that could be meant, to end a clause with."""
    inner = itertools.chain(Path(folder).glob("*/"), Path(folder).glob("*/*/"))
    fitting = [
        str(path) for path in itertools.islice(inner, MAX_FOLDERS) if any(reader.fits(str(path)) for reader in readers)
    ]
    return f" (did you mean {listed(fitting)}?)" if fitting else ""


def _nearby(path: str) -> str:
    """A hint at what the user may have meant by a path that does not exist, to end a clause with."""
    folder = Path(path).parent
    if not os.path.isdir(folder):
        return f' (nor was its folder "{folder}")'
    with guarded(str(folder)):
        names = os.listdir(folder)
    close = difflib.get_close_matches(Path(path).name, names, n=3, cutoff=0.7)
    paths = [os.path.join(os.path.dirname(path), name) for name in close]
    paths += difflib.get_close_matches(path, [NAME], cutoff=0.7)
    if paths:
        return f" (did you mean {listed(paths)}?)"
    return f' (the folder "{folder.absolute()}" holds {listed(names)})'
