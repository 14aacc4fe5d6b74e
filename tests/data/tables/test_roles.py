"""Columns are what the job says: a pattern means inputs alone, and a name means the one column of that name."""

import pytest

from dpnet.config.data import DataConfig
from dpnet.data.tables.files import read_table
from dpnet.data.tables.roles import find_roles
from dpnet.errors import DataError

pytest.importorskip("pyarrow")


def roles(tmp_path, header, **section):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n{','.join(str(place) for place in range(header.count(',') + 1))}\n")
    return find_roles(DataConfig(**{"target": "y", **section}), read_table(str(path)))


def test_a_pattern_never_makes_text_of_the_target_or_an_input_of_the_id(tmp_path):
    found = roles(tmp_path, "a,b,n,y", id="n", categorical=("*",), features=("*",))
    assert (found.inputs, found.categorical, found.keeps_labels) == (["a", "b"], {"a", "b"}, False)
    assert roles(tmp_path, "a,b,n,y", categorical=("y",)).texts == ["y"]


@pytest.mark.parametrize(("name", "columns"), [("a[1]", ["a[1]"]), ("x*", ["x*"]), ("a?", ["a1"])])
def test_the_very_name_of_a_column_is_no_pattern(tmp_path, name, columns):
    assert roles(tmp_path, "a[1],a1,x*,x2,y", features=(name,)).inputs == columns


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"id": "y"}, "data.id and data.target are both 'y'; .* leave data.id out"),
        ({"id": "n", "ignore": ("n",)}, r"data.ignore has 'n', which is the name of the rows \(data.id\)"),
        ({"id": "n", "features": ("a", "n")}, r"data.features has 'n', which is the name of the rows"),
        ({"features": ("a", "y")}, r"data.features has 'y', which is the target, and no input; leave it out"),
        ({"id": "m"}, r"has no column 'm' \(data.id\)"),
        ({"ignore": ("b*",)}, r"has no column 'b\*' \(data.ignore\)"),
    ],
)
def test_a_column_is_not_two_things(tmp_path, section, message):
    with pytest.raises(DataError, match=message):
        roles(tmp_path, "a,n,y", **section)
