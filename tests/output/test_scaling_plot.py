"""Scaling as a picture."""

import pytest

from dpnet.errors import OutputError
from dpnet.output.scaling_plot import Scaling, plot_scaling

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("nodes", [[1], [2], [3, 7], [2**power for power in range(13)]])
def test_any_numbers_of_nodes_make_a_picture_without_a_warning(tmp_path, nodes):
    rows = [Scaling(number, 1.7 * number**0.8, "factors" if number < 5 else "gradients") for number in nodes]
    plot_scaling(rows, "64-8-2, 64 samples a step", tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_exchanged_is_named_once_each(tmp_path):
    rows = [Scaling(1, 1.0, "nothing"), Scaling(2, 1.8, "recompute"), Scaling(4, 2.0, "recompute")]
    plot_scaling(rows, "64-8-2", tmp_path / "out.svg")
    text = (tmp_path / "out.svg").read_text()
    assert text.count("<!-- recompute -->") == text.count("<!-- ideal -->") == 1


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"out\.doc"):
        plot_scaling([Scaling(1, 1.0, "nothing")], "", tmp_path / "out.doc")
