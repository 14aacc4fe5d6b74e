"""What stands for missing values of arrays. Fitted on training data, kept in checkpoints and with converted data.

    0.5  nan          0.5  7  1
    1.5    7    ->    1.5  7  0        data.missing = "indicator": a third input says where the second is missing

It is to arrays what a schema is to a table.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.data.tables.schema import Schema
from dpnet.errors import DataError
from dpnet.text import counted, shorten


@dataclass(frozen=True, eq=False)
class Fills:
    """What stands for missing values of arrays.

    Attributes:
        features: numbers in a sample as its source has them.
        values: (features,) float64, finite, what stands for a missing value of each; or (1,): of all. None: a missing
            value is refused.
        indicators: features, ascending, each of which is followed by another input: 1 where it is missing, else 0.
        filled: how many values were missing in the training samples, and in how many features.
    """

    features: int
    values: Vector | None
    indicators: tuple[int, ...] = ()
    filled: tuple[int, int] = (0, 0)

    @property
    def width(self) -> int:
        """Inputs that a sample becomes."""
        return self.features + len(self.indicators)

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """(features,) which input each feature becomes."""
        features = np.arange(self.features)
        return features + np.searchsorted(self.indicators, features)

    def same(self, other: Fills | None) -> bool:
        """Whether samples become the same inputs by others, whatever was missing in training."""
        if other is None or (self.features, self.indicators) != (other.features, other.indicators):
            return False
        if self.values is None or other.values is None:
            return self.values is other.values
        return bool(np.all(self.values == other.values))  # One number may stand for all.

    def record(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        values = None if self.values is None else self.values.tolist()
        kept = {"features": self.features, "values": values, "indicators": list(self.indicators)}
        return {**kept, "filled": list(self.filled)}

    def names(self) -> list[str]:
        """What the inputs are called: features by their numbers, from 0."""
        named = [str(feature) for feature in range(self.features)]
        for feature in reversed(self.indicators):
            named.insert(feature + 1, f"{feature} is missing")
        return named

    def text(self) -> str:
        """How many training values were filled in, for a line."""
        count, where = self.filled
        said = f"{counted(count, 'training value')} filled in, in {where:,} of {counted(self.features, 'feature')}"
        return f"{said}{self.indicators_text()}"

    def indicators_text(self) -> str:
        """What the indicators are, to end a line with; empty: there are none."""
        if not self.indicators:
            return ""
        verb = "says" if len(self.indicators) == 1 else "say"
        return f"; {len(self.indicators):,} more {'input' if verb == 'says' else 'inputs'} {verb} where"


def no_indicator(place: str, *, keeps_some: bool) -> DataError:
    """The error for values that are missing where a pretrained network has no input that says so.

    Args:
        place: the column.
        keeps_some: the network has such inputs of other columns.
    """
    ways = '"mean"' if keeps_some else '"mean" or "zero"'
    return DataError(
        f"{place}: values are missing, and the pretrained network (model.pretrained, train --from) has no input that "
        f"says where; expected data.missing = {ways}."
    )


def record_bytes(fills: Fills) -> int:
    """Bytes of the record in the manifest of a checkpoint, or somewhat more."""
    numbers = len(fills.indicators) + (0 if fills.values is None else len(fills.values))
    return len(json.dumps(fills.record())) + 4 * numbers  # Each stands on a line of its own.


def fills_of_schema(schema: Schema | None) -> Fills | None:
    """What stands for missing values where the columns of a table, all numbers, come as arrays; None: nothing."""
    features = () if schema is None else schema.features
    if any(feature.categories is not None for feature in features):
        return None
    filled = [feature.fill for feature in features if feature.fill is not None]
    values = np.array(filled) if len(filled) == len(features) else None
    indicators = tuple(place for place, feature in enumerate(features) if feature.indicator)
    return Fills(len(features), values, indicators) if filled or indicators else None


def recorded_fills(record: Any, width: int) -> Fills | None:
    """What a checkpoint recorded of missing values of arrays; None: nothing stands for them.

    Args:
        record: as `Fills.record` made it; but another program may have written it.
        width: inputs of the network.

    Raises:
        ValueError: this is no record of a network with so many inputs.
    """
    if record is None:
        return None
    try:
        features = _number(record["features"], 1)
        values = None if record["values"] is None else [_finite(value) for value in _list(record["values"])]
        indicators = tuple(_number(place, 0, features - 1) for place in _list(record["indicators"]))
        count, where = (_number(one, 0) for one in _list(record["filled"]))
        if values is not None and len(values) not in (1, features):
            raise TypeError(values)
        if list(indicators) != sorted(set(indicators)):
            raise TypeError(indicators)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        seen = shorten(repr(record))
        raise ValueError(f"what stands for missing values is {seen}, and not as dpnet writes it") from error
    if features + len(indicators) != width:
        raise ValueError(
            f"{counted(features, 'feature')} and {counted(len(indicators), 'indicator')} of missing values are "
            f"recorded; the network has {counted(width, 'input')}"
        )
    return Fills(features, None if values is None else np.array(values, np.float64), indicators, (count, where))


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError(value)
    return value


def _number(value: Any, least: int, most: int = 2**63 - 1) -> int:
    if type(value) is not int or not least <= value <= most:
        raise TypeError(value)
    return value


def _finite(value: Any) -> float:
    if type(value) is not float or not math.isfinite(value):
        raise TypeError(value)
    return value
