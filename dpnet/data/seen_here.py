"""What this host sees of data: sums of their content, which are to be the same on every host.

An identity is put together from chunks that ranks of all hosts have read, each its share. Hosts whose files differ
would agree on an identity, of data that no host has. So every host also sums up by itself what it sees:

    up to WHOLE_BYTES of inputs   all rows, to the last bit
    beyond                        SPOTS places in each chunk, at even distances, with its first and its last row

Labels, weights, names of classes and columns count in full.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.shares import share
from dpnet.data.identity import ARRAYS, SHOWN
from dpnet.data.split import Inputs, Split
from dpnet.data.statistics import chunks, tiles
from dpnet.data.tables.schema import Schema

WHOLE_BYTES = 256 << 20
"""Inputs of a split that a host reads in full: 0.2 s of a rank, shared out among the ranks of the host."""
SPOTS = 8
SPOT_BYTES = 32 << 10
"""Bytes of a spot, at most: all spots of the 256 chunks together are 64 MiB."""


def is_read_whole(split: Split) -> bool:
    """Whether all inputs of a split count, and not some rows of each chunk."""
    return len(split) * split.features * split.inputs.itemsize <= WHOLE_BYTES


def sums_of_share(splits: Mapping[str, Split], part: int, parts: int) -> dict[str, bytes]:
    """Sha256 of each chunk of every array, of one of `parts` shares of the chunks, one after the other.

    Args:
        splits: by name; they may have no labels.
        part: number of the share.
        parts: of all of them.
    """
    found: dict[str, bytes] = {}
    for name, split in splits.items():
        every = chunks(len(split))
        mine = every[slice(*share(len(every), part, parts))]
        found[f"x_{name}"] = b"".join(_sum(_rows(split, chunk)) for chunk in mine)
        for array, values in (("y", split.labels), ("w", split.weights)):
            if values is not None:
                found[f"{array}_{name}"] = b"".join(_sum([values[slice(*chunk)]]) for chunk in mine)
    return found


def in_words(
    splits: Mapping[str, Split], schema: Schema | None, shares: Sequence[Mapping[str, bytes]]
) -> dict[str, str | None]:
    """What this host sees, as texts that errors show, by what they tell of.

    Args:
        splits: see `sums_of_share`.
        schema: of a table.
        shares: of all ranks of the host, in order, see `sums_of_share`.
    """
    found: dict[str, str | None] = {}
    if schema is not None:
        found["the list of columns"] = _text(json.dumps(schema.record()).encode())
    for name, split in splits.items():
        for array in (f"{kind}_{name}" for kind in "xyw"):
            if array in shares[0]:
                found[f"the content of the {ARRAYS[array]}"] = _text(b"".join(of_rank[array] for of_rank in shares))
        found[f"the type of the {ARRAYS[f'x_{name}']}"] = split.inputs.dtype.name
        classes = json.dumps(split.classes.values.tolist()).encode()
        found[f"the list of classes of the {ARRAYS[f'y_{name}']}"] = f"{split.classes.text()}, {_text(classes)}"
        if split.fills is not None:
            found[f"what stands for missing {ARRAYS[f'x_{name}']}"] = _text(json.dumps(split.fills.record()).encode())
    return found


def _rows(split: Split, chunk: tuple[int, int]) -> Iterator[Inputs]:
    """The inputs of a chunk that count, as they are stored."""
    if is_read_whole(split):
        yield from (rows for _, rows in tiles(split, chunk))
        return
    first, stop = chunk
    rows = min(stop - first, max(1, SPOT_BYTES // (split.features * split.inputs.itemsize)))
    for spot in range(SPOTS):
        start = first + (stop - first - rows) * spot // (SPOTS - 1)
        yield split.block(start, start + rows)


def _sum(blocks: Iterable[npt.NDArray[Any]]) -> bytes:
    hashed = hashlib.sha256()
    for rows in blocks:
        hashed.update(np.ascontiguousarray(rows).data)
    return hashed.digest()


def _text(content: bytes) -> str:
    return f"sha256 {hashlib.sha256(content).hexdigest()[:SHOWN]}..."


def remark(splits: Mapping[str, Split]) -> str:
    """That some inputs were not compared in full, for an error; empty: all were."""
    return "" if all(map(is_read_whole, splits.values())) else " (of large data some rows of each part are compared)"
