"""Scores in detail: what people see, in 80 columns, and what programs read."""

import json

import numpy as np
import pytest
from helpers.jobs import save_data, train

from dpnet.cli.main import run as dpnet
from dpnet.cli.scores import details_text, evaluation_json
from dpnet.comm.local import LocalGroup
from dpnet.data.classes import Classes, plain_classes
from dpnet.inference import tally as tally_module
from dpnet.inference.details import LabelDetails
from dpnet.inference.evaluate import Evaluation
from dpnet.inference.tally import Tally
from dpnet.parallel.label_scores import LabelCounts

SHIPS = "airplane automobile bird cat deer dog frog horse ship truck"


def details(values, labels, guesses):
    """Details of a classifier that gives these answers, by number of class."""
    classes = Classes(np.array(values))
    tally = Tally(classes, None)
    tally.add(np.eye(len(classes))[guesses], np.array(labels))
    return tally.total(LocalGroup(), 0.25)


def some(values, rows=5000):
    generator = np.random.default_rng(len(values))
    labels = generator.integers(0, len(values), rows)
    wrong = generator.random(rows) < 0.2
    return details(values, labels, np.where(wrong, generator.integers(0, len(values), rows), labels))


def test_two_classes_on_a_screen():
    text = details_text(details(["ill", "well"], [0, 0, 0, 1, 1], [0, 0, 1, 1, 1]))
    assert text == (
        "balanced accuracy  83.3333%\n"
        "macro F1           0.800000\n"
        "log loss           0.250000\n"
        "AUC                0.833333\n"
        "\n"
        "class  support  predicted  precision  recall      F1\n"
        "ill          3          2     1.0000  0.6667  0.8000\n"
        "well         2          3     0.6667  1.0000  0.8000\n"
        "\n"
        "confusion matrix; row: label, column: prediction\n"
        "      ill  well\n"
        "ill     2     1\n"
        "well    0     2"
    )


def test_what_is_not_defined_is_no_number():
    text = details_text(details(["ill", "well"], [0, 0], [0, 0]))
    assert "AUC                undefined" in text
    assert "well         0          0          -       -       -" in text


@pytest.mark.parametrize(
    "values",
    [
        ["ill", "well"],
        [*range(10)],
        SHIPS.split(),
        [f"{word} and more words of it" for word in SHIPS.split()],
        [chr(97 + place) for place in range(26)],
        [*range(-500, 500, 5)],
        [f"\x1b[{place}m" + "x" * 900 for place in range(12)],
    ],
    ids=["2", "10", "10 words", "10 long words", "26", "200", "12 of control characters"],
)
def test_a_screen_of_80_columns_is_enough(values):
    lines = details_text(some(values)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 60
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("had", [0.0, 3.5])
def test_of_many_labels_some_are_shown_even_if_no_sample_has_one(had):
    zeros = np.zeros(40)
    counts = LabelCounts(zeros, np.append(had, zeros[1:]), zeros)
    lines = details_text(LabelDetails(plain_classes(40), counts, weighted=False)).splitlines()
    assert lines[0] == f"labels of lowest F1: {1 if had else 20} of 40 (--json has all)"
    assert lines[1].split() == ["label", "support", "predicted", "precision", "recall", "F1"]
    assert lines[2].split() == (["0", "0", "3.5", "0.0000", "-", "0.0000"] if had else ["0", "0", "0", "-", "-", "-"])


def test_columns_have_letters_where_names_are_too_long():
    text = details_text(some([f"{word} and more" for word in SHIPS.split()]))
    matrix = text.partition("column: prediction\n")[2].splitlines()
    assert matrix[0].split() == [*"abcdefghij"]
    assert matrix[1].startswith("a = airplane and more  ")
    assert matrix[10].startswith("j = truck and more  ")


def test_a_matrix_that_is_too_wide_is_not_shown_but_its_largest_mistakes_are():
    labels = [*range(40), 7, 7, 7, 3, 3]
    guesses = [*range(40), 9, 9, 8, 1, 1]
    text = details_text(details([f"c{place}" for place in range(40)], labels, guesses))
    assert "classes of lowest F1: 20 of 40 (--json has all)\nclass  support" in text
    assert "\n\nthe confusion matrix, 40×40, is too wide to be shown (--json has it)\n\n" in text
    assert text.endswith(
        "most frequent mistakes: 3 of 3 kinds\n"
        "label  prediction  samples\n"
        "c3             c1        2\n"
        "c7             c9        2\n"
        "c7             c8        1"
    )
    none = details_text(details([*range(40)], [*range(40)], [*range(40)]))
    assert none.endswith("is too wide to be shown (--json has it); there are no mistakes")


def test_where_there_is_no_matrix_it_is_said(monkeypatch):
    monkeypatch.setattr(tally_module, "MAX_MATRIX", 9)
    found = some([*range(10)])
    assert details_text(found).endswith("\n\nno confusion matrix: there are 10 classes")
    assert json.loads(evaluation_json(Evaluation(0.1, 0.9, 5, details=found)))["confusion"] is None


@pytest.mark.parametrize("values", [["a\x1b", "ö"], [-1, 7], [0.5, 1.0], [False, True]])
def test_json_has_the_labels_as_they_are_in_the_data(values):
    found = details(values, [0, 0, 0, 1, 1], [0, 0, 1, 1, 1])
    text = evaluation_json(Evaluation(0.25, 0.8, 5, left_out=2, unknown=1, details=found))
    assert text.isprintable()
    assert json.loads(text) == {
        "accuracy": 0.8,
        "loss": 0.25,
        "samples": 5,
        "left_out": 2,
        "unknown": 1,
        "weighted": False,
        "balanced_accuracy": pytest.approx(5 / 6),
        "macro_f1": pytest.approx(0.8),
        "top_k": None,
        "top_k_accuracy": None,
        "log_loss": 0.25,
        "auc": pytest.approx(5 / 6),
        "classes": [
            {"label": values[0], "precision": 1.0, "recall": 2 / 3, "f1": 0.8, "support": 3, "predicted": 2},
            {"label": values[1], "precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 2, "predicted": 3},
        ],
        "confusion": [[2, 1], [0, 2]],
    }


def test_a_loss_without_bound_is_null_in_json():
    assert json.loads(evaluation_json(Evaluation(float("inf"), 0.5, 2)))["loss"] is None


def test_the_command_prints_what_is_asked_for(tmp_path, capsys):
    source = save_data(tmp_path / "data.npz", 60, 20, features=4, classes=7)
    train(tmp_path / "run", {"data.source": source, "train.epochs": 1})
    capsys.readouterr()

    def say(*options):
        assert dpnet(["evaluate", str(tmp_path / "run"), "--data", source, *options]) == 0
        return capsys.readouterr().out

    line = say()
    assert len(line.splitlines()) == 1
    assert say("--details").startswith(f"{line}\nbalanced accuracy")
    assert "\ntop-2 accuracy" in say("--details", "--top-k=2")
    found = json.loads(say("--json"))
    assert sorted(found) == ["accuracy", "left_out", "loss", "samples", "unknown", "weighted"]
    more = json.loads(say("--json", "--details"))
    assert found.items() < more.items()
    assert more["top_k"] == 5
    assert dpnet(["evaluate", str(tmp_path / "run"), "--data", source, "--top-k=2"]) == 2
    assert "give --details as well" in capsys.readouterr().err
