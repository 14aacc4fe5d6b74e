"""The learning curve as a file: rows of events, in the order in which these happen."""

import contextlib
import json
import os

import pytest

from dpnet.errors import OutputError
from dpnet.output.events import Evaluated, Note, RanksLost, StepsTaken, TimeSpent
from dpnet.output.metrics_file import MetricsFile

STEPS, SCORES = StepsTaken(7, 0.5, 0.25, 0.5, 0.125, 1234.5, 10), Evaluated(7, 0.5, 0.125, 0.9, 10, "test")
TRAINED = {"step": 7, "epoch": 0.5, "loss": 0.25, "accuracy": 0.5, "learning_rate": 0.125, "samples_per_s": 1234.5}
EVALUATED = {
    "step": 7,
    "epoch": 0.5,
    "eval_loss": 0.125,
    "eval_accuracy": 0.9,
    "eval_samples": 10,
    "eval_split": "test",
}


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
        file.write(STEPS)
        file.write(SCORES)
        assert rows(path) == [TRAINED, EVALUATED]


def test_rows_of_steps_that_are_taken_again_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 5, 5, 6, 9)))
    with opened(path, step=5) as file:
        assert rows(path) == [{"step": 1}, {"step": 5}, {"step": 5}]
        file.write(Evaluated(6, 0.5, 0.125, 0.9, 10, "test"))
    assert rows(path)[-1] == {**EVALUATED, "step": 6}


@pytest.mark.parametrize(
    "tail",
    ['{"st', '{"step": 2}', "null\n", "[]\n", '{"loss": 1}\n', '{"step": "2"}\n', "[" * 99999 + "\n", "\0\udcff\n"],
)
@pytest.mark.usefixtures("no_collector")
def test_what_is_no_whole_row_is_dropped(tmp_path, tail):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + tail.encode(errors="surrogateescape"))
    with opened(path, step=4) as file:
        file.write(Evaluated(5, 0.5, 0.125, 0.9, 10, "test"))
    assert rows(path) == [{"step": 1}, {**EVALUATED, "step": 5}]


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
        file.write(STEPS)
    with pytest.raises(OutputError, match="No space left"):
        file.close()


def test_events_have_the_rows_of_the_contract(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with opened(path, step=0) as file:
        file.write(Note("no point of the curve"))
        file.write(RanksLost(3, 0.25, [1, 2], ["a", "b"], 2, detect_s=0.123456, recover_s=1.23456))
        file.write(TimeSpent(4, 0.5, {"hosts": ["a"], "waiting": [0.5]}))
    lost, spent = rows(path)
    assert list(lost.items()) == [
        ("step", 3),
        ("epoch", 0.25),
        ("event", "ranks_lost"),
        ("ranks", [1, 2]),
        ("hosts", ["a", "b"]),
        ("world_size", 2),
        ("detect_s", 0.1235),
        ("recover_s", 1.2346),
    ]
    assert spent == {"step": 4, "epoch": 0.5, "event": "time_spent", "hosts": ["a"], "waiting": [0.5]}
