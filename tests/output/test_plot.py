"""Learning curves as pictures."""

import json
import sys

import pytest

from dpnet.errors import DataError, DpnetError, OutputError
from dpnet.output.plot import plot_runs, read_metrics, training_points

pytest.importorskip("matplotlib")
TRAINED = {"step": 1, "epoch": 0.5, "loss": 0.5, "accuracy": 0.8}
EVALUATED = {"step": 2, "epoch": 1.0, "eval_loss": 0.4, "eval_accuracy": 0.9}


def run(path, *rows, tail=""):
    path.mkdir(parents=True)
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return path


@pytest.mark.parametrize(
    "rows", [[TRAINED, EVALUATED], [TRAINED], [EVALUATED], [{"step": 1}], [{**TRAINED, "loss": 0.0}]]
)
def test_any_curve_makes_a_picture_without_a_warning(tmp_path, rows):
    plot_runs([run(tmp_path / "a", *rows), run(tmp_path / "b", TRAINED)], tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_numbers_show_their_absolute_error_and_not_beside_runs_of_classes(tmp_path):
    trained = {"step": 1, "epoch": 0.5, "loss": 0.5, "mae": 12.0}
    numbers = run(tmp_path / "numbers", trained, {"step": 2, "epoch": 1.0, "eval_loss": 0.4, "eval_mae": 9.0})
    plot_runs([numbers], tmp_path / "out.svg")
    assert "mean absolute error (units of the target)" in (tmp_path / "out.svg").read_text()
    with pytest.raises(DataError, match="runs are of several tasks: some have accuracy and some have MAE; draw them"):
        plot_runs([numbers, run(tmp_path / "classes", TRAINED)], tmp_path / "out.svg")


def test_the_picture_shows_every_run_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(run(tmp_path / "second", TRAINED, EVALUATED))
    plot_runs([run(tmp_path / "first", TRAINED, EVALUATED), tmp_path / "second" / "."], tmp_path / "out.svg")
    text = (tmp_path / "out.svg").read_text()
    for label in ("first, training", "first, test", "second, training", "second, test"):
        assert label in text


def test_a_last_line_that_is_not_complete_is_left_out(tmp_path):
    assert read_metrics(run(tmp_path / "a", TRAINED, tail='{"step": 2, "lo')) == [TRAINED]


@pytest.mark.parametrize("line", ["{", "[1]", "null", '{"epoch": "x"}', '{"loss": []}', "[" * 99999])
@pytest.mark.usefixtures("no_collector")
def test_a_damaged_curve_is_an_error(tmp_path, line):
    with pytest.raises(DataError, match=r"metrics\.jsonl (is damaged|line 2 is no row)"):
        read_metrics(run(tmp_path / "a", TRAINED, tail=line + "\n"))


def test_no_curve_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*; give a run directory"):
        read_metrics(tmp_path)
    with pytest.raises(DataError, match="has no row yet"):
        read_metrics(run(tmp_path / "a"))


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    path = run(tmp_path / "a", TRAINED)
    for out in ("out.doc", "not there/out.png"):
        with pytest.raises(OutputError, match=out):
            plot_runs([path], tmp_path / out)


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DpnetError, match=r"pip install 'dpnet\[plot\]'"):
        plot_runs([run(tmp_path / "a", TRAINED)], tmp_path / "out.png")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    return figures


def lines(figure, axes):
    return {line.get_label(): line for line in figure.axes[axes].get_lines()}


def test_a_mean_stands_in_the_middle_of_the_steps_it_was_taken_over(tmp_path, drawn):
    rows = [TRAINED, EVALUATED, {**TRAINED, "step": 3, "epoch": 1.5, "loss": 0.25}]
    assert training_points(rows, "loss") == [(0.25, 0.5), (1.0, 0.25)]
    plot_runs([run(tmp_path / "a", *rows)], tmp_path / "out.png")
    assert lines(drawn[0], 0)["a, training"].get_xdata().tolist() == [0.25, 1.0]
    assert lines(drawn[0], 0)["a, test"].get_xdata().tolist() == [1.0]


def test_scores_on_validation_data_are_called_so(tmp_path, drawn):
    plot_runs([run(tmp_path / "a", TRAINED, {**EVALUATED, "eval_split": "validation"})], tmp_path / "out.png")
    assert set(lines(drawn[0], 0)) == {"a, training", "a, validation"}


def test_a_curve_of_one_point_is_seen(tmp_path, drawn):
    plot_runs([run(tmp_path / "a", TRAINED, EVALUATED)], tmp_path / "out.png")
    plot_runs([run(tmp_path / "b", TRAINED, {**TRAINED, "epoch": 1.0})], tmp_path / "out.png")
    assert all(line.get_marker() == "o" for axes in (0, 1) for line in lines(drawn[0], axes).values())
    assert lines(drawn[1], 0)["b, training"].get_marker() == "None"


def test_both_accuracies_have_titles_and_the_same_epochs_as_the_losses(tmp_path, drawn):
    plot_runs([run(tmp_path / "a", TRAINED, EVALUATED)], tmp_path / "out.png")
    losses, accuracies = drawn[0].axes
    assert lines(drawn[0], 1)["a, training"].get_ydata().tolist() == [0.8]
    assert (losses.get_title(), accuracies.get_title(), drawn[0].get_suptitle()) == ("loss", "accuracy", "a")
    assert losses.get_xlim() == accuracies.get_xlim()


@pytest.mark.parametrize(
    ("values", "scale"),
    [([0.5, 0.1], "log"), ([0.5, 0.0], "symlog"), ([0.0, 0.0], "linear"), ([0.5, 1e-6, 0], "symlog")],
)
def test_a_loss_of_zero_has_its_place(tmp_path, drawn, values, scale):
    rows = [{**TRAINED, "epoch": float(index), "loss": value} for index, value in enumerate(values)]
    plot_runs([run(tmp_path / "a", *rows)], tmp_path / "out.png")
    axes = drawn[0].axes[0]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert low <= min(values) <= max(values) <= high
