"""The identity of data: what tells them from all other data, to the last bit, on any number of ranks.

    rows     |--- chunk 0 ---|--- chunk 1 ---|-- ... --|     the chunks of `statistics`, each on any rank
                   sha256          sha256                    while the chunk is measured
                     └──────┬────────┘
                         sha256                              of the sums of all chunks, in order

Every row of every split counts, inputs, labels and weights, with the type and the shape of the array. What does not
count is where the data lie, and in which format: the same arrays have the same identity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dpnet.compute.arrays import Targets
from dpnet.data.classes import label_list
from dpnet.data.sources import DataSource, require_labels
from dpnet.data.split import Inputs, Split
from dpnet.data.statistics import chunks, tiles
from dpnet.errors import DataError
from dpnet.text import shorten

ARRAYS = {
    f"{array}_{split}": f"{words} {what}"
    for split, words in (("train", "training"), ("validation", "validation"), ("test", "test"))
    for array, what in (("x", "features"), ("y", "labels"), ("w", "weights"))
}
"""The arrays that an identity covers, with the words for them."""
SHOWN = 12
"""Digits of a sum that messages show."""
COLUMNS_SHOWN = 8
"""Columns that messages list."""


class Sums(NamedTuple):
    """Sha256 of the rows of a chunk: of their inputs and of their labels."""

    inputs: bytes
    labels: bytes


class ChunkHasher:
    """Hashes the rows of a chunk.

    Args:
        split: the samples, with labels.
        chunk: a range of rows, one of `statistics.chunks(len(split))`.
    """

    def __init__(self, split: Split, chunk: tuple[int, int]) -> None:
        self._split, self._chunk = split, chunk
        self._inputs = hashlib.sha256()

    def see(self, rows: Inputs) -> None:
        """Take in the next rows of inputs, as they lie in memory."""
        self._inputs.update(rows.data)

    def read(self) -> None:
        """Take in all inputs of the chunk, for whoever does not measure them."""
        for _, rows in tiles(self._split, self._chunk):
            self.see(rows)

    def of_inputs(self) -> bytes:
        """The sum of the inputs that were taken in."""
        return self._inputs.digest()

    def sums(self) -> Sums:
        """The sums, once all inputs were taken in."""
        labels = require_labels(self._split)[slice(*self._chunk)]
        hashed = hashlib.sha256(np.ascontiguousarray(labels, _stored(labels)).data)
        return Sums(self.of_inputs(), hashed.digest())


def checked_sums(split: Split, sums: list[Sums]) -> list[Sums]:
    """The sums of all chunks of a split, in order, if they are those that its conversion recorded, or it has none.

    Raises:
        DataError: they are others, on every rank; the first chunk that differs is named.
    """
    for number, found in enumerate(sums if split.input_sums and split.rows is None else ()):
        check_chunk(split, number, found.inputs.hex(), agreed=True)
    return sums


def check_chunk(split: Split, number: int, found: str, *, agreed: bool = False) -> None:
    """Raises DataError unless the sha256 of a chunk is that of its conversion; `agreed`: all ranks raise it."""
    first, stop = chunks(len(split.inputs))[number]
    if split.input_sums is not None and found != split.input_sums[number]:
        raise DataError(
            f"{split.inputs_file} is damaged in the rows {first:,} to {stop - 1:,} (from 0): their sha256 is not "
            "that of manifest.json; copy the file again, or remove the folder and convert the data again.",
            agreed=agreed,
        )


def identity(source: DataSource, sums: Mapping[str, Sequence[Sums]]) -> dict[str, Any]:
    """What a checkpoint records of the data.

    Args:
        source: the data.
        sums: of all chunks, in order, of every split that there is.

    Returns:
        `samples`, `features` and `classes` of the training data, or the `outputs` of other tasks; `labels` of the
        classes, where they are not plain, see `Classes.record`; `schema` of a table, or `fills` of arrays;
        `first_index` of a file that numbers its features; and `arrays`: type, shape and sha256 of each of ARRAYS that
        there is, labels as numbers, and weights with those of their classes.
    """
    arrays: dict[str, Any] = {}
    for name, split in source.splits.items():
        arrays |= arrays_of(name, split, sums[name])
    of_outputs = {"outputs": source.outputs} if source.kind.in_rows else {"classes": source.outputs}
    known: dict[str, Any] = {"samples": len(source.train), "features": source.features, **of_outputs}
    if (record := source.train.classes.record()) is not None:
        known["labels"] = record
    if source.schema is not None:
        known["schema"] = source.schema.record()
    if source.train.fills is not None:
        known["fills"] = source.train.fills.record()
    if source.train.first_index is not None:
        known["first_index"] = source.train.first_index
    return {**known, "arrays": arrays}


def arrays_of(name: str, split: Split, sums: Sequence[Sums]) -> dict[str, Any]:
    """Type, shape and sha256 of the arrays of a split, by name."""
    labels = require_labels(split)
    of_inputs, of_labels = (b"".join(of_chunks) for of_chunks in zip(*sums, strict=True))
    arrays = {
        f"x_{name}": of_array(split.inputs.dtype.str, (len(split), split.features), of_inputs),
        f"y_{name}": of_array(_stored(labels), labels.shape, of_labels),
    }
    if split.weights is not None:  # They lie in memory on every rank, and are one number for each sample.
        of_weights = np.ascontiguousarray(split.weights, "<f8").tobytes()
        arrays[f"w_{name}"] = of_array("<f8", (len(split),), of_weights)
    return arrays


def _stored(labels: Targets) -> str:
    """The type in which labels are hashed."""
    return "|b1" if labels.dtype.kind == "b" else f"<{labels.dtype.kind}8"


def of_array(dtype: str, shape: Sequence[int], content: bytes) -> dict[str, Any]:
    """What is recorded of an array: its type, its shape, and the sha256 of the sums of its chunks."""
    return {"dtype": dtype, "shape": [int(size) for size in shape], "sha256": hashlib.sha256(content).hexdigest()}


def eval_split_in(known: Mapping[str, Any]) -> str:
    """Which data a training is evaluated on, "validation" or "test".

    Args:
        known: the identity in a checkpoint; its content may be anything.
    """
    arrays = known.get("arrays")
    return "validation" if isinstance(arrays, dict) and "x_validation" in arrays else "test"


def first_index_in(known: Mapping[str, Any]) -> int | None:
    """Index of the first feature in the file of the training data, see `Split`.

    Args:
        known: the identity in a checkpoint; its content may be anything.
    """
    first = known.get("first_index")
    return first if type(first) is int and first in (0, 1) else None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A sentence for each array that another one was recorded for, and one if the classes are others.

    Args:
        before: the identity in a checkpoint, with `arrays`; its content may be anything.
        now: an identity.
    """
    recorded = before["arrays"] if isinstance(before["arrays"], dict) else {}
    pairs = [(words, recorded.get(name), now["arrays"].get(name)) for name, words in ARRAYS.items()]
    found = [difference(words, *pair) for words, *pair in pairs if pair[0] != pair[1]]
    if before.get("labels") != now.get("labels"):
        what = "labels" if "outputs" in now else "classes"
        found.insert(0, f"the {what} are {_classes(now)}; in the run they were {_classes(before)}")
    if before.get("schema") != now.get("schema"):
        pairs = [("columns", _columns(now), _columns(before)), ("targets", _targets(now), _targets(before))]
        others = [f"the {what} are {are}; in the run they were {were}" for what, are, were in pairs if are != were]
        same = "the columns become other inputs than in the run, by their categories or what stands for missing values"
        found = [*(others or [same]), *found]
    if before.get("fills") != now.get("fills"):
        found.insert(0, "what stands for missing values of the features (data.missing) is not what it was in the run")
    return found


