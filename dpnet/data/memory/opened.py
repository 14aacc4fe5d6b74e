"""Opens data in memory: to train on, or to apply a network to."""

from __future__ import annotations

from dpnet.config.data import MEMORY, DataConfig
from dpnet.config.model import Task
from dpnet.data.arrays import open_arrays
from dpnet.data.memory.given import Memory
from dpnet.data.missing.filled import apply_fills
from dpnet.data.missing.fills import Fills
from dpnet.data.split import Split
from dpnet.data.tables.encoding import Gaps
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.source import open_table, open_tables
from dpnet.errors import DataError


def open_memory(
    memory: Memory,
    section: DataConfig,
    seed: int,
    task: Task,
    schema: Schema | None = None,
    fills: Fills | None = None,
) -> tuple[Split, Split | None, Split | None, Schema | None]:
    """Data to train on.

    Args:
        memory: the data.
        section: of the job.
        seed: see `sources.open_source`.
        task: see `sources.open_source`.
        schema: see `sources.open_source`.
        fills: likewise.

    Returns:
        the training samples, those to validate and to test with, if there are any, and the schema of a table.

    Raises:
        DataError: see `sources.open_source`; or a key names other data of a split than a data frame that was given.
    """
    if memory.arrays is not None:
        return *open_arrays(memory.name, section, seed, task, memory.arrays, fills), None
    others = {name: frame for name, frame in memory.frames.items() if name != "train"}
    for name in others:
        if (value := getattr(section, name)) is not None:
            raise DataError(f"data.{name} is {value}, and a data frame was given for it; leave one of the two out.")
    return open_tables(section, memory.frame("train"), seed, task, others, schema)


def open_memory_split(
    memory: Memory,
    split: str,
    schema: Schema | None,
    task: Task | None,
    part: tuple[str, str] | None,
    gaps: Gaps,
    fills: Fills | None,
) -> Split:
    """Data to evaluate or predict.

    Args:
        memory: the data.
        split: one of SPLITS; data of one split serve as any.
        schema: of the table that the network was trained on; None: it was trained on arrays.
        task: what the labels are; None: they are not looked at.
        part: see `tables.source.open_table`.
        gaps: likewise.
        fills: what stands for missing values of arrays in the network.

    Raises:
        DataError: see `sources.open_split`.
    """
    if memory.arrays is not None:
        return apply_fills(memory.arrays.read_only(split, task), fills)
    frame = memory.frame(split)
    if schema is None:
        raise DataError(f"{frame} is a table, and the network was trained on arrays; give it arrays.")
    return open_table(frame, schema, labelled=task is not None, task=task or "classification", part=part, gaps=gaps)


def not_given() -> DataError:
    """The error for data that lay in memory, and are not given now."""
    return DataError(
        f"the data of this job lay in memory (data.source is {MEMORY}); give them again, in Python: "
        "dpnet.train(job, data=...), dpnet.evaluate(network, data)."
    )
