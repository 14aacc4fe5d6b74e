"""`dpnet launch` on a terminal: a bar from the start, whole words at every width, and all that ranks print."""

import re
import sys

import pytest
from helpers.mpirun import mpirun
from helpers.night import at_night
from helpers.terminals import TerminalOf, seen

from dpnet.launch import relay

LAUNCH = [sys.executable, "-m", "dpnet", "launch", "-n", "2"]
RANKS = """
import os, sys, time
from dpnet.environment import launched
if launched().rank == 0 and launched().world_size == 2:
    from dpnet.training.loop import Loop
    take_step = Loop._take_step

    def talking(self):
        take_step(self)
        if self.progress.step == 30:
            os.write(1, b"a library that prints a line of its own, longer than a narrow terminal is wide\\n")
            os.write(2, b"a warning on stderr\\n")
        time.sleep(0.02)

    Loop._take_step = talking
"""


def train_on_a_terminal(folder, columns, *settings, resize=None, options=()):
    """The final screen, and all that was written, of a training on two ranks on a terminal of so many columns."""
    mpirun(2)
    (folder / "sitecustomize.py").write_text(RANKS)
    command = [*LAUNCH, *options, "--", "train", "--output", str(folder / "run")]
    command += [part for setting in ("train.epochs=3", *settings) for part in ("--set", setting)]
    terminal = TerminalOf(command, columns=columns, env={"PYTHONPATH": str(folder)})
    try:
        if resize:
            assert terminal.read_until(lambda text: "epoch 2/3 |" in text, 120), terminal.text
            terminal.resize(resize)
        assert terminal.wait(120) == 0, terminal.text
        return [line.rstrip() for line in seen(terminal.text)], terminal.text
    finally:
        terminal.close()


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize(("columns", "resize"), [(40, None), at_night(60, 120), (80, 50), at_night(160, None)])
def test_a_terminal_shows_a_bar_while_ranks_train_and_whole_words_at_the_end(tmp_path, columns, resize):
    lines, text = train_on_a_terminal(tmp_path, columns, resize=resize)
    # While it went on: bars of every epoch, with the time that was left, and no mark of dpnet's own language.
    bars = re.findall(r"epoch (\d)/3 \|.*?\| +(\d+)%(?:  (\S+ s) left)?", text)
    assert {epoch for epoch, _, _ in bars} == {"1", "2", "3"}
    assert len(bars) >= 5
    assert any(left for _, _, left in bars)
    assert "\x1e" not in text
    # At the end: no bar, every line whole, what others print unchanged.
    assert not [line for line in lines if "|" in line]
    assert "a library that prints a line of its own, longer than a narrow terminal is wide" in lines
    assert "a warning on stderr" in lines
    words = " ".join(line.strip() for line in lines)
    for epoch in (1, 2, 3):
        assert re.search(
            rf"epoch {epoch}/3 training loss \d\.\d{{4}} test loss \d\.\d{{4}}, accuracy", re.sub(" +", " ", words)
        )
    own = [line for line in lines if not line.startswith(("a library", "dpnet launch"))]
    assert max(len(line) for line in own if " " in line.strip()) <= max(columns, resize or 0)
    assert lines[-1] == ""


@pytest.mark.ranks
@pytest.mark.slow
def test_without_evaluations_the_bar_moves_as_well(tmp_path):
    lines, text = train_on_a_terminal(tmp_path, 80, "evaluate.every_epochs=0", "output.log_every_steps=1000000")
    shares = sorted({int(share) for share in re.findall(r"\| +(\d+)%", text)})
    assert len(shares) >= 4, text
    assert (
        len([line for line in lines if re.match(r"epoch \d/3  training loss \S+  training accuracy \S+%$", line)]) == 3
    )


@pytest.mark.ranks
@pytest.mark.slow
def test_ctrl_c_on_the_terminal_leaves_a_clean_line_for_the_prompt(tmp_path):
    mpirun(2)
    command = [*LAUNCH, "--", "train", "--output", "run", "--set", "train.epochs=5000"]
    terminal = TerminalOf(["env", "-C", str(tmp_path), *command], columns=80)
    try:
        assert terminal.read_until(lambda text: bool(re.search(r"epoch \d+/5000 \|.* left", text)), 120), terminal.text
        terminal.press(b"\x03")
        assert terminal.wait(60) == 130, terminal.text
        lines = [line.rstrip() for line in seen(terminal.text)]
    finally:
        terminal.close()
    assert lines[-4].startswith("Preempted: SIGUSR1 came: stopped after step ")
    assert lines[-3:] == ["dpnet launch: go on with:", "  dpnet " + " ".join(command[3:]), ""]
    assert "Ctrl-C again ends at once" in " ".join(" ".join(lines).split())
    assert (tmp_path / "run/checkpoints/latest").exists()


@pytest.mark.parametrize(
    ("options", "draws"),
    [
        (["-n", "2"], True),
        (["-n", "2", "--host", "a,b"], True),
        (["-n", "2", "--output", "tag"], False),
        (["-n", "2", "--output-filename=x"], False),
        (["-n", "2", "--tag-output"], False),
        (["-l", "-n", "2"], False),
        (["-prepend-rank", "-n", "2"], False),
        (["-n", "2", "-outfile-pattern", "x"], False),
    ],
)
def test_where_mpirun_changes_the_lines_of_ranks_nothing_is_drawn(monkeypatch, options, draws):
    monkeypatch.setattr(relay, "is_terminal", lambda stream: True)
    with relay.drawn(options) as terminal:
        assert (terminal is not None) == draws


def test_in_a_pipe_nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(relay, "is_terminal", lambda stream: False)
    with relay.drawn(["-n", "2"]) as terminal:
        assert terminal is None