def _targets(known: Mapping[str, Any]) -> str:
    schema = known.get("schema")
    if not isinstance(schema, dict):
        return "those of arrays"
    more = schema.get("more_targets")
    return ", ".join(
        shorten(str(name), 20) for name in [schema.get("target"), *(more if isinstance(more, list) else [])]
    )


def _columns(known: Mapping[str, Any]) -> str:
    schema = known.get("schema")
    features = schema.get("features") if isinstance(schema, dict) else None
    if not isinstance(features, list):
        return "those of arrays"
    shown = [shorten(str(one.get("name")), 20) if isinstance(one, dict) else "?" for one in features[:COLUMNS_SHOWN]]
    return ", ".join(shown) + ", ..." * (len(features) > COLUMNS_SHOWN)


def _classes(known: Mapping[str, Any]) -> str:
    labels = known.get("labels")
    if isinstance(labels, list) and labels:
        return label_list(labels)
    number = known.get("classes", known.get("outputs"))
    return f"0 to {number - 1}" if isinstance(number, int) else "unknown"


def difference(words: str, before: Any, now: Any) -> str:
    """A sentence on an array that is not what was recorded; None: there is none, or was none."""
    if before is None:
        return f"the {words} are {_kind(now)}; the run had none"
    if now is None:
        return f"there are no {words}; the run had {_kind(before)}"
    if _kind(before) != _kind(now):
        return f"the {words} are {_kind(now)}; in the run they were {_kind(before)}"
    return f"the {words} have other values than in the run: sha256 {_sum(now)}, there it was {_sum(before)}"


def _kind(array: Any) -> str:
    known = array if isinstance(array, dict) else {}
    return f"{_type(str(known.get('dtype')))} {known.get('shape')!s:.60}"


def _type(text: str) -> str:
    try:
        return np.dtype(text).name + (" (big-endian)" if text.startswith(">") else "")
    except (TypeError, ValueError):
        return f"{text:.20}"


def _sum(array: Mapping[str, Any]) -> str:
    return f"{array.get('sha256')!s:.{SHOWN}}..."
