"""The end of a job's time, the death of its script, and signals: the first of them counts."""

import os
import signal
import time

import pytest

from dpnet.launch.batch import notice
from dpnet.launch.batch.notice import Notices, stop_time


def test_a_job_is_asked_so_early_that_its_grace_and_a_new_start_fit():
    assert stop_time(1000.0, 5000.0, 30.0) == 5000.0 - 30 - 5 - 10


def test_a_job_with_little_time_has_half_of_it():
    assert stop_time(1000.0, 1060.0, 300.0) == 1030.0
    assert stop_time(1000.0, 990.0, 300.0) == 990.0
    assert stop_time(1000.0, None, 30.0) is None


@pytest.mark.parametrize("later", [signal.SIGUSR1, signal.SIGTERM])
def test_the_end_of_the_time_is_a_signal_and_those_that_follow_are_the_same(capsys, later):
    with Notices(time.time() + 0.05) as notices:
        assert notices.get(5.0) == signal.SIGUSR1
        os.kill(os.getpid(), later)
        assert notices.get(0.05) is None
        os.kill(os.getpid(), signal.SIGINT)  # Whoever presses Ctrl-C means it.
        assert notices.get(5.0) == signal.SIGINT
    assert capsys.readouterr().err == "dpnet launch: the time of the job is nearly up: the ranks are asked to end\n"


def test_after_a_signal_the_end_of_the_time_ends_no_grace():
    with Notices(time.time() + 0.05) as notices:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert notices.get(5.0) == signal.SIGUSR1
        time.sleep(0.06)
        assert notices.get(0.05) is None


def test_the_death_of_the_script_is_a_signal(monkeypatch, capsys):
    monkeypatch.setattr(notice, "POLL_S", 0.01)
    with Notices(None) as notices:
        assert notices.get(0.03) is None
        monkeypatch.setattr(os, "getppid", lambda: 1)
        assert notices.get(5.0) == signal.SIGUSR1
        assert notices.get(0.03) is None
    assert "the script that started this has ended" in capsys.readouterr().err
