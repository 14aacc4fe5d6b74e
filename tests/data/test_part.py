"""Some rows of a split are what the same rows in a file of their own would be, and nothing of the inputs is copied."""

import numpy as np
import pytest

from dpnet.compute.loops.choose import choose_kernels
from dpnet.data.dataset import Dataset
from dpnet.data.identity import ChunkHasher
from dpnet.data.scaling import UNSCALED
from dpnet.data.split import make_split
from dpnet.data.statistics import chunks, combine, measure
from dpnet.errors import DataError

ROWS = np.array([2, 3, 7, 11, 40, 41, 199])
INPUTS = np.random.default_rng(1).standard_normal((200, 3)).astype(np.float32)
LABELS = np.arange(200) % 4


def part_of(inputs=INPUTS, labels=LABELS):
    return make_split(inputs, labels, "x.npy", "y.npy").part(ROWS)


def test_it_has_the_labels_and_the_numbers_of_its_rows():
    part = part_of()
    assert (len(part), part.features, part.labels.tolist()) == (7, 3, LABELS[ROWS].tolist())
    assert part.numbers(2, 5).tolist() == [7, 11, 40]
    assert part.block(2, 5).tolist() == INPUTS[[7, 11, 40]].tolist()
    assert np.shares_memory(part.inputs, INPUTS)
    assert part_of(labels=None).labels is None


@pytest.mark.parametrize("dtype", ["u1", "f4", ">f4", "f8"])
@pytest.mark.parametrize("labels", [LABELS, None])
@pytest.mark.parametrize("kernels", ["numpy", "auto"])
def test_it_is_gathered_as_a_copy_of_the_rows_is(dtype, labels, kernels):
    inputs, ids = (INPUTS * 100).astype(dtype), np.array([6, 0, 6, 3])
    loops = choose_kernels(kernels).loops
    part, copy = (
        Dataset(split, UNSCALED, max_rows=8, dtype=np.float32, loops=loops)
        for split in (
            part_of(inputs, labels),
            make_split(inputs[ROWS], None if labels is None else labels[ROWS], "x.npy", "y.npy"),
        )
    )
    for first, some in ((0, ids), (3, ids[:2]), (5, ids[:0])):
        for mine, theirs in zip(part.gather(some, first=first), copy.gather(some, first=first), strict=True):
            assert mine.tobytes() == theirs.tobytes()
    assert part.x.tobytes() == copy.x.tobytes()
    assert len(part) == 7
    assert part.numbers(ids).tolist() == [199, 2, 199, 11]


def test_it_is_measured_and_identified_as_a_copy_of_the_rows_is():
    found = []
    for split in (part_of(), make_split(INPUTS[ROWS], LABELS[ROWS], "x.npy", "y.npy")):
        hashers = {chunk: ChunkHasher(split, chunk) for chunk in chunks(len(split))}
        moments = combine([measure(split, chunk, see=hasher.see) for chunk, hasher in hashers.items()])
        found.append((moments.mean.tobytes(), moments.m2.tobytes(), [hasher.sums() for hasher in hashers.values()]))
    assert found[0] == found[1]


def test_a_bad_value_is_named_by_its_row_in_the_file():
    inputs = INPUTS.copy()
    inputs[11, 1] = np.nan
    with pytest.raises(DataError, match=r"^x\.npy, row 11, column 1 "):
        measure(part_of(inputs), (2, 5))
