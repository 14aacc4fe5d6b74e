"""Fills in what is missing in samples: in memory, or, where a conversion reads them in parts, as they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dpnet.data.in_parts import InParts, is_wanted
from dpnet.data.missing.fills import Fills
from dpnet.data.missing.means import Counts, count_missing, piece_rows
from dpnet.data.readers.guards import check_memory
from dpnet.data.split import Inputs, Split
from dpnet.errors import DataError
from dpnet.text import counted

TO_TRAIN = "convert them first, which fills in missing values on the disk: dpnet data convert"
TO_APPLY = "missing values are filled in there; give fewer of them at a time"


def put_filled(fills: Fills, rows: Inputs, out: Inputs) -> None:
    """Write rows with what stands for their missing values, and with indicators, into `out`.

    Args:
        fills: what stands for them.
        rows: (rows, fills.features) of any real dtype.
        out: (rows, fills.width) of the same dtype. Overwritten.
    """
    places, missing = fills.places, np.isnan(rows) if rows.dtype.kind == "f" else np.zeros(rows.shape, np.bool_)
    out[:, places] = rows
    if fills.values is not None and missing.any():
        found, features = np.nonzero(missing)
        out[found, places[features]] = np.broadcast_to(fills.values, fills.features)[features]
    if fills.indicators:
        marked = list(fills.indicators)
        out[:, places[marked] + 1] = missing[:, marked]


class FilledParts(InParts):
    """Inputs that are filled in as they are read.

    Args:
        inputs: (rows, fills.features), mapped, in memory or in parts.
        fills: what stands for missing values.
    """

    def __init__(self, inputs: Inputs | InParts, fills: Fills) -> None:
        super().__init__(inputs.dtype, (len(inputs), fills.width), 1)
        self._inputs, self._fills = inputs, fills

    def read(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """See InParts."""
        out = np.empty((stop - start, self._fills.width), self.dtype)
        put_filled(self._fills, np.asarray(self._inputs[start:stop]), out)
        return out


def filled_inputs(inputs: Inputs | InParts, fills: Fills, file: str, way: str) -> Inputs:
    """The inputs with what stands for missing values; those that are given stay as they are.

    Args:
        inputs: (rows, fills.features).
        fills: what stands for missing values.
        file: with the inputs, for messages.
        way: what to do where there is no room for them.

    Raises:
        DataError: they do not fit in memory.
    """
    if is_wanted():
        return FilledParts(inputs, fills)  # type: ignore[return-value]  # See Split.
    rows, shape = len(inputs), (len(inputs), fills.width)
    seen = f"{counted(rows, 'sample')} of {counted(fills.width, 'input')}, with missing values filled in,"
    check_memory(file, rows * fills.width * inputs.itemsize, seen, way)
    raw, out, step = np.asarray(inputs), np.empty(shape, inputs.dtype), piece_rows(fills.width)
    for first in range(0, rows, step):
        put_filled(fills, raw[first : first + step], out[first : first + step])
    return out


def fill_splits(splits: Mapping[str, Split], fills: Fills, counts: Mapping[str, Counts], way: str) -> dict[str, Split]:
    """Samples with what stands for missing values.

    Where none is missing inputs stay as they are, as mapped ones. Splits that are rows of the same inputs still are.

    Args:
        splits: by name; none was filled in.
        fills: what stands for missing values.
        counts: how many are missing in each split.
        way: see `filled_inputs`.

    Raises:
        DataError: they do not fit in memory; or they were converted, without what stands for missing values.
    """
    with_gaps = {id(split.inputs) for name, split in splits.items() if fills.indicators or counts[name].any()}
    made: dict[int, Inputs] = {}
    found = {}
    for name, split in splits.items():
        key = id(split.inputs)
        if key in with_gaps:
            _refuse_converted(split, fills, int(counts[name].sum()))
            if key not in made:
                made[key] = filled_inputs(split.inputs, fills, split.inputs_file, way)
        found[name] = dataclasses.replace(split, inputs=made.get(key, split.inputs), fills=fills)
    return found


def _refuse_converted(split: Split, fills: Fills, count: int) -> None:
    """Refuse to fill in what was converted: its sums are those of other inputs."""
    if split.input_sums is not None:
        seen = f"{counted(count, 'value')} in it {'is' if count == 1 else 'are'} missing"
        if not count:
            seen = "the training data have inputs that say where values are missing"
        raise DataError(
            f"{split.inputs_file} was converted without what stands for missing values (data.missing), and {seen}; "
            "give the data that it was converted from."
        )


def check_features(split: Split, fills: Fills, what: str) -> None:
    """Raises DataError if samples have other features than those for which something stands; `what` has them."""
    if split.features != fills.features:
        added = " (indicators of missing values are added to them)" if fills.indicators else ""
        seen = f"{split.inputs_file} has {counted(split.features, 'feature')} a sample"
        raise DataError(f"{seen}; {what} {fills.features}{added}")


def apply_fills(split: Split, fills: Fills | None, what: str = "the network takes", way: str = TO_APPLY) -> Split:
    """Other samples than those to train on, with what stands for missing values in these.

    Args:
        split: the samples; what was converted may be filled in already.
        fills: of the training data; None: nothing stands for missing values.
        what: has, or takes, as many features as these should have, for messages.
        way: see `filled_inputs`.

    Raises:
        DataError: they have other features, or were filled in otherwise, or do not fit in memory.
    """
    if split.fills is not None or fills is None:
        if split.fills is not None and not split.fills.same(fills):
            there = "none" if fills is None else "others"
            raise DataError(
                f"{split.inputs_file} was converted with what stands for missing values in its own training samples, "
                f"and here it is {there} (data.missing); give the data that it was converted from."
            )
        return split
    check_features(split, fills, what)
    counts = count_missing(split)
    found = fill_splits({"": split}, fills, {"": counts}, way)[""]
    if fills.values is None or not counts.any():
        return found
    said = (
        f"{counted(int(counts.sum()), 'missing value')} filled in as in the training, in {np.count_nonzero(counts):,}"
    )
    remark = f"{split.inputs_file}: {said} of {counted(split.features, 'feature')}"
    return dataclasses.replace(found, remarks=(*found.remarks, remark))
