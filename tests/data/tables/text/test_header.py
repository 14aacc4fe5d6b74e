"""A file of text with a header, or without one, is read as such, and so are the files that follow it."""

import pytest
from helpers.jobs import train

from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source
from dpnet.errors import DataError
from dpnet.inference.network import load_network
from dpnet.inference.predict import predict

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

GROUP = LocalGroup()
SETTINGS = {"model.hidden_layers": [8], "train.epochs": 1, "train.global_batch_size": 16}


def test_a_file_without_a_header_is_told(tmp_path):
    (tmp_path / "t.csv").write_text("1,0\n2,1\n3,0\n")
    source = open_source(str(tmp_path / "t.csv"), DataConfig(target="1"))
    assert source.train.inputs.tolist() == [[1], [2], [3]]
    assert "begins with a line of numbers, so it has no header: its columns are called 0" in source.train.remarks[1]


@pytest.fixture(scope="module")
def without_names(tmp_path_factory):
    """A network that was trained on a file without a header."""
    folder = tmp_path_factory.mktemp("unnamed")
    (folder / "t.csv").write_text("".join(f"{row % 7}.5,{row},{'ab'[row % 2]}\n" for row in range(40)))
    settings = {**SETTINGS, "data.source": str(folder / "t.csv"), "data.target": 2, "data.header": False}
    train(folder / "run", settings)
    return load_network(str(folder / "run"), GROUP)


def test_a_file_that_may_have_a_header_or_not_is_refused_until_that_is_said(tmp_path):
    path = tmp_path / "iris.csv"
    path.write_text("5.1,3.5,a\n4.9,3.0,a\n6.1,2.0,b\n")
    seen = r"iris.csv, line 1 \(5.1,3.5,a\): are these the names .* data.header = true for names, data.header = false"
    with pytest.raises(DataError, match=seen):
        open_source(str(path), DataConfig(target=-1))
    assert len(open_source(str(path), DataConfig(target=-1, header=False)).train) == 3
    assert len(open_source(str(path), DataConfig(target=-1, header=True)).train) == 2
    parquet.write_table(pa.table({"x": [1, 2], "y": ["a", "b"]}), str(tmp_path / "t.parquet"))
    with pytest.raises(DataError, match=r"data.header is set, but .*t.parquet is no text"):
        open_source(str(tmp_path / "t.parquet"), DataConfig(target="y", header=True))


def test_names_that_are_numbers_are_told(tmp_path):
    (tmp_path / "t.csv").write_text("0,1,2\n0.5,1.5,0\n1.5,0.5,1\n")
    source = open_source(str(tmp_path / "t.csv"), DataConfig(target="2"))
    assert source.train.inputs.tolist() == [[0.5, 1.5], [1.5, 0.5]]
    assert "line 1 (0,1,2) is taken for names; if it is a sample: data.header = false" in source.train.remarks[1]


@pytest.mark.parametrize("text", ["1.5,3,b\n2.5,1,a\n", "1.5,3\n2.5,1\n"])
def test_a_file_without_a_header_is_read_as_the_training_data_were(without_names, tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    predict(without_names, str(tmp_path / "t.csv"), tmp_path / "p.csv", GROUP)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1.5,3\n2.5,1\n", r"line 1 \(x,y\) holds names, and the training data had none: .*; take the line out"),
        ("1.5,3,a,b\n", r"t.csv has 4 columns, and the training data 3, without names"),
        ("1.5\n", r"t.csv has 1 column, and the training data 3, without names"),
    ],
)
def test_a_file_with_a_header_or_other_columns_does_not_follow_one_without(without_names, tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        predict(without_names, str(tmp_path / "t.csv"), tmp_path / "p.csv", GROUP)


def test_a_file_without_a_header_does_not_follow_one_with_names(tmp_path):
    (tmp_path / "named.csv").write_text("colour,x,kind\n" + "red,1.5,a\nblue,2.5,b\n" * 9)
    train(tmp_path / "run", {**SETTINGS, "data.source": str(tmp_path / "named.csv"), "data.target": "kind"})
    network = load_network(str(tmp_path / "run"), GROUP)
    for row in ("1,0.5,red,0.25", "red,1.5,a", "red,u"):
        for text in (f"{row}\n{row}\n", f"{row}\n", row):
            (tmp_path / "t.csv").write_text(text)
            seen = rf"t.csv has no header, as it seems: line 1 \({row}\) holds no names, .* the columns colour, x;"
            with pytest.raises(DataError, match=seen):
                predict(network, str(tmp_path / "t.csv"), tmp_path / "p.csv", GROUP)
