"""What a person who watches a training sees."""

import dataclasses
import threading

import pytest

from dpnet.output import console as module
from dpnet.output.console import BarConsole, Length, LinesConsole, make_consoles
from dpnet.output.events import EpochTaken, Evaluated, Note, RanksLost, StepsTaken, TimeSpent
from dpnet.output.screen import PlainScreen

LENGTH = Length(steps=1000, samples=64000, epochs=20.0)
STEPS, SCORES = StepsTaken(7, 0.5, 0.25, 0.5, 0.125, 1234.5, 10), Evaluated(7, 0.5, 0.125, 0.9, 10, "test")
EPOCH = EpochTaken(150, 3.0, 0.25, 0.5, 1234.5, eval_scores={"loss": 0.125, "accuracy": 0.9})


class Recorded:
    """A screen that remembers its footers."""

    def __init__(self):
        self.lines, self.footers, self.changed = [], [], threading.Event()

    def say(self, text):
        self.lines.append(text)

    def show(self, footer):
        self.footers.append(footer)
        self.changed.set()

    def close(self):
        pass


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_an_epoch_is_a_line_with_training_and_test_loss():
    screen = Recorded()
    console = LinesConsole(screen, LENGTH, shows_speed=False)
    for event in (
        STEPS,
        SCORES,  # The line of its epoch says the same.
        EPOCH,
        dataclasses.replace(EPOCH, epoch=12.0, eval_scores={}),
        dataclasses.replace(EPOCH, epoch=3.5, step=1750),
        dataclasses.replace(EPOCH, epoch=4.0, since=1700),
        Note("hello"),
    ):
        console.write(event)
    assert screen.lines == [
        "epoch  3/20  training loss 0.2500  test loss 0.1250, accuracy 90.00%",
        "epoch 12/20  training loss 0.2500  training accuracy 50.00%",
        "epoch 3.50, step 1,750/1,000  training loss 0.2500  test loss 0.1250, accuracy 90.00%",
        "epoch  4/20  training loss 0.2500 (since step 1,700)  test loss 0.1250, accuracy 90.00%",
        "hello",
    ]


def test_without_a_bar_the_lines_show_the_speed_and_long_epochs_have_lines_between(clock):
    screen = Recorded()
    console = LinesConsole(screen, LENGTH, shows_speed=True)
    for later in (0.0, 29.9, 0.2, 20.0):
        clock[0] += later
        console.write(dataclasses.replace(STEPS, step=round(10 * clock[0])))
    console.write(EPOCH)
    clock[0] += 29.0
    console.write(STEPS)
    assert screen.lines == [
        "epoch 0.50, step 1,301/1,000  training loss 0.2500  training accuracy 50.00%  1,234 samples/s",
        "epoch  3/20  training loss 0.2500  test loss 0.1250, accuracy 90.00%  1,234 samples/s",
    ]


def test_a_training_of_steps_counts_steps():
    screen = Recorded()
    LinesConsole(screen, Length(1000, 64000, 20.5), shows_speed=False).write(EPOCH)
    assert screen.lines[0].startswith("epoch 3.00, step 150/1,000  ")


def test_the_bar_shows_epoch_share_time_left_loss_and_speed(clock):
    screen, samples = Recorded(), [6400]
    console = BarConsole(screen, LENGTH, lambda: samples[0])
    assert screen.footers[0].title == "epoch 3/20"  # Two epochs are over.
    assert screen.footers[0].share == 0.1
    assert screen.footers[0].facts == []
    console.write(STEPS)
    clock[0] += 2.0
    samples[0] = 16000
    screen.changed.clear()
    assert screen.changed.wait(30)  # Nobody had to report anything for the bar to move.
    console.close()
    footer = screen.footers[-2]
    assert (footer.title, footer.share) == ("epoch 6/20", 0.25)
    assert footer.facts == ["10 s left", "loss 0.2500", "4,800 samples/s"]
    assert screen.footers[-1] is None


def test_at_the_end_the_bar_is_in_the_last_epoch(clock):
    screen = Recorded()
    BarConsole(screen, LENGTH, lambda: 64000).close()
    assert (screen.footers[0].title, screen.footers[0].share) == ("epoch 20/20", 1.0)


@pytest.mark.parametrize(
    ("kind", "screen", "expected"),
    [
        ("auto", Recorded(), [LinesConsole, BarConsole]),
        ("bar", Recorded(), [LinesConsole, BarConsole]),
        ("auto", PlainScreen(), [LinesConsole]),
        ("plain", PlainScreen(), [LinesConsole]),
        ("none", Recorded(), []),
    ],
)
def test_the_consoles_are_those_that_were_asked_for(kind, screen, expected):
    consoles = make_consoles(kind, screen, LENGTH, lambda: 0)
    for console in consoles:
        console.close()
    assert [type(console) for console in consoles] == expected


def test_a_loss_is_told_and_the_time_that_was_spent_is_not():
    screen = Recorded()
    console = LinesConsole(screen, LENGTH, shows_speed=True)
    console.write(RanksLost(1234, 0.25, [1, 2], ["a", "b"], 1, detect_s=0.125, recover_s=1.5))
    console.write(TimeSpent(4, 0.5, {"hosts": ["a"]}))
    assert screen.lines == [
        "lost rank 1 on a, rank 2 on b (noticed after 0.12 s); going on after step 1,234 with 1 rank, 1.50 s later"
    ]
