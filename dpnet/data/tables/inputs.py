"""The inputs that columns become, which `encoding` has checked: numbers as they are, and categories one-hot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from dpnet.data.tables.column import Column
from dpnet.data.tables.schema import Feature, Schema
from dpnet.data.tables.texts import as_category

SIDE_BY_SIDE = 32
"""Inputs that are written together."""


def put_columns(inputs: npt.NDArray[np.float64], schema: Schema, column_of: Callable[[Feature], Column]) -> None:
    """Fill in the inputs of some rows.

    Args:
        inputs: (rows, inputs) to be filled in.
        schema: of the training data.
        column_of: gives the column of a feature, checked; it is called for one after the other.
    """
    first = 0
    for features in _side_by_side(schema):
        width = sum(feature.width for feature in features)
        turned = np.zeros((width, len(inputs)))
        start = 0
        for feature in features:
            block = turned[start : start + feature.width].T
            start += feature.width
            _put(block, feature, column_of(feature))
        inputs[:, first : first + width] = turned.T
        first += width


def _side_by_side(schema: Schema) -> Iterator[list[Feature]]:
    """The features in groups of some inputs: a column that is written alone touches a cache line for each row."""
    group: list[Feature] = []
    for feature in schema.features:
        group.append(feature)
        if sum(one.width for one in group) >= SIDE_BY_SIDE:
            yield group
            group = []
    if group:
        yield group


def _put(block: npt.NDArray[np.float64], feature: Feature, column: Column) -> None:
    """Fill in the inputs of a column that was checked."""
    missing = column.missing
    if feature.categories is None:
        block[:, 0] = column.values
        if missing is not None and feature.fill is not None:
            block[missing, 0] = feature.fill
    else:
        places = places_of(feature, column)
        rows = np.flatnonzero(places >= 0)
        block[rows, places[rows]] = 1
        if feature.unknown:
            block[(places < 0) & (column.values >= 0), len(feature.categories)] = 1
    if missing is None:
        return
    if feature.fill is None:
        block[missing] = np.nan
    elif feature.indicator:
        block[:, -1] = missing


def place_of(feature: Feature) -> dict[str, int]:
    """The input of each category among those of its column."""
    assert feature.categories is not None
    return {as_category(text): place for place, text in enumerate(feature.categories)}


def places_of(feature: Feature, column: Column) -> npt.NDArray[np.intp]:
    """(rows,) which category each row has; -1: none."""
    known = place_of(feature)
    of_text = np.array([*(known.get(as_category(str(text)), -1) for text in column.texts), -1])
    return np.asarray(of_text[column.values])
