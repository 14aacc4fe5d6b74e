"""Where the words of a training go, and how they get to the terminal of the launcher."""

import io
import sys
import time

import pytest

from dpnet.environment import DRAWN
from dpnet.output import screen as module
from dpnet.output import terminal
from dpnet.output.footer import Footer
from dpnet.output.screen import MARK, PlainScreen, RemoteScreen, current, doing, obey, opened
from dpnet.output.terminal import Terminal

FOOTER = Footer("epoch 1/2", 0.5, ["3 s left"])


class Recorded:
    def __init__(self):
        self.did = []

    def say(self, text):
        self.did.append(text)

    def show(self, footer):
        self.did.append(footer)

    def close(self):
        pass


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "TOO_LONG_S", 0.01)


def test_what_a_rank_sends_is_what_the_launcher_draws(capsys):
    remote, drawn = RemoteScreen(), Recorded()
    remote.say("two\nlines, ünïcode")
    remote.show(FOOTER)
    remote.close()
    for line in capsys.readouterr().out.rstrip("\n").split("\n"):
        assert obey(line.encode(), drawn)
    assert drawn.did == ["two\nlines, ünïcode", Footer("epoch 1/2", 0.5, ["3 s left"]), None]


def test_a_rank_that_never_had_a_footer_takes_none_away(capsys):
    RemoteScreen().close()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "line", ["", "hello", MARK, MARK + "{", MARK + "7", MARK + '{"x": 1}', MARK + "[1]", " " + MARK + "null"]
)
def test_other_lines_are_left_alone(line):
    drawn = Recorded()
    assert not obey(line.encode(), drawn)
    assert drawn.did == []


def test_a_plain_screen_prints_sentences_and_no_bars(capsys):
    plain = PlainScreen()
    for footer in (Footer("reading"), FOOTER, None):
        plain.show(footer)
    assert capsys.readouterr().out == "reading ...\n"


def test_the_screen_is_the_one_that_was_asked_for(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", DRAWN):
        monkeypatch.delenv(name, raising=False)
    kinds = {}
    for is_terminal in (False, True):
        out.isatty = lambda answer=is_terminal: answer
        monkeypatch.setenv("TERM", "xterm")
        for kind in ("auto", "bar", "plain", "none"):
            with opened(kind) as screen:
                assert current() is screen
                kinds[kind, is_terminal] = type(screen)
            assert sys.stdout is out
    assert kinds == {
        ("auto", False): PlainScreen, ("bar", False): Terminal, ("plain", False): PlainScreen,
        ("none", False): PlainScreen, ("auto", True): Terminal, ("bar", True): Terminal,
        ("plain", True): PlainScreen, ("none", True): Terminal,
    }  # fmt: skip
    monkeypatch.setenv("TERM", "dumb")
    with opened("auto") as screen:
        assert isinstance(screen, PlainScreen)
    monkeypatch.setenv(DRAWN, "1")
    with opened("auto") as screen:
        assert isinstance(screen, RemoteScreen)
    assert type(current()) is PlainScreen


@pytest.mark.usefixtures("quick")
def test_what_takes_long_is_told(capsys):
    with opened("plain"), doing("reading the data"):
        time.sleep(0.3)
    assert capsys.readouterr().out == "reading the data ...\n"


def test_what_is_quick_is_not_told(capsys):
    with opened("plain"), doing("reading the data"):
        pass
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("quick")
def test_a_command_that_opened_no_screen_prints_its_result_alone(capsys):
    with doing("reading the data"):
        time.sleep(0.05)
    assert capsys.readouterr().out == ""


def test_a_single_rank_under_open_mpi_draws_no_bar_into_a_file(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    monkeypatch.delenv(DRAWN, raising=False)
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: True)  # The rank has one.
    monkeypatch.setattr(terminal, "of_mpirun", lambda: None)  # mpirun has none.
    with opened("auto") as screen:
        assert isinstance(screen, PlainScreen)
