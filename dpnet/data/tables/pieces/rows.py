"""The inputs of a table that may be larger than memory, encoded a part at a time.

Each column is checked as a whole first, one after the other: what one column takes fits in memory.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from dpnet.data.in_parts import InParts
from dpnet.data.inputs import Inputs
from dpnet.data.tables.columns import Table
from dpnet.data.tables.encoding import Encoded, Gaps, Strange, checked_columns
from dpnet.data.tables.inputs import put_columns
from dpnet.data.tables.schema import Schema

LEAST_ROWS = 1024
"""Rows that are encoded at a time, however many columns there are: each column of a part costs some time of its own."""


class TableRows(InParts):
    """The inputs of the rows of a table, whose columns were checked.

    Args:
        schema: what the columns become.
        table: the data.
    """

    def __init__(self, schema: Schema, table: Table) -> None:
        super().__init__(np.dtype(np.float64), (table.rows, schema.width), LEAST_ROWS)
        self._schema, self._table = schema, table

    def read(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """See InParts.read."""
        table, inputs = self._table.window(start, stop), np.empty((stop - start, self._schema.width))
        put_columns(inputs, self._schema, lambda feature: table.columns[feature.name])
        return inputs


def encode_in_parts(schema: Schema, table: Table, gaps: Gaps = "train") -> Encoded:
    """As `encoding.encode`, but that the inputs are encoded when they are asked for."""
    strange = dict[str, Strange]()
    column_of = checked_columns(schema, table, gaps, strange)
    for feature in schema.features:
        column_of(feature)
    return Encoded(cast(Inputs, TableRows(schema, table)), strange)
