"""A training without validation data: the test data are scored as often as those would be, and choose nothing."""

import json
import os

import pytest
from helpers.jobs import MOMENTUM, curve, outcome, save_data, train, train_until

from dpnet.checkpoint.folder import steps_in
from dpnet.checkpoint.format import read, step_name
from dpnet.cli.main import run as run_command
from dpnet.errors import ConfigError
from dpnet.training.parts import Parts

WAVERING = {**MOMENTUM, "optimizer.learning_rate": 0.4, "train.epochs": 6}
"""A training of 72 steps whose best scores are not its last ones."""
EARLY = {"evaluate.min_delta": 10, "evaluate.patience": 2, "evaluate.every_steps": 5}
"""A training of 36 steps that patience ends at step 15."""


@pytest.fixture
def earlier(monkeypatch):
    """Trains as an earlier dpnet did: test data choose the best, and end the training."""

    def as_before(work, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(Parts, "chooses", True)
            patch.setattr("dpnet.training.opening.check_patience", lambda *_: None)
            work(*arguments)

    return as_before


def test_the_learning_curve_shows_the_test_data_and_nothing_is_chosen(tmp_path, capsys):
    summary = train(tmp_path / "run", {**WAVERING, "output.progress": "plain"})
    rows = [row for row in curve(tmp_path / "run") if "eval_loss" in row]
    assert [row["step"] for row in rows] == [*range(7, 72, 7), 72]
    assert {(row["eval_split"], row["eval_samples"]) for row in rows} == {("test", 360)}
    assert max(rows, key=lambda row: row["eval_accuracy"])["step"] < 72  # Or this would be no test.
    last = {name: rows[-1][f"eval_{name}"] for name in ("accuracy", "loss")}
    assert {key: value for key, value in summary.items() if "eval_" in key or "test_" in key or "best" in key} == {
        "eval_split": "test",
        **{f"{of}_{name}": value for of in ("eval", "test") for name, value in last.items()},
    }
    assert steps_in(tmp_path / "run/checkpoints") == [70, 72]
    assert sorted(os.listdir(tmp_path / "run/checkpoints"))[0] == "latest"
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == f"test scores  accuracy {last['accuracy']:.2%}, loss {last['loss']:.4f}"
    assert sum("  test loss " in line for line in lines) == len(rows)
    assert "best" not in "".join(lines)
    assert run_command(["inspect", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr()
    assert "\ntest scores  accuracy " in shown.out
    assert "best so far" not in shown.out
    assert train(tmp_path / "run", WAVERING) == summary  # It is complete.
    assert lines[-2] in capsys.readouterr().out.splitlines()


def test_what_uses_the_network_takes_the_newest_and_says_so(tmp_path, capsys):
    train(tmp_path / "run", WAVERING)
    text = f"{tmp_path / 'run'}: the newest checkpoint, step 72; none is kept as the best\n"
    for command in (["evaluate"], ["predict", "--out", str(tmp_path / "p.npy")]):
        assert run_command([command[0], str(tmp_path / "run"), *command[1:]]) == 0
        assert text in capsys.readouterr().err
    train(tmp_path / "tuned", {"model.pretrained": str(tmp_path / "run"), "train.epochs": 1})
    newest = f"begins with the parameters of the newest checkpoint of {tmp_path / 'run'}, step 72 (digest "
    assert newest in capsys.readouterr().out


@pytest.mark.parametrize("tests", [None, 6])
def test_patience_is_refused(tmp_path, tests):
    source = save_data(tmp_path / "data.npz", 20, tests)
    settings = {"data.source": source, "evaluate.patience": 2}
    message = (
        r"evaluate\.patience is 2, and there are no validation data to watch: test data choose nothing; set "
        r"data\.validation = 0\.1, or to a file of samples, or evaluate\.patience = 0"
    )
    with pytest.raises(ConfigError, match=message):
        train(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
    assert train(tmp_path / "run", {**settings, "data.validation": 0.1})["eval_split"] == "validation"


@pytest.mark.parametrize("keep_best", [True, False])
def test_a_run_whose_best_an_earlier_dpnet_let_the_test_data_choose_goes_on_without_it(
    tmp_path, earlier, keep_best, capsys
):
    settings = {**WAVERING, "checkpoint.keep_best": keep_best}
    train(tmp_path / "whole", settings)
    earlier(train_until, tmp_path / "run", 67, settings)
    best = read(tmp_path / "run/checkpoints/latest").manifest["progress"]["best_step"]
    assert 0 < best < 60  # Or it would be among the newest two.
    assert (best in steps_in(tmp_path / "run/checkpoints")) == keep_best
    capsys.readouterr()
    train(tmp_path / "run", settings)
    told = f"note: step {best} was the best evaluation so far, as an earlier dpnet let the test data choose it; they "
    assert capsys.readouterr().out.count(told) == 1
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_run_that_was_cut_off_after_its_last_step_keeps_no_best_one_either(tmp_path, earlier):
    train(tmp_path / "whole", WAVERING)
    earlier(train, tmp_path / "run", WAVERING)
    assert (tmp_path / "run/checkpoints/best").is_symlink()
    (tmp_path / "run/summary.json").unlink()
    train(tmp_path / "run", WAVERING)
    found, expected = outcome(tmp_path / "run"), outcome(tmp_path / "whole")
    assert steps_in(tmp_path / "run/checkpoints") == [70, 72]
    del found["checkpoints"][70], expected["checkpoints"][70]  # What was written is left as it is.
    assert found == expected


def test_a_complete_run_of_an_earlier_dpnet_tells_its_last_scores(tmp_path, earlier, capsys):
    expected = train(tmp_path / "whole", WAVERING)
    earlier(train, tmp_path / "run", WAVERING)
    kept = json.loads((tmp_path / "run/summary.json").read_text())
    more = {"best_step": 35, "best_accuracy": 0.9, "best_checkpoint": f"checkpoints/{step_name(35)}"}
    (tmp_path / "run/summary.json").write_text(json.dumps({**kept, **more}))
    capsys.readouterr()
    found = train(tmp_path / "run", WAVERING)
    of_time = ("seconds", "samples_per_s", "run_dir")
    assert {key: found[key] for key in found if key not in of_time} == {
        key: expected[key] for key in expected if key not in of_time
    }
    out = capsys.readouterr().out
    assert f"test scores  accuracy {expected['test_accuracy']:.2%}, " in out
    assert "best" not in out


def test_a_run_that_an_earlier_dpnet_ended_by_test_data_goes_on_without_patience(tmp_path, earlier):
    whole = train(tmp_path / "whole", {**EARLY, "evaluate.patience": 0})
    earlier(train, tmp_path / "run", EARLY)
    assert json.loads((tmp_path / "run/summary.json").read_text())["status"] == "stopped_early"
    with pytest.raises(ConfigError, match=r"evaluate\.patience = 0, to train to the end"):
        train(tmp_path / "run", EARLY)
    again = train(tmp_path / "run", {**EARLY, "evaluate.patience": 0})
    assert (again["status"], again["steps"], again["digest"]) == ("finished", 36, whole["digest"])
