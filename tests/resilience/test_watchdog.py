"""Nothing moves: within the time-out the job names the rank that it waits for, once, and ends if it should."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from helpers.patience import PATIENCE
from helpers.watched import Job, Setting, mapped

from dpnet import whereabouts
from dpnet.resilience.watchdog.node_view import NodeView
from dpnet.resilience.watchdog.patience import Patience, adaptive_timeout_s
from dpnet.resilience.watchdog.report import GONE, Report, process, read
from dpnet.resilience.watchdog.scene import Scene
from dpnet.resilience.watchdog.verdict import numbers, verdict

ONE_NODE = (range(3),)
REPORT = Report(
    rank=0,
    host="node7",
    pid=1,
    step=120,
    phase="reduce",
    seconds=34.0,
    operation="barrier",
    waiting_s=34.0,
    idle_s=34.2,
    state="S",
    by=0,
)


@pytest.mark.parametrize(
    ("deed", "state"),
    [
        ("stop", "its process is stopped by a signal"),
        pytest.param("die", "its process is gone", marks=pytest.mark.slow),
        pytest.param("loop", "its process is computing", marks=pytest.mark.slow),
        pytest.param("hold", "its process sleeps", marks=pytest.mark.slow),
    ],
)
def test_the_culprit_is_named_within_the_timeout_and_the_job_goes_on(tmp_path, deed, state):
    with Job(Setting(str(tmp_path), ONE_NODE, deed, culprit=2)) as job:
        if deed == "die":
            job.wait_for(lambda: job.processes[2].poll() is not None)
        text, seconds = job.verdict()
        assert seconds < 1.0 + 2.0 * PATIENCE
        pattern = (
            r"dpnet: no step for \d+ s \(step 4\)\. Waiting in barrier \(reduce\): ranks 0, 1\. "
            rf"Not waiting: rank 2 on node0 in forward for \d+ s, {state}\. Stacks: .*/run/hang-4/"
        )
        assert re.fullmatch(pattern, text)
        assert (job.run / "hang-4" / "summary.txt").read_text() == text + "\n"
        assert sorted(os.listdir(job.run / "hang-4")) == [*(f"rank-0000{rank}.txt" for rank in range(3)), "summary.txt"]
        report = (job.run / "hang-4" / "rank-00002.txt").read_text()
        assert ("in misbehave" in report) == (deed in ("loop", "hold"))
        assert "in barrier" in (job.run / "hang-4" / "rank-00001.txt").read_text()
        time.sleep(0.5 if deed == "stop" else 0.0)  # Nothing more should come.
        assert job.all_stderr().count("\n") == 1
        assert [process.poll() for process in job.processes[:2]] == [None, None]


@pytest.mark.slow
def test_a_hang_that_ends_is_said_to_and_the_next_is_a_new_one(tmp_path):
    with Job(Setting(str(tmp_path), (range(1), range(1, 3)), "stop", culprit=1)) as job:
        job.verdict()
        job.processes[1].send_signal(signal.SIGCONT)
        job.wait_for(lambda: re.search(r"dpnet: going on after \d+ s\n", job.stderr(0)))
        text, _ = job.verdict(count=2)
        assert "(step 9)" in text
        assert "rank 1 on node1 in forward" in text
        assert job.all_stderr().count("going on") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("deed", "code"), [("stop", -signal.SIGKILL), ("loop", 1)])
def test_the_job_ends_where_it_should(tmp_path, deed, code):
    with Job(Setting(str(tmp_path), (range(2), range(2, 4)), deed, culprit=0, end=True)) as job:
        job.wait_for(lambda: all(process.poll() is not None for process in job.processes))
        assert time.monotonic() - job.deed_time() < 1.0 + 4.0 * PATIENCE
        assert [process.returncode for process in job.processes] == [code, 1, 1, 1]
        assert "Not waiting: rank 0 on node0 in forward" in job.stderr(0 if deed == "loop" else 1)


@pytest.mark.slow
def test_a_stuck_rank_is_killed_once_the_others_have_ended(tmp_path):
    # The launcher returns the exit code of the rank that it sees end first.
    with Job(Setting(str(tmp_path), (range(3),), "stop", culprit=2, end=True)) as job:
        ended = []

        def all_have_ended():
            left = [rank for rank in range(3) if rank not in ended]
            ended.extend(rank for rank in left if job.processes[rank].poll() is not None)
            return len(ended) == 3

        job.wait_for(all_have_ended)
        assert ended.index(1) < ended.index(2)


def test_a_rank_is_waited_for_as_long_as_its_watchdog_runs_and_its_process_is_there():
    ranks, now = range(4), time.monotonic()
    board = memoryview(bytearray(8 * whereabouts.LENGTH * len(ranks))).cast("d")
    with subprocess.Popen(["sleep", "60"]) as there, subprocess.Popen(["true"]) as ended:
        ended.wait()
        itself, running = (os.getpid(), 0, now), (there.pid, process(there.pid)[1], now)
        gone, stuck = (ended.pid, 1, now), (there.pid, 1, now - 9)
        for rank, (pid, born, alive) in enumerate([itself, running, gone, stuck]):
            row = whereabouts.row_of(board, rank)
            row[whereabouts.PID], row[whereabouts.BORN], row[whereabouts.ALIVE] = pid, born, alive
        view = NodeView(board, ranks, rank=0, host="here", stale_s=1.0)
        assert (view.running(), view.stuck()) == ([1], [3])
        there.kill()
        there.wait()
        assert view.running() == []


@pytest.mark.slow
def test_a_rank_alone_on_its_node_that_cannot_tell_is_missed_and_its_stacks_come_to_stderr(tmp_path):
    with Job(Setting(str(tmp_path), (range(2), range(2, 3)), "hold", culprit=2)) as job:
        text, _ = job.verdict()
        assert "Waiting in barrier (reduce): ranks 0, 1. No report from: rank 2 (host gone?)." in text
        job.wait_for(lambda: "in misbehave" in job.stderr(2))


def test_a_rank_that_is_all_the_job_ends_even_so(tmp_path):
    with Job(Setting(str(tmp_path), (range(1),), "hold", culprit=0, timeout_s=0.5, end=True)) as job:
        job.wait_for(lambda: job.processes[0].poll() is not None)
        assert job.processes[0].returncode == 1
        assert "in misbehave" in job.stderr(0)


@pytest.mark.slow
def test_a_rank_that_is_all_the_job_may_be_stopped_for_long(tmp_path):
    with Job(Setting(str(tmp_path), (range(1),), "nothing", culprit=0, timeout_s=0.5)) as job:
        steps = mapped(tmp_path / "steps")
        for _ in range(2):
            before = steps[0]
            job.wait_for(lambda before=before: steps[0] > before + 5)
            job.processes[0].send_signal(signal.SIGSTOP)
            time.sleep(0.8)  # Longer than the timer that has its stack written, if it gets to it.
            job.processes[0].send_signal(signal.SIGCONT)
        before = steps[0]
        job.wait_for(lambda: steps[0] > before + 5)
        assert job.processes[0].poll() is None


def test_what_cannot_be_written_is_told_nevertheless(tmp_path):
    (tmp_path / "file").touch()
    with Job(Setting(str(tmp_path), ONE_NODE, "disagree", culprit=1, run="file/run")) as job:
        text, _ = job.verdict()
        assert "Waiting in barrier (reduce): ranks 0, 2. Waiting in allgather (forward): rank 1. Every rank" in text
        assert text.endswith("file/run/hang-4: Not a directory")


@pytest.mark.slow
def test_ranks_of_longer_timeouts_report_with_the_others(tmp_path):
    setting = Setting(str(tmp_path), (range(1), range(1, 3)), "loop", 2, timeout_s=0.0, floor_s=1.0, patient=1)
    with Job(setting) as job:
        text, _ = job.verdict()
        assert "Waiting in barrier (reduce): ranks 0, 1. Not waiting: rank 2 on node1 in forward" in text


def test_no_alarm_and_no_file_when_everything_takes_ten_times_as_long(tmp_path):
    setting = Setting(str(tmp_path), (range(2),), "slow", 0, timeout_s=0.0, step_s=0.03, floor_s=0.2, num_steps=9)
    with Job(setting) as job:
        job.wait_for(lambda: all(process.poll() is not None for process in job.processes))
        assert [process.returncode for process in job.processes] == [0, 0]
        assert job.all_stderr() == ""
        assert not job.run.exists()


@pytest.mark.slow
def test_no_alarm_when_the_whole_job_is_stopped_for_longer_than_the_timeout(tmp_path):
    with Job(Setting(str(tmp_path), (range(2),), "stop", culprit=1, num_steps=10)) as job:
        job.deed_time()
        job.processes[0].send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        job.processes[0].send_signal(signal.SIGCONT)
        time.sleep(0.3)  # It goes on waiting, and should see that it was stopped itself.
        job.processes[1].send_signal(signal.SIGCONT)
        job.wait_for(lambda: all(process.poll() is not None for process in job.processes))
        assert [process.returncode for process in job.processes] == [0, 0]
        assert job.all_stderr() == ""
        assert not job.run.exists()


def test_timeout_follows_from_what_was_seen():
    assert adaptive_timeout_s(0.1, 0.0, 60.0) == 60.0
    assert adaptive_timeout_s(4.0, 10.0, 60.0) == 120.0
    assert adaptive_timeout_s(4.0, 100.0, 60.0) == 200.0


def test_patience_learns_from_steps_but_little_from_the_first_and_from_hangs():
    patience = Patience(0.0, 60.0, 0.0)
    assert patience.left_s(0.0) == 300.0
    assert patience.see(40.0, 40.0)
    assert patience.timeout_s == 80.0
    assert not patience.see(41.0, 40.0)
    assert patience.see(44.0, 44.0)
    assert patience.timeout_s == 120.0
    assert patience.left_s(100.0) == 64.0
    assert patience.see(84.0, 84.0)  # Ten times as long as before: no alarm, and it is learned.
    assert patience.timeout_s == 1200.0
    assert patience.see(2084.0, 2084.0)  # That was a hang.
    assert patience.timeout_s == 4000.0


def test_time_in_which_the_machine_stood_still_does_not_count():
    patience = Patience(10.0, 60.0, 0.0)
    patience.see(1005.0, 0.0, lost_s=1000.0)
    assert patience.left_s(1005.0) == 5.0
    patience.see(2006.0, 1006.0, lost_s=1000.0)
    assert patience.left_s(2006.0) == 10.0


def test_files_of_an_earlier_hang_at_the_same_step_are_ignored(tmp_path):
    old = Scene(tmp_path, 120, after=0.0)
    old.write(REPORT)
    old.write(replace(REPORT, rank=1, by=1), b"stacks")
    old.summarise("dpnet: no step")
    for path in old.path.iterdir():
        os.utime(path, (1000.0, 1000.0))
    new = Scene(tmp_path, 121, after=1001.0)
    assert (new.found(), new.is_summarised()) == ({}, False)
    Scene(tmp_path, 120, after=1001.0).write(replace(REPORT, host="node8"))
    assert list(new.found()) == [0]
    assert read(new.found()[0]).host == "node8"
    assert old.is_summarised()


def test_lists_of_ranks_are_short():
    assert numbers([7]) == "rank 7"
    assert numbers([3, 1, 0]) == "ranks 0, 1, 3"
    assert numbers([0, 1, 2, 3, 7]) == "ranks 0-3, 7"
    assert numbers(range(0, 2000, 2)).endswith(", 30 and 984 more")


def test_verdict_of_a_large_job_is_short():
    waiting = [replace(REPORT, rank=rank, by=rank) for rank in range(20, 4000)]
    stuck = [replace(REPORT, rank=rank, by=20, operation="", phase="forward", state="T") for rank in range(3, 20)]
    text = verdict(waiting + stuck, range(4000), "Stacks: run/hang-120/")
    assert text.startswith(
        "dpnet: no step for 34 s (step 120). Waiting in barrier (reduce): ranks 20-3999. Not waiting: "
    )
    assert "rank 10 on node7 in forward for 34 s, its process is stopped by a signal; ranks 11-19. No report" in text
    assert text.endswith("No report from: ranks 0-2 (host gone?). Stacks: run/hang-120/")


def test_a_rank_that_was_stopped_while_it_waited_does_not_wait():
    text = verdict([REPORT, replace(REPORT, rank=1, by=1)], range(2), "")
    assert "Waiting in barrier (reduce): ranks 0, 1. Every rank waits for the others" in text
    text = verdict([REPORT, replace(REPORT, rank=1, state="T", by=0)], range(2), "")
    assert text.startswith(
        "dpnet: no step for 34 s (step 120). Waiting in barrier (reduce): rank 0. "
        "Not waiting: rank 1 on node7 in reduce (barrier) for 34 s, its process is stopped by a signal."
    )


def test_the_watchdog_needs_no_mpi():
    code = "import sys, dpnet.resilience.watchdog; sys.exit('mpi4py' in sys.modules)"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


def test_another_process_with_the_number_of_a_rank_is_not_that_rank():
    row = memoryview(bytearray(8 * whereabouts.LENGTH)).cast("d")
    node = NodeView(row, range(1), rank=0, host="node7", stale_s=1.0)
    row[whereabouts.PID], row[whereabouts.BORN] = os.getpid(), process(os.getpid())[1]
    assert node.report(0).state != GONE
    row[whereabouts.BORN] -= 1
    assert node.report(0).state == GONE
