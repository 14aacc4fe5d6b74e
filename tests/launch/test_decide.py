"""What follows an attempt."""

import pytest

from dpnet.launch.decide import Outcome, Place, decide, killed

HERE, THERE = Place(10, 8), Place(20, 16)
ERROR = "DivergenceError: the loss is nan at step 10"


def outcome(code=1, place=HERE, **others):
    return Outcome(**{"code": code, "finished": False, "place": place, **others})


def failed(place=HERE, error=ERROR, code=1):
    return outcome(code, place, error=error)


@pytest.mark.parametrize("code", [0, 1, 137])
def test_a_complete_training_is_done_whatever_mpirun_says(code):
    decision = decide([outcome(code, finished=True)], 3)
    assert (decision.wait_s, decision.exit_code, decision.why) == (None, 0, "")


def test_a_wrong_configuration_stays_wrong():
    decision = decide([outcome(2)], 3)
    assert (decision.wait_s, decision.exit_code) == (None, 2)


def test_a_job_that_was_told_to_end_is_not_restarted():
    decision = decide([outcome(75, stopped=True)], 3)
    assert (decision.wait_s, decision.exit_code) == (None, 75)
    assert decide([outcome(0, stopped=True)], 3).exit_code == 1  # Neither complete nor at its checkpoint.


@pytest.mark.parametrize("last", [outcome(75), outcome(137), outcome(0), failed(), outcome(143, timed_out=True)])
def test_all_else_is_restarted(last):
    decision = decide([last], 1)
    assert decision.wait_s == 1.0
    assert decision.why.endswith("at step 10")


def test_the_reason_is_told():
    assert decide([failed()], 1).why == f"exit code 1, {ERROR}; at step 10"
    assert decide([outcome(0)], 1).why == (
        "mpirun returned 0, but the training is not complete (were all ranks killed?); at step 10"
    )
    assert decide([outcome(143, timed_out=True)], 1).why == "the time limit was reached; at step 10"


def test_no_more_than_so_many_restarts():
    outcomes = [outcome(137), outcome(137, THERE)]
    assert decide(outcomes, 2).wait_s is not None
    decision = decide(outcomes, 1)
    assert (decision.wait_s, decision.exit_code) == (None, 137)
    why = "exit code 137 (a rank, or mpirun, was killed by signal 9; the system's memory ran out?)"
    assert decision.why == f"gave up after 2 attempts: {why}; at step 20"
    assert decide([outcome(0)], 0).exit_code == 1


def test_the_same_failure_twice_at_the_same_place_is_the_jobs_own():
    decision = decide([failed(), failed()], 9)
    assert (decision.wait_s, decision.exit_code) == (None, 1)
    assert decision.why == f"gave up: {ERROR}; twice at step 10, newest checkpoint 8"
    assert decide([outcome(137), failed(), failed()], 9).why == decision.why  # Another failure there came before.


@pytest.mark.parametrize(
    "before", [failed(THERE), failed(Place(10, 7)), failed(error="DataError: other"), failed(code=3), outcome(137)]
)
def test_another_place_or_failure_may_be_chance(before):
    assert decide([before, failed()], 9).wait_s is not None


@pytest.mark.parametrize(
    "last",
    [
        outcome(137),
        outcome(137, error=ERROR),
        outcome(9, error=ERROR),
        outcome(75),
        failed(error="CommunicationError: a rank was lost"),
        outcome(143, error=ERROR, timed_out=True),
    ],
)
def test_what_may_be_chance_is_given_up_after_three_times_without_progress(last):
    assert decide([last, last], 9).wait_s == 2.0
    assert "3 times at step 10" in decide([last, last, last], 9).why


def test_failures_of_several_kinds_without_progress_count_together():
    assert "3 times at step 10" in decide([outcome(137), failed(), outcome(75)], 9).why


def test_progress_begins_the_count_and_the_waits_anew():
    assert decide([outcome(137), outcome(137), outcome(137, THERE)], 9).wait_s == 1.0
    assert decide([failed(), failed(THERE), failed(THERE)], 9).wait_s is None


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (137, "a rank, or mpirun, was killed by signal 9; the system's memory ran out?"),
        (9, "a rank, or mpirun, was killed by signal 9; the system's memory ran out?"),
        (135, "a rank, or mpirun, was killed by signal 7; /dev/shm or a disk is full?"),
        (143, ""),
        (1, ""),
        (75, ""),
    ],
)
def test_a_killed_rank_is_told_with_what_may_have_killed_it(code, told):
    assert killed(code) == told
