"""What becomes of missing values, of a table as of arrays: to compare what a network knows with what data have."""

from __future__ import annotations

from typing import NamedTuple

from dpnet.data.missing.fills import Fills
from dpnet.data.tables.schema import Schema


class Gaps(NamedTuple):
    """What becomes of missing values.

    Attributes:
        indicators: the inputs, from 0, that say where a value is missing.
        values: what stands for a missing value of each column or feature; None: it is refused. Empty: nothing is known.
    """

    indicators: tuple[int, ...]
    values: tuple[float | None, ...]

    @classmethod
    def of(cls, schema: Schema | None, fills: Fills | None) -> Gaps:
        """Those of a table, or else of arrays."""
        if schema is not None:
            ends, end = [], 0
            for feature in schema.features:
                end += feature.width
                ends += [end - 1] if feature.indicator else []
            return cls(tuple(ends), tuple(feature.fill for feature in schema.features))
        if fills is None:
            return cls((), ())
        places = tuple(int(fills.places[feature]) + 1 for feature in fills.indicators)
        values = [] if fills.values is None else fills.values.tolist()
        return cls(places, tuple(values * fills.features if len(values) == 1 else values))
