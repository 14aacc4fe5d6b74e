"""Which rank makes the others wait, and what keeps it busy."""

import pytest

from dpnet.resilience.spent import Spent
from dpnet.resilience.stragglers import cause, describe, straggler


def rank(elapsed=10.0, **seconds):
    return Spent(elapsed=elapsed, **seconds)


def waiting(*seconds):
    return [rank(waited=each) for each in seconds]


@pytest.mark.parametrize(
    ("ranks", "slow"),
    [
        (waiting(0), -1),
        (waiting(1, 1.5), -1),
        (waiting(1, 3), 0),
        (waiting(5, 5, 1), 2),
        (waiting(5, 1, 1), -1),  # Two are slow: nobody waits for one alone.
    ],
)
def test_the_straggler_is_the_one_that_works_longest_while_all_others_wait(ranks, slow):
    assert straggler(ranks) == slow


def test_a_rank_that_had_no_core_is_not_slow():
    assert straggler([rank(waited=1, lacked=4, all_lacked=4), rank(waited=5)]) == -1
    assert straggler([rank(waited=1, lacked=1, all_lacked=4), rank(waited=5)]) == -1
    assert straggler([rank(waited=1, lacked=1, all_lacked=1), rank(waited=5)]) == 0


def test_a_rank_whose_virtual_machine_got_no_time_is_not_slow():
    ranks = [rank(waited=1), rank(waited=5)]
    assert straggler(ranks, [0.0, 0.4]) == 0
    assert straggler(ranks, [0.4, 0.0]) == -1


def test_what_the_others_lacked_is_not_taken_for_the_straggler_s_work():
    assert straggler([rank(waited=1), rank(waited=2, all_lacked=5)]) == -1


def test_an_evaluation_or_a_checkpoint_of_one_rank_does_not_count():
    # The first writes for four seconds, for which the other waits, outside of steps.
    assert straggler([rank(outside=4, waited=3), rank(outside=4, waited=3)]) == -1
    assert straggler([rank(outside=4), rank(waited=4)]) == -1  # A report: the other has begun its next step.
    assert straggler([rank(outside=8, waited=0), rank(outside=8, waited=1)]) == 0  # A tenth of the time in steps.


@pytest.mark.parametrize(
    ("slow", "words"),
    [
        (rank(waited=1, data=5, computing=4), "data: 5.00 s, others 1.00 s"),
        (rank(waited=1, data=1, computing=8), "compute: 8.00 s, others 4.00 s"),
        (rank(waited=1, data=0.5, computing=8.5), "compute: 8.50 s, others 4.00 s"),
        (rank(waited=1, data=1, computing=4), "neither data nor compute"),
        (rank(waited=1, data=0.1, computing=3), "neither data nor compute"),
    ],
)
def test_what_keeps_it_busy_is_told(slow, words):
    usual = rank(waited=5, data=1, computing=4)
    assert cause(slow, usual) == words
    text = f"rank 1 on node7 is slow: the others spent 50% of the last 10 s waiting for it ({words})"
    assert describe([usual, slow, usual], 1, "node7") == text
