"""The identity of data covers every number of them, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from dpnet.compute.shares import share
from dpnet.data import statistics
from dpnet.data.identity import ARRAYS, ChunkHasher, differences, identity
from dpnet.data.partial_identity import partial_identity
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.data.statistics import chunks, measure


def arrays(rows=1000, tests=70):
    generator = np.random.default_rng(1)
    return {
        "x_train": generator.standard_normal((rows, 3)).astype(np.float32),
        "y_train": generator.integers(0, 4, rows),
        "w_train": generator.uniform(size=rows),
        "x_validation": generator.standard_normal((50, 3)).astype(np.float32),
        "y_validation": generator.integers(0, 4, 50),
        "w_validation": generator.uniform(size=50),
        "x_test": generator.standard_normal((tests, 3)).astype(np.float32),
        "y_test": generator.integers(0, 4, tests),
        "w_test": generator.uniform(size=tests),
    }


def source_of(given):
    train, validation, test = (
        make_split(given[f"x_{name}"], given[f"y_{name}"], "x", "y", weights=given.get(f"w_{name}"))
        if f"x_{name}" in given
        else None
        for name in ("train", "validation", "test")
    )
    return DataSource("data", train, test, validation=validation)


def sums_of(split, world_size=1):
    """The sums of all chunks, hashed by so many ranks, of which every other one measures its chunks as well."""
    found = []
    ranges = chunks(len(split))
    for rank in range(world_size):
        for chunk in ranges[slice(*share(len(ranges), rank, world_size))]:
            hasher = ChunkHasher(split, chunk)
            if rank % 2:
                measure(split, chunk, see=hasher.see)
            else:
                hasher.read()
            found.append(hasher.sums())
    return found


def identity_of(given, world_size=1):
    source = source_of(given)
    return identity(source, {name: sums_of(split, world_size) for name, split in source.splits.items()})


@pytest.mark.parametrize("world_size", [2, 3, 7, 256, 300])
def test_it_is_the_same_on_any_number_of_ranks(world_size):
    assert identity_of(arrays(), world_size) == identity_of(arrays())


def test_it_does_not_depend_on_how_many_rows_are_read_at_a_time(monkeypatch):
    expected = identity_of(arrays(), 2)
    monkeypatch.setattr(statistics, "TILE_BYTES", 24)
    assert identity_of(arrays(), 2) == expected


@pytest.mark.parametrize("name", ARRAYS)
def test_every_single_number_counts(name):
    before = identity_of(arrays())
    for row in range(0, len(arrays()[name]), 23):
        given = arrays()
        place = (row, row % 3) if given[name].ndim == 2 else row
        given[name][place] = given[name][place] + 1
        assert [text.split(" have other values")[0] for text in differences(before, identity_of(given))] == [
            f"the {ARRAYS[name]}"
        ]
        given[name][place] = arrays()[name][place]
        assert differences(before, identity_of(given)) == []


def test_the_order_of_the_rows_counts():
    given = arrays()
    given["x_train"][[0, 1]], given["y_train"][[0, 1]] = given["x_train"][[1, 0]], given["y_train"][[1, 0]]
    assert len(differences(identity_of(arrays()), identity_of(given))) >= 1


def test_type_and_shape_count_for_the_features_and_the_width_of_labels_does_not():
    given = arrays()
    given["x_train"] = given["x_train"].astype(np.float64)
    given["y_test"] = given["y_test"].astype(np.uint8)
    assert differences(identity_of(arrays()), identity_of(given)) == [
        "the training features are float64 [1000, 3]; in the run they were float32 [1000, 3]"
    ]
    images = {**arrays(), "x_train": arrays()["x_train"].reshape(1000, 3, 1)}
    assert identity_of(images) == identity_of(arrays())  # The network sees rows.


def test_the_order_of_bytes_is_told():
    given = {**arrays(), "x_test": arrays()["x_test"].astype(">f4")}
    expected = "the test features are float32 (big-endian) [70, 3]; in the run they were float32 [70, 3]"
    assert differences(identity_of(arrays()), identity_of(given)) == [expected]


def test_a_mapped_file_has_the_identity_of_its_array(tmp_path):
    given = arrays()
    np.save(tmp_path / "x.npy", given["x_train"])
    mapped = {**given, "x_train": np.load(tmp_path / "x.npy", mmap_mode="r")}
    assert identity_of(mapped) == identity_of(given)


@pytest.mark.parametrize(
    "junk", [None, [], "x", {}, {"x_train": 7}, {"x_train": {"shape": None, "dtype": "<f5"}}, {"y_test": [1]}]
)
def test_what_a_stranger_recorded_differs_without_an_error(junk):
    found = differences({"arrays": junk}, identity_of(arrays()))
    assert len(found) == 9
    assert all(len(text) < 200 for text in found)


def test_the_partial_identity_is_that_of_older_checkpoints():
    found = partial_identity(source_of({"x_train": np.arange(600.0).reshape(300, 2), "y_train": np.arange(300) % 3}))
    assert found == {"samples": 300, "features": 2, "classes": 3, "fingerprint": "e23b219d21083e97"}
