"""Opens a source of samples by its name.

The first reader of a table that fits the source reads it. All readers return a Split, so nothing above this module
knows file formats. Every rank may open the same source: the ranks of a node then share the pages of mapped files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from dpnet.config.data import MEMORY, DataConfig
from dpnet.config.model import Task
from dpnet.data.class_weights import weigh_classes
from dpnet.data.missing.fills import Fills
from dpnet.data.numbering import have_columns, numbered_as
from dpnet.data.split import Indices, Split, UnknownLabels, check_split, require_labels, splits_by_name
from dpnet.data.tables.schema import Schema
from dpnet.data.tasks import Kind
from dpnet.errors import DataError

if TYPE_CHECKING:
    from dpnet.data.memory.given import Memory
    from dpnet.data.tables.encoding import Gaps

__all__ = [
    "DataSource",
    "Split",
    "open_source",
    "open_split",
    "require_labels",
]


@dataclass(frozen=True, eq=False)
class DataSource:
    """What a job trains on.

    Attributes:
        name: the source as it was given.
        train: training samples, with labels.
        test: test samples, with labels, numbered as those of the training data, and as many features; None if the
            source has none.
        schema: of a table; None: the source is none.
        validation: as `test`, but samples whose scores choose the best parameters and end the training.
    """

    name: str
    train: Split
    test: Split | None
    schema: Schema | None = None
    validation: Split | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that there are, by name, the training samples first."""
        return splits_by_name(self.train, self.validation, self.test)

    @property
    def eval_split(self) -> Literal["validation", "test"]:
        """The split that is evaluated during the training; it need not be there. Test data choose nothing then."""
        return "test" if self.validation is None else "validation"

    @property
    def features(self) -> int:
        """Numbers in one sample."""
        return self.train.features

    @property
    def outputs(self) -> int:
        """Numbers that a network should give for a sample: one for each class, target or label."""
        return self.train.outputs

    @property
    def kind(self) -> Kind:
        """What the labels are."""
        return self.train.kind


