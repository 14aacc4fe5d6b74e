"""What a person who watches a training sees."""

import dataclasses
import io
import os
import pty
import subprocess
import sys

import pytest

from dpnet.output import console as module
from dpnet.output.console import BarConsole, PlainConsole, is_terminal, make_consoles
from dpnet.output.events import Evaluated, Note, RanksLost, StepsTaken, TimeSpent

STEPS, SCORES = StepsTaken(7, 0.5, 0.25, 0.5, 0.125, 1234.5, 10), Evaluated(7, 0.5, 0.125, 0.9, 10)
LAUNCHER_NAMES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


def test_the_plain_console_tells_every_evaluation_and_some_steps(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    console = PlainConsole(1000)
    for later in (0.0, 1.0, 3.9, 0.2):  # Seconds 100, 101, 104.9 and 105.1.
        now[0] += later
        console.write(dataclasses.replace(STEPS, step=round(now[0])))
    console.write(SCORES)
    console.write(Note("hello"))
    console.close()
    assert capsys.readouterr().out.splitlines() == [
        "epoch   0.50  step  100/1000  loss 0.2500  accuracy  50.00%  1,234 samples/s",
        "epoch   0.50  step  105/1000  loss 0.2500  accuracy  50.00%  1,234 samples/s",
        "epoch   0.50  step    7/1000  test accuracy 90.00%  test loss 0.1250",
        "hello",
    ]


def test_the_bar_shows_samples_loss_and_evaluations(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    console = BarConsole(total_steps=10, total_samples=640, samples=64)
    console.write(dataclasses.replace(STEPS, samples=448))
    console.write(SCORES)
    console.write(dataclasses.replace(STEPS, loss=0.0625, samples=640))
    console.close()
    text = out.getvalue()
    assert "test accuracy 90.00%" in text
    last = text.rstrip("\n").rsplit("\r", 1)[-1]
    assert "100%" in last
    assert "640/640" in last
    assert "loss=0.0625" in last
    assert "samples/s" in last
    assert text.endswith("\n")
    # The first bar that is drawn starts with the samples already used.
    assert "64.0/640" in text.split("\r")[1]


@pytest.mark.parametrize(
    ("kind", "terminal", "expected"),
    [
        ("auto", True, BarConsole),
        ("auto", False, PlainConsole),
        ("bar", False, BarConsole),
        ("plain", True, PlainConsole),
        ("none", True, None),
    ],
)
def test_the_console_is_the_one_that_was_asked_for(monkeypatch, kind, terminal, expected):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(module, "is_terminal", lambda: terminal)
    consoles = make_consoles(kind, total_steps=2, total_samples=4, samples=0)
    for console in consoles:
        console.close()
    assert [type(console) for console in consoles] == ([] if expected is None else [expected])


def asked_of_a_rank(stdout, environ):
    """The result of is_terminal in a process whose output goes to a pipe, and its parent's output to `stdout`."""
    code = (
        "import subprocess, sys\n"
        "inner = 'import sys; from dpnet.output.console import is_terminal; sys.exit(10 + is_terminal())'\n"
        "sys.exit(subprocess.run([sys.executable, '-c', inner], stdout=subprocess.PIPE).returncode)\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMI_", "SLURM_"))}
    return (
        subprocess.run([sys.executable, "-c", code], stdout=stdout, env={**kept, **environ}, check=False).returncode
        - 10
    )


def test_under_a_launcher_the_launchers_own_output_decides(tmp_path):
    ranks = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
    leader, follower = pty.openpty()
    try:
        assert asked_of_a_rank(follower, ranks) == 1
        assert asked_of_a_rank(follower, {}) == 0  # Without a launcher, the rank's own output decides: the pipe.
    finally:
        os.close(leader)
        os.close(follower)
    with (tmp_path / "out").open("w") as file:
        assert asked_of_a_rank(file, ranks) == 0


def test_without_a_launcher_the_own_output_decides(monkeypatch):
    for name in LAUNCHER_NAMES:
        monkeypatch.delenv(name, raising=False)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert not is_terminal()
    out.isatty = lambda: True
    assert is_terminal()


def test_a_loss_is_told_and_the_time_that_was_spent_is_not(capsys):
    console = PlainConsole(1000)
    console.write(RanksLost(1234, 0.25, [1, 2], ["a", "b"], 1, detect_s=0.125, recover_s=1.5))
    console.write(TimeSpent(4, 0.5, {"hosts": ["a"]}))
    assert capsys.readouterr().out == (
        "lost rank 1 on a, rank 2 on b (noticed after 0.12 s); going on after step 1,234 with 1 rank, 1.50 s later\n"
    )
