"""A long cell takes memory and time by its own length, or is refused by its column."""

import tracemalloc

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.classes import plain_classes
from dpnet.data.sources import open_source
from dpnet.data.tables.text.head import is_plain
from dpnet.errors import ConfigError, DataError
from dpnet.inference.answers import ClassAnswers
from dpnet.inference.prediction_file import PredictionFile

pytest.importorskip("pyarrow")
LONG = "z" * 1_200_000
ROWS = 2000
PADDED = 4 * len(LONG) * ROWS


def opened(tmp_path, place, **section):
    """A table whose row 5 has the long cell at that place, and the most memory that it took."""
    rows = [[str(row), str(row % 7), "ab"[row % 2], str(row % 3)] for row in range(ROWS)]
    rows[5][place] = LONG
    (tmp_path / "t.csv").write_text("\n".join(map(",".join, [["id", "x", "colour", "y"], *rows])))
    tracemalloc.start()
    try:
        train = open_source(str(tmp_path / "t.csv"), DataConfig(**{"target": "y", "id": "id", **section})).train
        return train, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_identifier_takes_its_own_length(tmp_path):
    train, peak = opened(tmp_path, 0)
    assert train.names[5] == LONG
    assert train.names[6] == "6"
    assert peak < PADDED / 100


@pytest.mark.parametrize(
    ("place", "section", "message"),
    [
        (1, {}, r"line 7, column 'x': the value is 'z+\.\.\., in a column of numbers"),
        (2, {}, r"the longest those of column 'colour'; leave the column out: data\.ignore = \[\"colour\"\]"),
        (2, {"categorical": ("colour",)}, r"the longest those of column 'colour'; leave the column out"),
        (3, {}, r"line 7, column 'y': the label has 1200000 characters; expected at most 1000"),
        (3, {"categorical": ("y",)}, r"line 7, column 'y': the label has 1200000 characters"),
    ],
)
def test_a_long_cell_elsewhere_is_refused_by_its_column(tmp_path, place, section, message):
    with pytest.raises(DataError, match=message):
        opened(tmp_path, place, **section)


def test_a_long_number_is_looked_at_once():
    # Twice, at each of its digits, and this takes hours.
    assert is_plain("1" * 1_000_000)
    assert not is_plain("1" * 1_000_000 + "x")


def test_long_identifiers_are_for_csv_files(tmp_path):
    names = np.array(["a", LONG], np.object_)
    for name in ("p.npy", "p.csv"):
        file = PredictionFile(tmp_path / name, 2, ClassAnswers(plain_classes(2)), np.dtype("f4"), "id", names)
        if name == "p.npy":
            with pytest.raises(ConfigError, match=r"which has 1,200,000 characters; write a \.csv file"):
                file.open()
        else:
            file.open()
            file.append(np.eye(2, dtype=np.float32), np.arange(2))
            file.close()
            assert (tmp_path / name).stat().st_size < 2 * len(LONG)
