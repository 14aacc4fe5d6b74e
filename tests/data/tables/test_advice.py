"""What a message says to set can be copied into a job file as it stands, whatever the columns are called."""

import re
import sys

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source
from dpnet.errors import DataError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = 120


def texts(form):
    return [form.format(row) for row in range(ROWS)]


@pytest.mark.parametrize("name", ['say "hi"', r"a\b", "a\tb", "a]", "it's", "größe"])
@pytest.mark.parametrize(
    ("values", "target", "key"),
    [
        (texts("{} kg"), "y", "categorical"),
        (texts("text {} of all"), "y", "ignore"),
        (texts("text {} of all"), "y", "categorical"),
        (np.full(ROWS, 2**60 + 1), "y", "ignore"),
        ([[1]] * ROWS, "y", "ignore"),
        (texts("{} kg"), None, "categorical"),
        (texts("{}"), 5, "target"),
    ],
)
def test_settings_in_messages_are_toml(tmp_path, name, values, target, key):
    table = pa.table({"x": np.arange(ROWS), "y": ["a", "b"] * (ROWS // 2), name: values})
    if key == "target":
        table = table.drop_columns(["y"])
    parquet.write_table(table, str(tmp_path / "t.parquet"))
    section = DataConfig(target=name if target is None else None if key == "target" else target)
    with pytest.raises(DataError) as caught:
        open_source(str(tmp_path / "t.parquet"), section)
    start = str(caught.value).index(f"data.{key} = ")
    said = str(caught.value)[start:]
    end = said.rindex('"') + 1 if key == "target" else said.rindex('"]') + 2
    expected = name if key == "target" else [name]
    assert tomllib.loads(re.split(", (?:if it|or take)", said[:end])[0]) == {"data": {key: expected}}
