"""A person at a terminal sees whole words, one footer below all lines, and everything else untouched above it."""

import io
import os
import subprocess
import sys

from helpers.terminals import seen

from dpnet.output import terminal as module
from dpnet.output.footer import Footer
from dpnet.output.terminal import Terminal

FOOTER = Footer("epoch 1/2", 0.5, ["3 s left"])


def standard_output(monkeypatch):
    """A terminal of 40 columns, as sys.stdout and sys.stderr. Not a fixture: pytest sets both anew before a test."""
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(Terminal, "columns", 40)
    return stream


def test_lines_appear_above_the_footer(monkeypatch):
    out = standard_output(monkeypatch)
    terminal = Terminal(out)
    terminal.say("first")
    terminal.show(FOOTER)
    terminal.say("second")
    terminal.show(Footer("epoch 2/2", 1.0))
    shown = seen(out.getvalue())
    assert shown[:2] == ["first", "second"]
    assert shown[2].startswith("epoch 2/2 |")
    assert "epoch 1/2" not in "".join(shown)
    assert out.getvalue().endswith("\r")  # The cursor is where the next line begins, also for other processes.
    terminal.close()
    assert seen(out.getvalue()) == ["first", "second", ""]


def test_what_others_print_is_unchanged_and_does_not_tear_the_footer(monkeypatch):
    out = standard_output(monkeypatch)
    terminal = Terminal(out)
    terminal.show(FOOTER)
    print("a print of the user's own, which is longer than the terminal")
    print("some warning", file=sys.stderr)
    sys.stdout.write("unfinished")
    terminal.show(FOOTER)
    assert seen(out.getvalue())[-1] == "unfinished"  # No footer behind it.
    sys.stdout.write(" line\n")
    shown = seen(out.getvalue())
    assert shown[0] == "a print of the user's own, which is longer than the terminal"
    assert shown[1] == "some warning"
    assert shown[-2] == "unfinished line"
    assert shown[-1].startswith("epoch 1/2 |")
    terminal.close()
    assert sys.stdout is out
    assert sys.stderr is out


def test_long_lines_are_broken_between_words(monkeypatch):
    out = standard_output(monkeypatch)
    terminal = Terminal(out)
    terminal.say("dpnet 0.1.0: 2 ranks on 1 host, 1 thread a rank; matrix products by numpy\nshort")
    terminal.close()
    assert seen(out.getvalue()) == [
        "dpnet 0.1.0: 2 ranks on 1 host, 1 thread", "  a rank; matrix products by numpy", "short", "",
    ]  # fmt: skip


def test_a_terminal_that_has_gone_ends_nothing(monkeypatch):
    out = standard_output(monkeypatch)
    terminal = Terminal(out)
    terminal.show(FOOTER)

    def fail(text):
        raise OSError(5, "Input/output error")

    out.write = fail
    terminal.say("hello")
    terminal.close()


PARENT = """
import subprocess, sys
inner = 'from dpnet.output.screen import opened; '
inner += 'screen = opened("auto").__enter__(); screen.say("hello"); print(type(screen).__name__)'
print(subprocess.run([sys.executable, '-c', inner], stdout=subprocess.PIPE, text=True).stdout, file=sys.stderr)
"""


def screen_of_a_rank(stdout, **environ):
    """The kind of screen of a process whose output goes to a pipe, and its parent's output to `stdout`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMI_", "SLURM_"))}
    result = subprocess.run(
        [sys.executable, "-c", PARENT], stdout=stdout, stderr=subprocess.PIPE, text=True, check=True,
        env={**kept, "TERM": "xterm", **environ},
    )  # fmt: skip
    return result.stderr.split()[-1]


def test_under_an_mpirun_of_the_users_own_rank_0_draws_on_its_terminal(tmp_path):
    ranks = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
    leader, follower = os.openpty()
    try:
        assert screen_of_a_rank(follower, **ranks) == "Terminal"
        assert os.read(leader, 100) == b"hello\r\n"
        assert screen_of_a_rank(follower) == "PlainScreen"  # Without a launcher its own output counts: the pipe.
        attributes = module.termios.tcgetattr(follower)
        attributes[3] |= module.termios.TOSTOP  # The terminal would stop a rank that writes to it.
        module.termios.tcsetattr(follower, module.termios.TCSANOW, attributes)
        assert screen_of_a_rank(follower, **ranks) == "PlainScreen"
    finally:
        os.close(leader)
        os.close(follower)
    with (tmp_path / "out").open("w") as file:
        assert screen_of_a_rank(file, **ranks) == "PlainScreen"
