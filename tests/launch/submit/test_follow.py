"""`dpnet submit --wait`: when a job has ended, what is shown of it, and with what exit code it returns."""

import json
from pathlib import Path

import pytest

from dpnet.cli import main as cli
from dpnet.launch.submit import follow as following

ASKED = ["submit", "--wait", "-N", "1", "--ranks-per-node", "2", "--time", "01:00:00"]


@pytest.fixture
def answers(tmp_path, monkeypatch, capsys):
    """Submit a job of a scheduler that gives these answers, one at a time; returns exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(following, "POLL_S", 0.001)

    def run(scheduler, *given, words=(), between=lambda number: None):
        number = {"slurm": "12", "pbs": "12.server", "array": "12"}[scheduler]
        asks = {"pbs": "qstat"}.get(scheduler, "scontrol")
        for name, text in {("qsub" if scheduler == "pbs" else "sbatch"): f"echo {number}", asks: "exit 9"}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        asked, left = [], list(given)

        def answer(line):
            asked.append(line)
            between(len(asked))
            return left.pop(0) if len(left) > 1 else left[0]

        for module in ("slurm", "pbs"):
            monkeypatch.setattr(f"dpnet.launch.submit.{module}.ask", answer)
        code = cli.run([*ASKED, *words, "--output", "run"])
        assert {tuple(line) for line in asked} == {
            ("qstat", "-x", "-f", number) if scheduler == "pbs" else ("scontrol", "--oneliner", "show", "job", number)
        }
        return code, *capsys.readouterr()

    return run


def record(state, code="0:0", task="", reason="None"):
    array = f"ArrayJobId=12 ArrayTaskId={task} " if task else ""
    return f"JobId=12 {array}JobName=dpnet JobState={state} Reason={reason} ExitCode={code} Command=/x y\n"


def shown(*records):
    return "".join(records), ""


GONE = "", "slurm_load_jobs error: Invalid job id specified"
SILENT = "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@pytest.mark.parametrize(
    ("state", "seen", "code"),
    [
        ("COMPLETED", "0:0", 0),
        ("FAILED", "75:0", 75),
        ("FAILED", "2:0", 2),
        ("FAILED", "0:9", 137),
        ("CANCELLED", "0:0", 1),
        ("TIMEOUT", "0:15", 143),
        ("NODE_FAIL", "0:0", 1),
    ],
)
def test_the_exit_code_is_that_of_the_job(answers, state, seen, code):
    last = shown(record(state, seen))
    found, _, told = answers("slurm", shown(record("PENDING")), shown(record("RUNNING")), last)
    assert found == code
    assert [line for line in told.splitlines() if line.startswith("job 12: ")] == [
        "job 12: PENDING",
        "job 12: RUNNING",
        f"job 12: {state}",
    ]


def test_why_a_job_does_not_start_is_told(answers):
    waiting = shown(record("PENDING", reason="PartitionTimeLimit"))
    assert "job 12: PENDING (PartitionTimeLimit)\n" in answers("slurm", waiting, waiting, shown(record("COMPLETED")))[2]


def test_a_job_that_is_queued_again_is_followed_to_its_last_end(answers):
    turns = [record(state) for state in ("RUNNING", "NODE_FAIL", "PENDING", "RUNNING", "COMPLETED")]
    code, _, told = answers("slurm", *map(shown, turns), shown(record("COMPLETED")))
    assert code == 0
    assert told.count("RUNNING") == 2


def test_a_turn_that_failed_counts_for_nothing_once_the_job_is_in_the_queue_again(answers, tmp_path):
    def write(number):
        if number == 4:
            (tmp_path / "run/summary.json").write_text(json.dumps({"status": "finished"}))

    turns = [shown(record(state)) for state in ("NODE_FAIL", "PENDING", "RUNNING")]
    assert answers("slurm", *turns, GONE, between=write)[0] == 0


def test_a_controller_that_does_not_answer_is_waited_for(answers):
    code, *_ = answers("slurm", SILENT, SILENT, SILENT, shown(record("FAILED", "3:0")))
    assert code == 3


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("preempted", 1), (None, 1)])
def test_the_summary_counts_where_the_scheduler_has_forgotten_the_job(answers, tmp_path, status, code):
    def write(number):
        if number == 2 and status:
            (tmp_path / "run/summary.json").write_text(json.dumps({"status": status}))

    assert answers("slurm", shown(record("RUNNING")), GONE, between=write)[0] == code


def test_an_array_has_ended_with_its_last_task_and_has_the_code_of_one_that_failed(answers):
    running = shown(record("RUNNING", task="1"), record("PENDING", task="2-3"))
    two = shown(record("COMPLETED", task="1"), record("FAILED", "75:0", task="2"), record("RUNNING", task="3"))
    code, _, told = answers("array", running, two, shown(record("COMPLETED", task="3")), words=["--seeds", "1..3"])
    assert code == 75
    assert "job 12: 1 PENDING, 1 RUNNING" in told
    assert "job 12: 1 COMPLETED, 1 FAILED, 1 RUNNING" in told


def test_tasks_of_an_array_that_were_forgotten_before_their_end_was_seen_count_by_their_summaries(answers):
    last = shown(record("COMPLETED", task="1"))
    assert answers("array", shown(record("RUNNING", task="1-2")), last, words=["--seeds", "1..2"])[0] == 1


def test_what_the_job_prints_is_shown_once_and_in_whole_lines(answers, tmp_path):
    texts = {1: "", 2: "one\ntw", 3: "o\nthree\n", 4: "four\n"}

    def write(number):
        with (tmp_path / "run/slurm-12.out").open("a") as log:
            log.write(texts.get(number, ""))

    _, output, _ = answers("slurm", *[shown(record("RUNNING"))] * 4, shown(record("COMPLETED")), between=write)
    assert output.splitlines()[-4:] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(("exit_status", "code"), [("0", 0), ("75", 75), ("-11", 11)])
def test_under_pbs_the_exit_code_is_that_of_qstat(answers, exit_status, code):
    states = [f"Job Id: 12.server\n    job_state = {state}\n" for state in "QRE"]
    last = f"Job Id: 12.server\n    job_state = F\n    Exit_status = {exit_status}\n", ""
    assert answers("pbs", *[(state, "") for state in states], last)[0] == code


def test_ctrl_c_ends_the_wait_and_not_the_job(answers, tmp_path):
    def interrupt(number):
        if number == 2:
            raise KeyboardInterrupt

    code, _, told = answers("slurm", shown(record("RUNNING")), between=interrupt)
    assert code == 130
    assert "job 12 goes on; to stop it: scancel 12" in told
    assert Path("run/job.sbatch").exists()
