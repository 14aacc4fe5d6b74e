"""Which rank makes the others wait, and what keeps it busy."""

import numpy as np
import pytest

from dpnet.resilience.stragglers import cause, straggler


@pytest.mark.parametrize(
    ("rows", "slow"),
    [
        ([[10, 0]], -1),
        ([[10, 1], [10, 1.5]], -1),
        ([[10, 1], [10, 3]], 0),
        ([[10, 5], [10, 5], [10, 1]], 2),
        ([[10, 5], [10, 1], [10, 1]], -1),  # Two are slow: nobody waits for one alone.
    ],
)
def test_the_straggler_is_the_one_that_all_others_wait_for(rows, slow):
    assert straggler(np.array(rows, float)) == slow


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((10, 1, 5, 4), "data: 5.00 s, others 1.00 s"),
        ((10, 1, 1, 8), "compute: 8.00 s, others 4.00 s"),
        ((10, 1, 0.5, 8.5), "compute: 8.50 s, others 4.00 s"),
        ((10, 1, 1, 4), "neither data nor compute; writing files, perhaps"),
        ((10, 1, 0.1, 3), "neither data nor compute; writing files, perhaps"),
    ],
)
def test_what_keeps_it_busy_is_told(row, words):
    assert cause(np.array([(10, 5, 1, 4), row, (10, 5, 1, 4)], float), 1) == words
