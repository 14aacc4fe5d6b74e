"""Lists and numbers in messages, and lines that fit the terminal."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

import pytest

from dpnet.cli.main import run
from dpnet.environment import COLUMNS
from dpnet.text import broken, complain, fitted, table


def test_columns_are_as_wide_as_their_widest_cell():
    assert table(("name", "n"), [("a", 100), ("longer", "")]) == "name      n\na       100\nlonger"


# --- lines that fit ---


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("", [""]),
        ("in /a/very/long/path/that/fits/nowhere", ["in", "  /a/very/long/path/that/fits/nowhere"]),
        ("one  two spaces stay, and the next lines", ["one  two spaces", "  stay, and the next", "  lines"]),
        ("  an indented line goes on", ["  an indented line", "    goes on"]),
        ("give it as --set train.epochs=3 then", ["give it as", "  --set train.epochs=3", "  then"]),
        ('the source "my own data.npz" is', ["the source", '  "my own data.npz"', "  is"]),
        (
            "save np.unique(y, return_inverse=True)[1] as y",
            ["save", "  np.unique(y, return_inverse=True)[1]", "  as y"],
        ),
        ("install it: pip install 'dpnet[onnx]'; then", ["install it:", "  pip install 'dpnet[onnx]';", "  then"]),
        ("try dpnet launch -n 4 -- train a.toml, or so", ["try", "  dpnet launch -n 4 -- train a.toml,", "  or so"]),
        ("the ranks' own work and the host's other work", ["the ranks' own work", "  and the host's", "  other work"]),
        ("    x = np.load(file)  # a line of a program", ["    x = np.load(file)  # a line of a program"]),
        ('then say data.test = "a b", or so', ["then say", '  data.test = "a b",', "  or so"]),
        ("  dpnet train job.toml --output some where", ["  dpnet train job.toml --output some where"]),
    ],
)
def test_a_line_is_broken_between_words_and_what_is_to_be_copied_stays_whole(line, lines):
    assert broken(line, 20) == lines
    assert fitted(f"{line}\n{line}", 20).splitlines() == ([*lines, *lines] if line else [""])
    assert broken(line, 200) == [line]


MARK = "\x02read so far\x03"


@pytest.fixture
def terminal():
    """A terminal of 40 columns: the end from which is read what was written there, and the end to write to."""
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    os.set_blocking(leader, False)
    with os.fdopen(follower, "w") as stream:
        yield leader, stream
    os.close(leader)


def read(terminal):
    """All lines that were written so far: the system hands them on a moment later, so a mark is written behind them."""
    leader, stream = terminal
    stream.write(MARK)
    stream.flush()
    text = ""
    while not text.endswith(MARK):
        select.select([leader], [], [])
        text += os.read(leader, 65536).decode()
    return text.removesuffix(MARK).splitlines()


LONG = "ConfigError: train.epochs is 0; it must be at least 1 (--set train.epochs=0)"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["train", "--set", "train.epochs=0"], "ConfigError"),
        (["train", "--epochs", "3"], "--set"),
        (["evaluate", "/no/such/run", "--data", "digits"], "CheckpointError"),
        (["launch", "--max-restarts", "x", "--", "train"], "max-restarts"),
    ],
)
def test_an_error_fits_the_terminal_and_is_one_line_in_a_pipe(terminal, monkeypatch, capsys, arguments, word):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal[1])
        on_terminal = ended(arguments)
    shown = read(terminal)
    assert ended(arguments) == on_terminal != 0
    whole = capsys.readouterr().err.splitlines()
    assert any(word in line for line in whole)
    told = shown[max(index for index, line in enumerate(shown) if not line.startswith(" ")) :]
    assert len(told) > 1
    assert max(map(len, told)) <= 40, told
    assert " ".join(" ".join(shown).split()) == " ".join(" ".join(whole).split())


def ended(arguments):
    try:
        return run(arguments)
    except SystemExit as stop:
        return stop.code


def test_the_terminal_of_mpirun_counts_where_a_rank_writes_to_a_pipe(terminal, monkeypatch, capsys):
    copied = os.dup(terminal[1].fileno())
    monkeypatch.setattr("dpnet.text.opened_terminal_of_mpirun", lambda stream: copied if stream == 2 else None)
    complain(LONG)
    assert capsys.readouterr().err.splitlines() == [
        "ConfigError: train.epochs is 0; it must",
        "  be at least 1 (--set train.epochs=0)",
    ]
    monkeypatch.setattr("dpnet.text.opened_terminal_of_mpirun", lambda stream: None)
    complain(LONG)
    assert capsys.readouterr().err == f"{LONG}\n"


@pytest.mark.parametrize(("columns", "lines"), [("50", 2), ("", 1)])
def test_the_terminal_of_dpnet_launch_counts_if_errors_get_there(monkeypatch, capsys, columns, lines):
    monkeypatch.setenv(COLUMNS, columns)
    complain(LONG)
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_words_on_the_standard_output_fit_its_terminal(terminal, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = ["init", "--data", "digits"]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal[1])
        assert run(arguments) == 0
    shown = read(terminal)
    assert len(shown) > 2
    assert max(map(len, shown[:-1])) <= 40
    assert run([*arguments, "other.toml"]) == 0
    whole = capsys.readouterr().out.splitlines()
    assert " ".join(" ".join(shown).split()).replace("job.toml", "other.toml") == " ".join(whole)


def test_an_error_has_its_exit_code_where_the_shell_has_closed_the_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert run(["train", "--set", "train.epochs=0"]) == 2
    assert capsys.readouterr().out == ""
