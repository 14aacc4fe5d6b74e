"""Errors travel between ranks, whole."""

import pickle

import pytest

from dpnet import errors
from dpnet.errors import CommunicationError, ConfigError, DpnetError, Preempted, SharedMemoryError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DpnetError)]


def sent(error):
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("agreed", [False, True])
def test_an_error_of_any_kind_travels_whole(kind, agreed):
    error = sent(kind("row 7", agreed=agreed))
    assert (type(error), str(error), error.args, error.agreed) == (kind, "row 7", ("row 7",), agreed)
    assert error.exit_code == kind("row 7").exit_code


def test_a_message_that_was_rewritten_is_the_one_that_travels():
    # As `agree.everywhere` does, to name the rank.
    for error in (ConfigError("row 7", agreed=True), Preempted("row 7", 9)):
        error.args = ("row 7 (rank 1, node1)",)
        assert (str(sent(error)), sent(error).agreed) == ("row 7 (rank 1, node1)", True)


def test_preemption_travels_with_the_exit_code_of_the_job():
    assert sent(Preempted("a signal came", 9)).exit_code == 9
    assert Preempted("a signal came").exit_code == 75


def test_who_knows_of_an_error_is_up_to_its_kind_where_nothing_else_is_said():
    assert not ConfigError("x").agreed
    assert not sent(SharedMemoryError("x")).agreed
    assert Preempted("x", 75).agreed
    assert not Preempted("x", 75, agreed=False).agreed


def test_an_error_without_shared_memory_is_one_of_communication():
    assert isinstance(sent(SharedMemoryError("x")), CommunicationError)
