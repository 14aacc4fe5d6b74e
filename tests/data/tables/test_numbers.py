"""Tables whose target is a number, from the file to the predictions."""

import csv

import numpy as np
import pytest

from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.file import job_of
from dpnet.data.sources import open_source
from dpnet.errors import DataError
from dpnet.training.run import train

pytest.importorskip("pyarrow")
GROUP = LocalGroup()


def write(path, targets, header="id,a,colour,price"):
    rows = [f"h{row},{row * 7 % 13},{['red', 'blue'][row % 2]},{target}" for row, target in enumerate(targets)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def source_of(path, **section):
    return open_source(path, DataConfig(target="price", id="id", **section), task="regression")


def test_numbers_of_any_kind_are_targets(tmp_path):
    for targets, expected in (
        (["1", "-2", "3"], [1, -2, 3]),
        (["1.5", "2", "1e3"], [1.5, 2, 1000]),
        (["true", "false", "true"], [1, 0, 1]),
        (["9007199254740993", "0", "1"], [2.0**53, 0, 1]),
    ):
        found = source_of(write(tmp_path / "t.csv", targets))
        assert found.train.labels.dtype == np.float64
        assert found.train.labels.tolist() == [[value] for value in expected]
        assert (found.outputs, found.train.task) == (1, "regression")


@pytest.mark.parametrize(
    ("targets", "section", "message"),
    [
        (["1", "dear", "2"], {}, r"line 3, column 'price': the target is dear, a text; expected plain numbers"),
        (["1 kg", "2 kg", "3 kg"], {}, r"line 2, column 'price': the target is 1 kg, a text; expected plain numbers"),
        (
            ["1.5", "", "NA"],
            {},
            r"line 3, column 'price': the target is missing, as in 2 rows of 3; take such rows out",
        ),
        (["1.5", "inf", "2"], {}, r"line 3, column 'price': the target is inf; expected a finite number"),
        (["1", "2", "3"], {"categorical": ("price",)}, r"data\.categorical has 'price', the target, .*regression"),
        (["2020-01-31", "2020-02-01", "2020-02-02"], {}, r"column 'price'.* expected"),
    ],
)
def test_what_are_no_targets_is_refused_by_line(tmp_path, targets, section, message):
    with pytest.raises(DataError, match=message):
        source_of(write(tmp_path / "t.csv", targets), **section)


def test_a_share_of_the_rows_is_held_out_though_every_target_is_another(tmp_path):
    path = write(tmp_path / "t.csv", [f"{row}.5" for row in range(50)])
    found = source_of(path, test=0.2, validation=0.25)
    assert [len(split) for split in (found.train, found.validation, found.test)] == [30, 10, 10]
    rows = np.concatenate([split.labels[:, 0] for split in found.splits.values()])
    assert sorted(rows) == [row + 0.5 for row in range(50)]


def test_fractions_as_labels_are_told_to_be_a_regression(tmp_path):
    path = write(tmp_path / "t.csv", [f"{row}.5" for row in range(9)])
    with pytest.raises(DataError, match=r'line 2, .*the label is 0\.5; .* model\.task = "regression"'):
        open_source(path, DataConfig(target="price", id="id"))


def test_a_table_is_trained_and_predicted_with_the_names_of_its_rows(tmp_path, capsys):
    path = write(tmp_path / "t.csv", [f"{50 + 10 * (row % 2) + row % 5 / 4}" for row in range(60)])
    settings = {"model.task": "regression", "model.hidden_layers": [8], "train.epochs": 2, "train.threads": 1}
    of_data = {"data.source": path, "data.target": "price", "data.id": "id", "data.test": 0.2}
    train(job_of({**settings, **of_data, "output.dir": str(tmp_path / "run")}), GROUP)
    said = capsys.readouterr().out
    assert "note: 48 targets, 50 to 61, mean 5" in said
    unlabelled = tmp_path / "new.csv"
    unlabelled.write_text("colour,id,a\nred,x1,3\nblue,x2,4\n")
    arguments = ["predict", str(tmp_path / "run"), "--data", str(unlabelled), "--out", str(tmp_path / "p.csv")]
    assert dpnet(arguments) == 0
    with (tmp_path / "p.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "prediction"]
    assert [name for name, _ in rows] == ["x1", "x2"]
    assert all(20 < float(number) < 90 for _, number in rows)
