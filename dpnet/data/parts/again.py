"""Whether samples are those that a network was trained or scored on, by what its checkpoint records of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dpnet.data.identity import ARRAYS, SHOWN, ChunkHasher, Sums, arrays_of, difference, of_array
from dpnet.data.split import Split
from dpnet.data.statistics import chunks, tiles
from dpnet.data.tables.schema import Schema
from dpnet.text import listed


def changes(name: str, split: Split, recorded: Any) -> list[str]:
    """A sentence for each array of a split that is not what was recorded; the samples are read.

    Args:
        name: of the split.
        split: its samples, with labels.
        recorded: `arrays` in the identity of a checkpoint; its content may be anything.
    """
    before, now = recorded if isinstance(recorded, dict) else {}, arrays_of(name, split, _sums_of(split))
    pairs = [(ARRAYS[key], before.get(key), now.get(key)) for key in (f"{array}_{name}" for array in "xyw")]
    return [difference(*pair) for pair in pairs if pair[1] != pair[2]]


def _sums_of(split: Split) -> list[Sums]:
    hashers = [ChunkHasher(split, chunk) for chunk in chunks(len(split))]
    for hasher in hashers:
        hasher.read()
    return [hasher.sums() for hasher in hashers]


def has_inputs(split: Split, recorded: Any) -> bool:
    """Whether samples have the inputs of others, to the last bit. They are read only if there are as many.

    Args:
        split: the samples.
        recorded: of the others, one of `arrays` in the identity of a checkpoint; its content may be anything.
    """
    shape = [len(split), split.features]
    if not isinstance(recorded, dict) or recorded.get("shape") != shape:
        return False
    sums = bytearray()
    for chunk in chunks(len(split)):
        hasher = ChunkHasher(split, chunk)
        hasher.read()
        sums += hasher.of_inputs()
    return of_array(split.inputs.dtype.str, shape, bytes(sums)) == recorded


def contents(splits: Mapping[str, Split], schema: Schema | None = None) -> dict[str, str | None]:
    """What splits hold, to the last bit, in words; all samples are read. A split may have no labels.

    Args:
        splits: by name.
        schema: of a table.
    """
    found: dict[str, str | None] = {}
    if schema is not None:
        names = listed([feature.name for feature in schema.features])
        found["the list of columns"] = f"{names}, {_sum_of(schema.record())}"
    for name, split in splits.items():
        classes = f"{split.classes.text()}, {_sum_of(split.classes.values.tolist())}"
        kinds = {"x": split.inputs.dtype.name, "y": classes, "w": ""}
        digests = {key: hashlib.sha256() for key in kinds}
        for chunk in chunks(len(split)):
            for _, rows in tiles(split, chunk):
                digests["x"].update(rows.data)
        for key, values in (("y", split.labels), ("w", split.weights)):
            if values is not None:
                digests[key].update(np.ascontiguousarray(values).data)
        for key, kind in kinds.items():
            digest = f"sha256 {digests[key].hexdigest()[:SHOWN]}..."
            found[f"the content of the {ARRAYS[f'{key}_{name}']}"] = f"{kind}, {digest}" if kind else digest
    return found


def _sum_of(record: Any) -> str:
    return f"sha256 {hashlib.sha256(json.dumps(record).encode()).hexdigest()[:SHOWN]}..."
