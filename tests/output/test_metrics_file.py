"""What the learning curve and the console show."""

import contextlib
import io
import json
import os
import pty
import subprocess
import sys

import pytest

from dpnet.errors import OutputError
from dpnet.output import metrics_file as metrics
from dpnet.output.events import RootReporter
from dpnet.output.metrics_file import BarConsole, MetricsFile, PlainConsole, SilentConsole, is_terminal, make_console
from dpnet.parallel.plan import Plan
from dpnet.training.progress import Progress

TRAINED = {"step": 7, "epoch": 0.5, "loss": 0.25, "accuracy": 0.5, "samples_per_s": 1234.5}
EVALUATED = {"step": 7, "epoch": 0.5, "eval_loss": 0.125, "eval_accuracy": 0.9, "eval_samples": 10}
LAUNCHER_NAMES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextlib.contextmanager
def opened(path, *, step):
    file = MetricsFile(path, step=step)
    try:
        yield file
    finally:
        file.close()


def test_rows_are_there_as_soon_as_they_are_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with opened(path, step=0) as file:
        file.write(TRAINED)
        file.sync()
        file.write(EVALUATED)
        assert rows(path) == [TRAINED, EVALUATED]


def test_rows_of_steps_that_are_taken_again_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 5, 5, 6, 9)))
    with opened(path, step=5) as file:
        assert rows(path) == [{"step": 1}, {"step": 5}, {"step": 5}]
        file.write({"step": 6})
    assert rows(path)[-1] == {"step": 6}


@pytest.mark.parametrize(
    "tail",
    ['{"st', '{"step": 2}', "null\n", "[]\n", '{"loss": 1}\n', '{"step": "2"}\n', "[" * 99999 + "\n", "\0\udcff\n"],
)
def test_what_is_no_whole_row_is_dropped(tmp_path, tail):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + tail.encode(errors="surrogateescape"))
    with opened(path, step=4) as file:
        file.write({"step": 5})
    assert rows(path) == [{"step": 1}, {"step": 5}]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        MetricsFile(tmp_path / "file/metrics.jsonl", step=0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_an_error_at_once_and_when_closing(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl", step=0)
    file.close()
    file._file = open("/dev/full", "a")  # noqa: SIM115
    with pytest.raises(OutputError, match="No space left"):
        file.write(TRAINED)
    with pytest.raises(OutputError, match="No space left"):
        file.close()


def test_the_plain_console_tells_every_evaluation_and_some_steps(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(metrics.time, "monotonic", lambda: now[0])
    console = PlainConsole(1000)
    for later in (0.0, 1.0, 3.9, 0.2):  # Seconds 100, 101, 104.9 and 105.1.
        now[0] += later
        console.trained({**TRAINED, "step": round(now[0])}, 10)
    console.evaluated(EVALUATED)
    console.note("hello")
    console.close()
    assert capsys.readouterr().out.splitlines() == [
        "epoch   0.50  step  100/1000  loss 0.2500  accuracy  50.00%  1,234 samples/s",
        "epoch   0.50  step  105/1000  loss 0.2500  accuracy  50.00%  1,234 samples/s",
        "epoch   0.50  step    7/1000  test accuracy 90.00%  test loss 0.1250",
        "hello",
    ]


def test_the_silent_console_tells_nothing(capsys):
    console = SilentConsole()
    console.note("hello")
    console.trained(TRAINED, 10)
    console.evaluated(EVALUATED)
    console.close()
    assert capsys.readouterr() == ("", "")


def test_the_bar_shows_samples_loss_and_evaluations(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    console = BarConsole(total_steps=10, total_samples=640, samples=64)
    console.trained(TRAINED, 448)
    console.evaluated(EVALUATED)
    console.trained({**TRAINED, "loss": 0.0625}, 640)
    console.close()
    text = out.getvalue()
    assert "test accuracy 90.00%" in text
    last = text.rstrip("\n").rsplit("\r", 1)[-1]
    assert "100%" in last
    assert "640/640" in last
    assert "loss=0.0625" in last
    assert "samples/s" in last
    assert text.endswith("\n")
    # The first time that it is drawn, it has the samples of before.
    assert "64.0/640" in text.split("\r")[1]


@pytest.mark.parametrize(
    ("kind", "terminal", "expected"),
    [
        ("auto", True, BarConsole),
        ("auto", False, PlainConsole),
        ("bar", False, BarConsole),
        ("plain", True, PlainConsole),
        ("none", True, SilentConsole),
    ],
)
def test_the_console_is_the_one_that_was_asked_for(monkeypatch, kind, terminal, expected):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(metrics, "is_terminal", lambda: terminal)
    console = make_console(kind, total_steps=2, total_samples=4, samples=0)
    console.close()
    assert type(console) is expected


def asked_of_a_rank(stdout, environ):
    """What is_terminal says in a child of a process whose output goes to `stdout`, its own to a pipe."""
    code = (
        "import subprocess, sys\n"
        "inner = 'import sys; from dpnet.output.metrics_file import is_terminal; sys.exit(10 + is_terminal())'\n"
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
        assert asked_of_a_rank(follower, {}) == 0  # Without one, this rank's own, the pipe.
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


def test_the_reporter_makes_rows_of_sums(tmp_path, monkeypatch):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr("dpnet.output.events.time.perf_counter", lambda: next(clock))
    path, plan = tmp_path / "metrics.jsonl", Plan(100, 40, seed=0, num_shards=1)  # Steps of 40, 40 and 20.
    reporter = RootReporter(path, "none", plan, step=2, total_steps=9)
    progress = Progress(step=4, samples=60, loss=30.0, hits=45)
    reporter.trained(progress, 0.125)
    progress.eval_loss, progress.eval_accuracy, progress.eval_samples = 0.5, 0.75, 8
    reporter.evaluated(progress)
    reporter.close()
    place = {"step": 4, "epoch": 1.4}
    assert rows(path) == [
        {**place, "loss": 0.5, "accuracy": 0.75, "learning_rate": 0.125, "samples_per_s": 30.0},
        {**place, "eval_loss": 0.5, "eval_accuracy": 0.75, "eval_samples": 8},
    ]
