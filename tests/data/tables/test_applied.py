"""Tables that a network is applied to: what of them counts, what is told, and what predictions call their rows."""

import numpy as np
import pytest
from helpers.jobs import train

from dpnet.cli.main import run as dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source
from dpnet.errors import DataError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network
from dpnet.inference.predict import predict

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")

GROUP = LocalGroup()
SETTINGS = {"model.hidden_layers": [8], "train.epochs": 1, "train.global_batch_size": 16, "data.target": "kind"}


def flowers(rows):
    """The columns of some flowers."""
    colours, kinds = (np.array(names)[np.arange(rows) % 3] for names in (["red", "blue", "red"], ["b", "a", "c, d"]))
    return {"x": np.random.default_rng(0).standard_normal(rows), "colour": colours, "kind": kinds}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a training on flowers."""
    folder = tmp_path_factory.mktemp("flowers")
    csv.write_csv(pa.table(flowers(60)), str(folder / "train.csv"))
    train(folder / "run", {**SETTINGS, "data.source": str(folder / "train.csv")})
    return folder / "run"


def test_texts_that_the_training_did_not_have_are_told_and_counted(run, tmp_path, capfd):
    table = flowers(6)
    table["colour"] = np.array(["red", "pink", "blue", "red", "pink", "grey"])
    del table["kind"]
    data, out = str(tmp_path / "t.csv"), tmp_path / "p.csv"
    csv.write_csv(pa.table(table), data)
    assert dpnet(["predict", str(run), "--data", data, "--out", str(out)]) == 0
    text = "3 rows with a text in column 'colour' that the training data do not have, and that counts as none: grey, "
    assert text in capfd.readouterr().err
    assert len(out.read_text().splitlines()) == 7


def test_a_column_without_a_single_known_category_is_refused(run, tmp_path, capfd):
    network = load_network(str(run), GROUP)

    def answer(colours):
        table = flowers(len(colours)) | {"colour": np.array(colours)}
        csv.write_csv(pa.table(table), str(tmp_path / "t.csv"))
        return predict(network, str(tmp_path / "t.csv"), tmp_path / "p.csv", GROUP).samples

    assert answer(["pink"]) == 1
    assert answer(["pink"] * 3 + ["red"] * 9) == 12
    assert answer(["Red", "red"]) == 2
    assert capfd.readouterr().err.count("that counts as none") == 3
    with pytest.raises(DataError, match=r"'colour': the text is no category of the training data: here ' Red'; there "):
        answer([" Red"])
    with pytest.raises(
        DataError, match=r"'colour': of 10 texts none is a category .*: here 'pink'; there 'blue', 'red'"
    ):
        answer(["pink"] * 10)


def test_predictions_do_not_look_at_the_target(run, tmp_path):
    network = load_network(str(run), GROUP)
    for kinds in (["", ""], ["1.5", "x"], ["2020-01-01", "2020-01-02"]):
        csv.write_csv(pa.table(flowers(2) | {"kind": np.array(kinds)}), str(tmp_path / "t.csv"))
        assert predict(network, str(tmp_path / "t.csv"), tmp_path / "p.csv", GROUP).samples == 2
    with pytest.raises(DataError, match="column 'kind'"):
        evaluate(network, str(tmp_path / "t.csv"), GROUP)


def test_a_name_of_rows_that_the_predictions_have_already_is_told(tmp_path, capfd):
    lines = ["label,x,kind", *(f"n{row},{row % 7},{'ab'[row % 2]}" for row in range(30))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    train(tmp_path / "run", {**SETTINGS, "data.source": str(tmp_path / "t.csv"), "data.id": "label"})
    network = load_network(str(tmp_path / "run"), GROUP)
    predict(network, str(tmp_path / "t.csv"), tmp_path / "p.csv", GROUP)
    assert (tmp_path / "p.csv").read_text().startswith("id,label,p_a,p_b\nn0,")
    assert "note: the column 'label' of" in capfd.readouterr().err


def test_predictions_begin_with_the_column_that_names_the_rows(tmp_path, capfd):
    lines = ["code,x,kind", *(f"{row:03},{row % 7},{'ab'[row % 2]}" for row in range(30))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    settings = {**SETTINGS, "data.source": str(tmp_path / "t.csv"), "data.id": "code"}
    train(tmp_path / "run", settings)
    network = load_network(str(tmp_path / "run"), GROUP)
    assert [feature.name for feature in network.schema.features] == ["x"]
    (tmp_path / "new.csv").write_text("x,code\n3,007\n1e300,b\n4,\n")
    for name in ("p.csv", "p.npy"):
        predict(network, str(tmp_path / "new.csv"), tmp_path / name, GROUP, nonfinite="skip")
    rows = [line.split(",") for line in (tmp_path / "p.csv").read_text().splitlines()]
    assert rows[0] == ["code", "label", "p_a", "p_b"]
    assert [row[0] for row in rows[1:]] == np.load(tmp_path / "p.npy")["id"].tolist() == ["007", ""]
    (tmp_path / "new.csv").write_text("x\n3\n")
    predict(network, str(tmp_path / "new.csv"), tmp_path / "p.csv", GROUP)
    assert (tmp_path / "p.csv").read_text().startswith("label,p_a,p_b\n")
    assert "has no column 'code' (data.id): the predictions do not name the rows" in capfd.readouterr().err
    with pytest.raises(DataError, match=r"no column 'cod' \(data.id\); did you mean 'code'\?"):
        open_source(str(tmp_path / "t.csv"), DataConfig(target="kind", id="cod"))


@pytest.mark.parametrize(
    ("test", "validation", "rows"),
    [(None, None, "these rows"), (0.25, None, "75% of these rows"), (0.25, 0.2, "60% of these rows")],
)
def test_the_training_data_are_known_again_wherever_they_lie(tmp_path, monkeypatch, capfd, test, validation, rows):
    csv.write_csv(pa.table(flowers(60)), str(tmp_path / "t.csv"))
    monkeypatch.chdir(tmp_path)
    train(
        tmp_path / "run",
        {**SETTINGS, "data.source": "t.csv", "data.test": test, "data.validation": validation, "train.seed": 3},
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "t.csv").rename("moved.csv")
    network = load_network(str(tmp_path / "run"), GROUP)
    evaluate(network, "moved.csv", GROUP)
    assert f"moved.csv is the training data: the network was trained on {rows}" in capfd.readouterr().err
    table = flowers(60)
    table["x"][7] += 1
    csv.write_csv(pa.table(table), "other.csv")
    evaluate(network, "other.csv", GROUP)
    assert "training data" not in capfd.readouterr().err


def test_rows_with_gaps_are_refused_by_line_or_left_out_or_marked(run, tmp_path, capfd):
    lines = ["x,colour,kind", *(f"{row / 4},{['red', 'blue'][row % 2]},{'ab'[row % 2]}" for row in range(12))]
    lines[3], lines[5], lines[8] = ",red,a", "inf,red,b", "1.5,,b"
    data, out = tmp_path / "t.csv", tmp_path / "p.csv"
    data.write_text("\n".join(lines))
    for command in (["predict", str(run), "--out", str(out)], ["evaluate", str(run)]):
        assert dpnet([*command, "--data", str(data)]) == 1
        seen = capfd.readouterr().err
        assert "t.csv, line 4, column 'x': the value is missing, as in 1 row of 12. Values are missing in 2 col" in seen
        assert "The network was trained without missing values; --nonfinite=skip leaves such rows out.\n" in seen
        assert dpnet([*command, "--data", str(data), "--nonfinite", "skip"]) == 0
        assert "note: 3 of 12 rows left out, not finite: line 4, line 6, line 9\n" in capfd.readouterr().err
    network = load_network(str(run), GROUP)
    data.write_text("\n".join([lines[0], *lines[5:7]]))
    with pytest.raises(
        DataError, match=r"t\.csv, line 2, column 'x': the value is inf; expected a finite number; --non"
    ):
        predict(network, str(data), out, GROUP)
    data.write_text("\n".join(lines))
    made = predict(network, str(data), None, GROUP, nonfinite="nan")
    assert np.flatnonzero(np.isnan(made.probabilities[:, 0])).tolist() == [2, 4, 7]
    whole = [line for number, line in enumerate(lines) if number not in (3, 5, 8)]
    data.write_text("\n".join(whole))
    assert (
        made.labels[[0, 1, 3, 5, 6, 8, 9, 10, 11]].tolist() == predict(network, str(data), None, GROUP).labels.tolist()
    )


def test_a_gap_in_training_data_names_the_key_that_fills_it_in(tmp_path):
    (tmp_path / "t.csv").write_text("x,kind\n1,a\n,b\n")
    with pytest.raises(
        DataError, match=r"line 3, column .x.: the value is missing, .* train with such values: data\.miss"
    ):
        open_source(str(tmp_path / "t.csv"), DataConfig(target="kind"))