class Opened(NamedTuple):
    """The splits of a source as they are, and the schema of a table."""

    train: Split
    validation: Split | None
    test: Split | None
    schema: Schema | None

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that there are, by name, the training samples first."""
        return splits_by_name(self.train, self.validation, self.test)


def open_source(
    source: str,
    section: DataConfig | None = None,
    *,
    seed: int = 0,
    task: Task = "classification",
    memory: Memory | None = None,
    schema: Schema | None = None,
    fills: Fills | None = None,
) -> DataSource:
    """Opens data to train on.

    Args:
        source: "digits"; a folder of IDX or .npy files; an .npz, HDF5 or svmlight file; or a table. ~ is the home
            folder.
        section: what a job says of the data; None: the defaults.
        seed: decides which samples are held out to validate with, if a share of them is.
        task: what the labels are.
        memory: the data, where they lie in memory.
        schema: what the columns of a table become, as pretrained parameters need it; None: it is fitted.
        fills: likewise what stands for missing values of arrays.

    Raises:
        DataError: the source does not exist, is of no known kind or lacks the training samples or labels; or one of its
            files is damaged or holds what cannot be trained on.
    """
    opened = open_splits(source, section or DataConfig(), seed, task, memory, schema, fills)
    return number_source(source if memory is None else memory.name, opened, section or DataConfig())


def open_splits(
    source: str,
    section: DataConfig,
    seed: int,
    task: Task,
    memory: Memory | None = None,
    schema: Schema | None = None,
    fills: Fills | None = None,
) -> Opened:
    """Opens data as they are: splits have labels numbered by themselves, classes weigh alike; see `open_source`."""
    # Imported here because only one rank of a node reads, and of its kinds of sources it reads one.
    from dpnet.data.converted.reader import Converted
    from dpnet.data.tables.files import is_table

    if memory is not None:
        from dpnet.data.memory.opened import open_memory

        return Opened(*open_memory(memory, section, seed, task, schema, fills))
    if source == MEMORY:
        from dpnet.data.memory.opened import not_given

        raise not_given()
    path = os.path.expanduser(source)
    if Converted().fits(path):
        from dpnet.data.converted.source import open_converted

        return Opened(*open_converted(section, path, seed, task))
    if is_table(path):
        from dpnet.data.tables.source import open_tables

        return Opened(*open_tables(section, path, seed, task, kept=schema))
    from dpnet.data.arrays import open_arrays

    return Opened(*open_arrays(source, section, seed, task, kept=fills), None)


def number_source(source: str, opened: Opened, section: DataConfig) -> DataSource:
    """What a job trains on, of data that `open_splits` has opened; see `open_source`."""
    require_labels(opened.train)
    validation, test = (
        None if split is None else _scored(split, opened.train, name, section.unknown_labels)
        for split, name in ((opened.validation, "validation"), (opened.test, "test"))
    )
    train = weigh_classes(opened.train, section.class_weights)
    return DataSource(source, train, test, opened.schema, validation)


def _scored(split: Split, train: Split, name: str, unknown: UnknownLabels) -> Split:
    """Samples whose scores are computed, with their labels numbered as those of the training data.

    Raises:
        DataError: they have no labels, or others, or another number of features.
    """
    require_labels(split)
    if split.features != train.features:
        raise DataError(
            f"{split.inputs_file} has {split.features} features, but {train.inputs_file} has {train.features}; "
            f"training and {name} samples must have the same."
        )
    if split.outputs != train.outputs and have_columns(split):
        raise DataError(
            f"{split.labels_file} holds {split.outputs} {train.kind.words} for each sample, but {train.labels_file} "
            f"holds {train.outputs}; training and {name} samples must have the same."
        )
    return numbered_as(split, train.classes, of=f"the training data, {train.labels_file},", unknown=unknown)


def open_split(
    source: str | Memory,
    split: str = "test",
    schema: Schema | None = None,
    *,
    labelled: bool = True,
    section: DataConfig | None = None,
    indices: Indices | None = None,
    task: Task = "classification",
    column: str | None = None,
    gaps: Gaps = "apply",
    fills: Fills | None = None,
) -> Split:
    """Opens data to evaluate or predict.

    Args:
        source: as in `open_source`, but labels may be missing; or data of one split: an .npz or HDF5 file with x and
            perhaps y, an .npy or an IDX file of inputs, with its labels in the file beside it that the name of the
            inputs tells, or a file of svmlight text; or data in memory.
        split: one of SPLITS; data of one split serves as any.
        schema: of the table that the network was trained on; None: it was trained on arrays.
        labelled: see `tables.source.open_table`.
        section: of the job that trained the network; None: no job did.
        indices: of the features of the training data; None: not known.
        task: what the labels are.
        column: of a table, that says which rows are the split, if there is one; None: all rows are taken.
        gaps: of a table, see `encoding.encode`.
        fills: what stands for missing values of arrays in the network.

    Raises:
        DataError: as in `open_source`, or the source does not have the split; or it is a table, and there is no schema.
        ConfigError: what reads the source is not installed.
    """
    from dpnet.data.arrays import open_arrays_split
    from dpnet.data.converted.reader import Converted
    from dpnet.data.converted.source import open_converted_split
    from dpnet.data.memory.given import Memory
    from dpnet.data.memory.opened import open_memory_split
    from dpnet.data.missing.filled import apply_fills
    from dpnet.data.tables.files import is_table
    from dpnet.data.tables.source import open_table

    check_split(split)
    of_labels, part = task if labelled else None, None if column is None else (column, split)
    if isinstance(source, Memory):
        return open_memory_split(source, split, schema, of_labels, part, gaps, fills)
    path = os.path.expanduser(source)
    if is_table(path):
        if schema is None:
            raise DataError(f"{source} is a table, and the network was trained on arrays; give it arrays.")
        return open_table(path, schema, labelled=labelled, task=task, part=part, gaps=gaps)
    if Converted().fits(path) and Converted().has(path, split):
        return open_converted_split(path, split, schema, of_labels, fills)
    return apply_fills(open_arrays_split(source, split, section if schema is None else None, indices, of_labels), fills)
