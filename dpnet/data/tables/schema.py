"""The schema of a table: which columns are inputs, and what each becomes. Fitted on training data, kept in checkpoints.

    age  colour  kind        age  blue  red
     31  red     a            31     0    1
     47  blue    b     ->     47     1    0        kind is the target

    number     one input: the number. Booleans are 0 and 1.
    category   one input for each text that the training data have, 1 where the row has it and 0 elsewhere (one-hot);
               0 everywhere for a text that they do not have, or that is missing

A missing number is refused, or filled in as data.missing says; with "indicator" another input is 1 where it is missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.data.tables.columns import Table
from dpnet.data.tables.files import is_number
from dpnet.errors import DataError
from dpnet.text import counted, listed, shorten

EXACT = 2**53
"""Up to this one float64 tells integers apart."""
SIDE_BY_SIDE = 32
"""Inputs that are written together."""


@dataclass(frozen=True)
class Feature:
    """What one column becomes.

    Attributes:
        name: of the column.
        categories: its texts, sorted; None: it is a number.
        fill: what stands for a missing number; None: a missing value is refused.
        indicator: whether another input says where it is missing.
    """

    name: str
    categories: tuple[str, ...] | None = None
    fill: float | None = None
    indicator: bool = False

    @property
    def width(self) -> int:
        """Inputs that it becomes."""
        return (1 if self.categories is None else len(self.categories)) + self.indicator


class Encoded(NamedTuple):
    """The inputs that a table becomes.

    Attributes:
        inputs: (rows, inputs) float64.
        strange: texts that are no category of their column, by its name, and in how many rows.
    """

    inputs: npt.NDArray[np.float64]
    strange: dict[str, tuple[list[str], int]]


@dataclass(frozen=True)
class Schema:
    """What the columns of a table become.

    Attributes:
        target: column of the labels.
        target_is_text: its labels are text, whatever they look like.
        features: the columns that are inputs, in the order of the inputs.
        id: column that names the rows; None: there is none.
    """

    target: str
    target_is_text: bool
    features: tuple[Feature, ...]
    id: str | None = None

    @property
    def width(self) -> int:
        """Inputs of all features."""
        return sum(feature.width for feature in self.features)

    @property
    def texts(self) -> list[str]:
        """Columns to be read as text."""
        of_features = [feature.name for feature in self.features if feature.categories is not None]
        return of_features + [self.target] * self.target_is_text + ([] if self.id is None else [self.id])

    def record(self) -> dict[str, Any]:
        """The schema as a checkpoint keeps it."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    def encode(self, table: Table) -> Encoded:
        """The inputs that a table becomes. Its columns may stand in any order; others are left alone.

        Raises:
            DataError: a column is not there or of another kind, or a value is missing or infinite.
        """
        absent = [feature.name for feature in self.features if feature.name not in table.columns]
        if absent:
            raise DataError(
                f"{table.file} has no column {listed(absent)}, which the training data had; "
                f"it has {listed(table.columns)}."
            )
        inputs = np.empty((table.rows, self.width))
        strange: dict[str, tuple[list[str], int]] = {}
        first = 0
        for features in self._side_by_side():
            width = sum(feature.width for feature in features)
            turned = np.zeros((width, table.rows))
            start = 0
            for feature in features:
                block = turned[start : start + feature.width].T
                start += feature.width
                if feature.categories is None:
                    _put_numbers(block, feature, table)
                elif (found := _put_categories(block, feature, table))[1]:
                    strange[feature.name] = found
            inputs[:, first : first + width] = turned.T
            first += width
        return Encoded(inputs, strange)

    def _side_by_side(self) -> Iterator[list[Feature]]:
        """The features in groups of some inputs: a column that is written alone touches a cache line for each row."""
        group: list[Feature] = []
        for feature in self.features:
            group.append(feature)
            if sum(one.width for one in group) >= SIDE_BY_SIDE:
                yield group
                group = []
        if group:
            yield group

    def text(self) -> str:
        """What it makes of the columns, for a line at the start."""
        kinds = [
            f"{shorten(feature.name, 20)} ({len(feature.categories):,} categories)"
            for feature in self.features
            if feature.categories is not None
        ]
        made = f"{counted(len(self.features), 'column')} make {counted(self.width, 'input')}"
        return f"{made}: {listed(kinds, 5)}" if kinds else made


