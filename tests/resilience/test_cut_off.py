"""A part of a job that was cut off sees that the others went on."""

from pathlib import Path

import pytest

from dpnet.errors import OutputError
from dpnet.resilience.cut_off import check_not_cut_off

HERE = {"host": "node7", "folder": Path("runs/mnist")}


@pytest.mark.parametrize("written", [0, 41, 42])
def test_a_lost_rank_may_have_been_one_step_ahead(written):
    check_not_cut_off(written, 41, **HERE)


@pytest.mark.parametrize(("written", "shown"), [(43, "43"), (1234567, "1,234,567")])
def test_more_steps_than_that_are_those_of_the_other_ranks(written, shown):
    expected = (
        f"the other ranks went on without node7, in runs/mnist up to step {shown}: it was cut off from the network"
    )
    with pytest.raises(OutputError) as caught:
        check_not_cut_off(written, 41, **HERE)
    assert str(caught.value) == expected
