"""What is known of data that were looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ColumnInfo:
    """One column of a table, or one input.

    Attributes:
        name: of the column; of an input its number, from 0.
        kind: "number", "boolean", "text", or what else it holds.
        minimum: the smallest number; None: there are none.
        maximum: the largest.
        different: number of different values, where they were counted.
        examples: the first texts, in order.
        missing: values that are missing; of inputs those that are not finite.
        becomes: what dpnet would make of it.
    """

    name: str
    kind: str
    minimum: float | None = None
    maximum: float | None = None
    different: int | None = None
    examples: tuple[str, ...] = ()
    missing: int = 0
    becomes: str = ""


@dataclass(frozen=True)
class SplitInfo:
    """The samples of a split.

    Attributes:
        samples: how many there are.
        again: how many of them have the inputs of a training sample, to the bit.
        counts: of a classification, samples of each class, in the order of the classes; of several labels, of each.
        unknown: samples of a class that no training sample has.
        targets: of a regression, minimum, maximum, mean and deviation of each target.
    """

    samples: int
    again: int | None = None
    counts: tuple[int, ...] = ()
    unknown: int = 0
    targets: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Info:
    """What data are.

    Attributes:
        source: as it was given.
        columns: of the file, if it is a table; else its inputs.
        is_table: whether these are columns of a table.
        refused: why it cannot be trained on as the job says; empty: it can.
        task: what the labels are taken for.
        inputs: numbers of a sample, after encoding.
        dtype: of the inputs.
        classes: the labels that there are, or what several labels are called.
        outputs: of the network.
        splits: by name.
        constant: columns, or inputs, that have one value in all training samples.
        settings: keys by which all this was found, where they are not the defaults.
        layers: of the network that the job would train.
        scale: how inputs would be scaled.
        notes: sentences on what is odd.
    """

    source: str
    columns: tuple[ColumnInfo, ...] = ()
    is_table: bool = False
    refused: str = ""
    task: str = ""
    inputs: int = 0
    dtype: str = ""
    classes: tuple[Any, ...] = ()
    outputs: int = 0
    splits: Mapping[str, SplitInfo] = field(default_factory=dict)
    constant: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[int, ...] = ()
    scale: str = ""
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)
