"""The schema of a table: which columns are inputs, and what each becomes. Fitted on training data, kept in checkpoints.

    age  colour  kind        age  blue  red
     31  red     a            31     0    1
     47  blue    b     ->     47     1    0        kind is the target

    number     one input: the number. Booleans are 0 and 1.
    category   one input for each text that the training data have, 1 where the row has it and 0 elsewhere (one-hot);
               0 everywhere for a text that they do not have, or that is missing. With data.min_frequency, for each
               frequent text; where they have rarer ones, too, another input, `unknown`, is 1 for every other text

A missing number is refused, or filled in as data.missing says; with "indicator" another input, the last of the column,
is 1 where it is missing. A missing text is no unknown one.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from dpnet.text import counted, listed, shorten


@dataclass(frozen=True)
class Feature:
    """What one column becomes.

    Attributes:
        name: of the column.
        categories: its texts, sorted, or the frequent ones of them; None: it is a number.
        fill: what stands for a missing number; None: a missing value is refused.
        indicator: whether another input says where it is missing.
        unknown: whether another input stands for texts that are no categories: rare ones of the training data, and
            those that they do not have.
    """

    name: str
    categories: tuple[str, ...] | None = None
    fill: float | None = None
    indicator: bool = False
    unknown: bool = False

    @property
    def width(self) -> int:
        """Inputs that it becomes."""
        return (1 if self.categories is None else len(self.categories)) + self.unknown + self.indicator


@dataclass(frozen=True)
class Schema:
    """What the columns of a table become.

    Attributes:
        target: column of the labels.
        target_is_text: its labels are text, whatever they look like.
        features: the columns that are inputs, in the order of the inputs.
        id: column that names the rows; None: there is none.
        unnamed: number of columns if the file had no header, and they are called 0, 1, ...; None: they have names.
        weight: column of the weights of the rows; None: there is none.
        more_targets: the other columns of labels, where there are several.
    """

    target: str
    target_is_text: bool
    features: tuple[Feature, ...]
    id: str | None = None
    unnamed: int | None = None
    weight: str | None = None
    more_targets: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """All columns of labels, in the order of the outputs."""
        return (self.target, *self.more_targets)

    @property
    def width(self) -> int:
        """Inputs of all features."""
        return sum(feature.width for feature in self.features)

    @property
    def texts(self) -> list[str]:
        """Columns to be read as text."""
        return self.categorical + self.verbatim

    @property
    def categorical(self) -> list[str]:
        """Inputs that are categories."""
        return [feature.name for feature in self.features if feature.categories is not None]

    @property
    def verbatim(self) -> list[str]:
        """Columns of text in which NA is no missing value, but an identifier, or an unknown label."""
        return [self.target] * self.target_is_text + ([] if self.id is None else [self.id])

    def record(self) -> dict[str, Any]:
        """The schema as a checkpoint keeps it."""
        record: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for name in ("unnamed", "weight", "more_targets"):
            if not record[name]:
                del record[name]  # As in checkpoints of versions that did not know it.
        for feature in record["features"]:
            if not feature["unknown"]:
                del feature["unknown"]  # Likewise.
        return record

    def text(self) -> str:
        """What it makes of the columns, for a line at the start."""
        kinds = [
            f"{shorten(feature.name, 20)} ({counted(len(feature.categories), 'category')}"
            f"{' and unknown' * feature.unknown})"
            for feature in self.features
            if feature.categories is not None
        ]
        verb = "makes" if len(self.features) == 1 else "make"
        made = f"{counted(len(self.features), 'column')} {verb} {counted(self.width, 'input')}"
        return f"{made}: {listed(kinds, 5)}" if kinds else made

    def counts_as(self, name: str) -> str:
        """What a text is that is no category of a column, as the end of a sentence."""
        if any(feature.unknown for feature in self.features if feature.name == name):
            return "that is no category of its own, and counts as unknown"
        return "that the training data do not have, and that counts as none"


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
        name, weight = (None if record.get(key) is None else _typed(record[key], str) for key in ("id", "weight"))
        of_target = _typed(record["target"], str), _typed(record["target_is_text"], bool)
        unnamed = None if record.get("unnamed") is None else _typed(record["unnamed"], int)
        more = tuple(_typed(other, str) for other in _typed(record.get("more_targets", []), list))
        schema = Schema(*of_target, features, name, unnamed, weight, more)
        if unnamed is not None and not all(feature.name.isdecimal() for feature in features):
            raise TypeError(features)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the schema of the table is {shorten(repr(record))}, and not as dpnet writes it") from error
    if schema.width != width or len({feature.name for feature in features}) != len(features):
        raise ValueError(f"the columns of the table make {schema.width} inputs; the network has {width}")
    return schema


def _feature(name: Any, categories: Any, fill: Any, indicator: Any, unknown: Any = False) -> Feature:
    texts = None if categories is None else tuple(_typed(text, str) for text in _typed(categories, list))
    if texts is not None and (not texts or list(texts) != sorted(set(texts))):
        raise TypeError(categories)
    number = None if fill is None else _typed(fill, float)
    if number is not None and not math.isfinite(number):
        raise TypeError(fill)
    if _typed(unknown, bool) and texts is None:
        raise TypeError(unknown)
    return Feature(_typed(name, str), texts, number, _typed(indicator, bool), unknown)


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(value)
    return value
