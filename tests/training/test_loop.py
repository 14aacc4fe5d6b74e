"""The loop on one rank that is told of losses, though it loses nobody: it goes back, and ends with the same bits."""

import itertools

import pytest
from helpers.jobs import ADAMW, make_job, outcome, train

import dpnet
from dpnet.comm.local import LocalGroup
from dpnet.errors import WorkerLost
from dpnet.whereabouts import Whereabouts

SETTINGS = {
    **ADAMW,
    "data.validation": 0.1,
    "train.epochs": None,
    "train.steps": 6,
    "train.kernels": "numpy",  # Compiled kernels are rehearsed first, which is more to come to.
    "output.log_every_steps": 2,
    "evaluate.every_steps": 3,
    "checkpoint.every_steps": 2,
    "checkpoint.keep_last": 9,
}


class Survivor(LocalGroup):
    """A rank that is told of a loss when it has come to some of its operations and phases, counted from 0."""

    survives_losses = True

    def __init__(self, *fatal):
        super().__init__()
        self._fatal, self.count = fatal, itertools.count()

    def come_on(self):
        if next(self.count) in self._fatal:
            raise WorkerLost("barrier", 0.0)

    def barrier(self):
        self.come_on()

    def broadcast(self, value):
        self.come_on()
        return value

    def allgather_into(self, vector, counts):
        self.come_on()


def train_on(group, path):
    """Train, and come on with every phase that the training enters as well."""
    enter = Whereabouts.enter

    def entering(self, phase):
        enter(self, phase)
        group.come_on()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Whereabouts, "enter", entering)
        dpnet.train(make_job(path, SETTINGS), group)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcome of a training that loses nobody, and how often it comes on."""
    folder, group = tmp_path_factory.mktemp("whole"), Survivor()
    train_on(group, folder)
    return outcome(folder), next(group.count)


def test_two_banks_give_the_bits_of_one(tmp_path, whole):
    train(tmp_path, SETTINGS)
    assert outcome(tmp_path) == whole[0]


@pytest.mark.parametrize("remainder", range(3))
def test_a_loss_wherever_it_is_noticed_changes_no_bit_and_leaves_no_file_open(tmp_path, whole, remainder):
    expected, number = whole
    assert number > 50
    # At first everywhere: while the training begins, no place is like another.
    for first in (*range(remainder, 12, 3), *range(12 + remainder, number, 6)):
        path = tmp_path / str(first)
        train_on(Survivor(first, first + 10), path)
        assert outcome(path) == expected, first