def recorded_schema(record: Any, width: int) -> Schema | None:
    """The schema that a checkpoint recorded; None: it was trained on no table.

    Args:
        record: as `Schema.record` made it; but another program may have written it.
        width: inputs of the network.

    Raises:
        ValueError: this is no schema of a network with so many inputs.
    """
    if record is None:
        return None
    try:
        features = tuple(_feature(**entry) for entry in record["features"])
        name = record.get("id")
        of_target = _typed(record["target"], str), _typed(record["target_is_text"], bool)
        schema = Schema(*of_target, features, None if name is None else _typed(name, str))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the schema of the table is {shorten(repr(record))}, and not as dpnet writes it") from error
    if schema.width != width or len({feature.name for feature in features}) != len(features):
        raise ValueError(f"the columns of the table make {schema.width} inputs; the network has {width}")
    return schema


def _feature(name: Any, categories: Any, fill: Any, indicator: Any) -> Feature:
    texts = None if categories is None else tuple(_typed(text, str) for text in _typed(categories, list))
    if texts is not None and (not texts or list(texts) != sorted(set(texts))):
        raise TypeError(categories)
    number = None if fill is None else _typed(fill, float)
    if number is not None and not math.isfinite(number):
        raise TypeError(fill)
    return Feature(_typed(name, str), texts, number, _typed(indicator, bool))


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _put_numbers(block: npt.NDArray[np.float64], feature: Feature, table: Table) -> None:
    """Fills in a column of numbers or booleans."""
    name, column = feature.name, table.columns[feature.name]
    if column.kind == "text":
        strange = (row for row, text in enumerate(column.values) if text >= 0 and not is_number(column.texts[text]))
        row = next(strange, 0)
        value = shorten(repr(str(column.texts[column.values[row]])))
        raise DataError(f"{table.place(row, name)}: the value is {value}; expected a number.")
    if column.kind == "other":
        raise DataError(f"{table.file}, column {name!r} holds {column.words}; expected numbers, as in training.")
    numbers = block[:, 0]
    numbers[:] = column.values
    if column.values.dtype.kind in "iu" and (wide := (column.values > EXACT) | (column.values < -EXACT)).any():
        row = int(np.argmax(wide))
        seen = f"{table.place(row, name)}: the value is {column.values[row]}, beyond 2**53"
        raise DataError(f'{seen}: its neighbours would be the same input; leave it out: data.ignore = ["{name}"].')
    if column.missing is not None:
        if feature.fill is None:
            raise missing_value(table, name)
        numbers[column.missing] = feature.fill
        if feature.indicator:
            block[:, 1] = column.missing
    if not (finite := np.isfinite(numbers)).all():
        row = int(np.argmin(finite))
        raise DataError(f"{table.place(row, name)}: the value is {numbers[row]}; expected a finite number.")


def _put_categories(block: npt.NDArray[np.float64], feature: Feature, table: Table) -> tuple[list[str], int]:
    """Fills in a column of text; returns the texts that are no category, and the number of rows that have one."""
    column = table.columns[feature.name]
    assert feature.categories is not None
    if column.kind != "text":
        raise DataError(f"{table.file}, column {feature.name!r} holds {column.words}; expected text, as in training.")
    if column.missing is not None:
        if feature.fill is None:
            raise missing_value(table, feature.name)
        if feature.indicator:
            block[:, -1] = column.missing
    place_of = {text: place for place, text in enumerate(feature.categories)}
    places = np.array([*(place_of.get(str(text), -1) for text in column.texts), -1])[column.values]
    rows = np.flatnonzero(places >= 0)
    block[rows, places[rows]] = 1
    strange = sorted(str(text) for text in column.texts if str(text) not in place_of)
    return strange, int(((places < 0) & (column.values >= 0)).sum())


def missing_value(table: Table, name: str) -> DataError:
    """The error for a column in which a value is missing."""
    missing = table.columns[name].missing
    assert missing is not None
    seen, number = table.place(np.argmax(missing), name), counted(int(missing.sum()), "row")
    return DataError(
        f"{seen}: the value is missing, as in {number} of {len(missing):,}; to train with such values: "
        'data.missing = "mean", "zero" or "indicator".'
    )
