"""`dpnet time` and `dpnet tune`."""

import os
import re
import subprocess
import sys

import pytest
from helpers.jobs import make_job
from helpers.mpirun import mpirun, run_command

from dpnet.cli import main as cli
from dpnet.cli.commands import tune
from dpnet.cli.commands.tune import Choice, choices, command_line
from dpnet.errors import CommunicationError, ConfigError
from dpnet.resilience.pace import Pace
from dpnet.training import timing
from dpnet.training.timing import Speed

SMALL = ["--set", "model.hidden_layers=[8]", "--seconds", "0.2"]


def measured(speed, *contended):
    return None if speed is None else Speed(speed, contended)


@pytest.mark.parametrize(
    ("settings", "cores", "expected"),
    [
        ({}, 1, [(1, 1)]),
        ({}, 2, [(1, 1), (1, 2), (2, 1)]),
        ({}, 6, [(1, 1), (1, 6), (2, 3), (4, 1), (6, 1)]),
        ({"train.threads": 2}, 8, [(1, 2), (2, 2), (4, 2)]),
        ({"train.reproducible_shards": 3}, 8, [(1, 1), (2, 1), (3, 1)]),
    ],
)
def test_choices_share_out_the_cores(tmp_path, settings, cores, expected):
    found = choices(make_job(tmp_path, settings), cores)
    assert [(choice.ranks, choice.threads) for choice in found] == expected


def test_the_best_is_a_command_to_type():
    assert command_line(Choice(4, 2), ["job.toml"]) == "dpnet launch -n 4 -- train job.toml --set train.threads=2"
    assert command_line(Choice(1, 2), []) == "dpnet train --set train.threads=2"


def test_the_fastest_is_marked(tmp_path, monkeypatch):
    speeds = {(1, 1): [50.0, 60.0, 70.0], (1, 2): [900.0, 10.0, 100.0], (2, 1): [200.0, 210.0, 220.0]}
    monkeypatch.setattr(tune, "available_cores", lambda: 2)
    monkeypatch.setattr(tune, "measure", lambda choice, *_: measured(speeds[choice.ranks, choice.threads].pop()))
    monkeypatch.setattr(tune, "find_mpirun", lambda: "mpirun")
    lines = []
    tune.tune(make_job(tmp_path), ["job.toml"], 1, lines.append)
    assert lines[2:] == [
        "     1        1           60",
        "     1        2          100",
        "     2        1          210  *",
        "best: dpnet launch -n 2 -- train job.toml --set train.threads=1",
    ]


def test_a_choice_that_takes_too_long_is_left_out(tmp_path, monkeypatch):
    speeds = {(1, 1): [8.0, 8.0, 8.0], (1, 2): [9.0, 9.0, 9.0], (2, 1): [None, 99.0]}
    monkeypatch.setattr(tune, "available_cores", lambda: 2)
    monkeypatch.setattr(tune, "measure", lambda choice, *_: measured(speeds[choice.ranks, choice.threads].pop(0)))
    monkeypatch.setattr(tune, "find_mpirun", lambda: "mpirun")
    lines = []
    tune.tune(make_job(tmp_path), [], 1, lines.append)
    assert lines[1] == "left out: 2 ranks of 1 thread, which took more than 600 s to start and to be measured"
    assert lines[-1] == "best: dpnet train --set train.threads=2"
    monkeypatch.setattr(tune, "measure", lambda *_: None)
    with pytest.raises(ConfigError, match="none of the choices was measured within 600 s"):
        tune.tune(make_job(tmp_path), [], 1, lines.append)


def test_without_mpirun_one_rank_is_tried(tmp_path, monkeypatch):
    def missing():
        raise CommunicationError("no mpirun")

    monkeypatch.setattr(tune, "find_mpirun", missing)
    monkeypatch.setattr(tune, "available_cores", lambda: 2)
    monkeypatch.setattr(tune, "measure", lambda choice, *_: measured(float(choice.threads)))
    lines = []
    tune.tune(make_job(tmp_path), [], 1, lines.append)
    assert "there is no mpirun" in lines[0]
    assert lines[-1] == "best: dpnet train --set train.threads=2"


def test_time_tells_the_speed_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["time", *SMALL]) == 0
    speed = re.fullmatch(r"([\d,]+\.\d) samples/s\n", capsys.readouterr().out)
    assert float(speed[1].replace(",", "")) > 100
    assert os.listdir() == []


BUSY = "other programs use 60% of the 2 cores of vm: ranks wait for a core 30% of the time"


def test_cores_that_were_not_free_are_told_beside_a_speed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    readings = iter([["before the measurement"], [BUSY]])
    monkeypatch.setattr(Pace, "contended", lambda self: next(readings))
    monkeypatch.setattr(timing, "LEAST_S", 0.0)
    assert cli.run(["time", *SMALL]) == 0
    out, err = capfd.readouterr()
    assert re.fullmatch(r"[\d,]+\.\d samples/s\n", out)
    assert err == f"note: meanwhile, {BUSY}\n"


def test_cores_that_were_not_free_are_told_below_the_table(tmp_path, monkeypatch):
    notes = f"note: meanwhile, {BUSY}\nnote: rank 1 has waited"
    done = lambda *_: subprocess.CompletedProcess([], 0, "9.0 samples/s\n", notes)  # noqa: E731
    monkeypatch.setattr(tune, "_run", done)
    monkeypatch.setattr(tune, "available_cores", lambda: 1)
    lines = []
    tune.tune(make_job(tmp_path), [], 1, lines.append)
    assert lines[-1] == f"note: the cores were not free in 3 of 3 measurements, in the last of them: {BUSY}"


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "nan", "inf"])
def test_seconds_must_be_a_time(capsys, seconds):
    with pytest.raises(SystemExit):
        cli.run(["time", "--seconds", seconds])
    assert "no number of seconds above 0" in capsys.readouterr().err


def test_a_job_that_cannot_be_trained_is_told(tmp_path):
    choice = Choice(1, 1)
    with pytest.raises(ConfigError, match=r"1 rank of 1 thread failed with 1: DataError"):
        tune.measure(choice, ["--set", f"data.source={tmp_path}/none"], 0.1, None)


@pytest.mark.ranks
@pytest.mark.slow
def test_tune_is_not_started_on_ranks():
    code, text = run_command([*mpirun(2), sys.executable, "-m", "dpnet", "tune"], timeout_s=60)
    assert code == 2
    assert text.count("dpnet tune starts ranks itself") == 1
