"""Data frames of any kind as tables of Arrow: pandas, polars, Arrow's own, and what has their protocols."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from dpnet.data.memory.arrays import as_array
from dpnet.data.tables.column import guarded_arrow
from dpnet.data.tables.files import Frame
from dpnet.errors import ConfigError, DataError
from dpnet.text import listed, shorten, words

PROTOCOLS = ("__arrow_c_stream__", "__dataframe__", "to_arrow")
"""What data frames have, of which each says how Arrow takes it over."""


def is_frame(data: Any) -> bool:
    """Whether a value is a data frame: it has columns, and a way to Arrow. A lazy one is none."""
    if type(data).__name__ == "LazyFrame":
        return False
    has_columns = any(hasattr(data, name) for name in ("columns", "column_names", "schema"))
    return not isinstance(data, type) and has_columns and any(hasattr(data, name) for name in PROTOCOLS)


def as_frame(data: Any, name: str) -> Frame:
    """A data frame as a table in memory; an index of row numbers or names is left out, as files leave it out.

    Raises:
        DataError: it cannot be taken over: a column holds values of several kinds, for example.
        ConfigError: pyarrow is not installed.
    """
    try:
        arrow = importlib.import_module("pyarrow")
    except ImportError as error:
        raise ConfigError(
            f"{name} is a table, which pyarrow takes over; install it: pip install 'dpnet[tables]'"
        ) from error
    with guarded_arrow(name):
        try:
            table = _taken_over(data, arrow)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise DataError(f"{name} cannot be used: {shorten(' '.join(map(str, error.args)), 200)}") from error
        table.validate(full=True)
        return Frame(name, table)


def _taken_over(data: Any, arrow: Any) -> Any:
    if isinstance(data, arrow.Table):
        return data
    if isinstance(data, arrow.RecordBatch):
        return arrow.Table.from_batches([data])
    if type(data).__module__.partition(".")[0] == "pandas":
        return arrow.Table.from_pandas(data, preserve_index=False)
    if hasattr(data, "to_arrow"):
        return data.to_arrow()
    if hasattr(data, "__arrow_c_stream__"):
        return arrow.table(data)
    return importlib.import_module("pyarrow.interchange").from_dataframe(data)


def column_names(data: Any) -> list[str]:
    """The names of the columns of a data frame."""
    return [*map(str, as_frame(data, "a data frame").arrow.column_names)]


def _in_order(data: Any, names: Sequence[str], what: str) -> Any:
    """The values of a data frame in the order of the names of columns, (rows, columns).

    Raises:
        DataError: it has other columns. A single column may have any name.
    """
    found = column_names(data)
    if len(names) == len(found) == 1:
        names = found
    if sorted(found) != sorted(names):
        raise DataError(
            f"{what} are a data frame with the columns {listed(found)}; expected {listed(names)}: name them alike, or "
            "give an array."
        )
    table = as_frame(data, what).arrow
    return np.stack([as_array(table.column(name), what, labels=True) for name in names], axis=1)


def with_columns(frame: Frame, names: Sequence[str], values: Any) -> Frame:
    """A table with further columns: the labels or the weights of its rows, that were given apart from it.

    Args:
        frame: the table.
        names: of the columns.
        values: (rows,) or (rows, columns).

    Raises:
        DataError: it has such a column itself, or there are more or fewer values.
    """
    arrow, table = importlib.import_module("pyarrow"), frame.arrow
    what = words([repr(name) for name in names], "and")
    if twice := [name for name in names if name in table.column_names]:
        raise DataError(
            f"{frame.name} has a column {twice[0]!r} itself, and was given with one apart from it; give the data frame "
            'alone, with data.target and data.weight, or set data.target = "another name".'
        )
    if is_frame(values):
        values = _in_order(values, names, f"{what} in memory")
    array = as_array(values, f"{what} in memory", labels=True)
    columns = array[:, np.newaxis] if array.ndim == 1 else array
    if columns.shape != (table.num_rows, len(names)):
        raise DataError(
            f"{what} in memory is of shape {array.shape}, and {frame.name} has {table.num_rows:,} rows; expected "
            f"{'a value' if len(names) == 1 else f'{len(names)} values'} for each row."
        )
    with guarded_arrow(frame.name):
        for name, column in zip(names, columns.T, strict=True):
            table = table.append_column(name, arrow.array(column.astype(column.dtype.newbyteorder("="))))
    return Frame(frame.name, table)
