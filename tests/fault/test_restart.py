"""`dpnet launch` as a supervisor: with an mpirun that is a small script, and with real jobs."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from helpers.mpirun import mpirun, run_command, start

from dpnet.cli import main as cli
from dpnet.environment import OFFERED
from dpnet.launch import attempt, escalation, flags, linger
from dpnet.launch.attempt import Attempt
from dpnet.launch.errorline import find_error
from dpnet.launch.escalation import Limits
from dpnet.launch.options import go_on
from dpnet.launch.progress_on_disk import last_step
from dpnet.launch.signals import Signals

RUN = "runs/digits"
TAKEN = f'mkdir -p {RUN}; echo "attempt $DPNET_ATTEMPT" > {RUN}/.lock'
"""The ranks take their run directory, as all that are not killed before do."""
SUMMARY = f'{TAKEN}; echo \'{{"status": "finished"}}\' > {RUN}/summary.json'
BEGUN = (
    f"{TAKEN}; mkdir -p {RUN}/checkpoints/step-00000008; echo > {RUN}/config.toml; "
    f"echo '{{\"step\": 9}}' > {RUN}/metrics.jsonl"
)


@pytest.fixture
def supervised(tmp_path, monkeypatch, capfd):
    """Runs `dpnet launch` in this process, with a shell script for mpirun that knows the number of its attempt, $n.

    Returns exit code, stderr, and the command lines that were started.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(escalation, "KILL_AFTER_S", 0.3)
    monkeypatch.setattr(attempt, "LEFTOVERS_END_S", 0.3)
    monkeypatch.setattr("dpnet.launch.batch.starter.find_mpirun", lambda: str(tmp_path / "mpirun"))
    monkeypatch.setattr(
        "dpnet.compute.cores.usage.busy_shares", lambda cores, seconds: []
    )  # No note about other programs.

    def run(script, *options, command=("train",), version="mpirun (Open MPI) 5.0.8", probe=":"):
        lines = [
            "#!/bin/bash",
            f'[ "$1" = --version ] && echo "{version}" && exit',
            f'if [ "${{@: -2:1}}" = sleep ]; then {probe}; exit; fi',
            'echo "$*" >> calls; n=$(wc -l < calls)',
            script,
        ]
        (tmp_path / "mpirun").write_text("\n".join(lines) + "\n")
        (tmp_path / "mpirun").chmod(0o755)
        flags.version.cache_clear()
        code = cli.run(["launch", "-n", "2", *options, "--", *command])
        return code, capfd.readouterr().err, (tmp_path / "calls").read_text().splitlines()

    return run


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    real = Signals.wait
    monkeypatch.setattr(Signals, "wait", lambda self, seconds: real(self, seconds / 20))


# --- what counts as done, and what is restarted ---


def test_exit_code_0_without_a_summary_is_a_failure(supervised):
    code, text, calls = supervised(f"[ $n = 1 ] || {{ {SUMMARY}; }}", "--max-restarts", "3")
    assert (code, len(calls)) == (0, 2), text
    why = "mpirun returned 0, but the training is not complete (were all ranks killed?); at step 0"
    assert text == f"dpnet launch: attempt 2 of 4: {why}; restart in 1 s\n"


def test_a_new_summary_is_believed_more_than_the_exit_code(supervised):
    code, text, calls = supervised(f"{SUMMARY}; exit 137", "--max-restarts", "3")
    assert (code, len(calls)) == (0, 1), text


@pytest.mark.parametrize("taken", [TAKEN, ":"])
def test_the_summary_of_an_earlier_training_proves_nothing(supervised, tmp_path, taken):
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "summary.json").write_text('{"status": "finished"}')
    code, text, calls = supervised(f"{taken}; exit $((n + 2))", "--max-restarts", "1")
    assert (code, len(calls)) == (4, 2), text


def test_a_training_that_is_complete_already_is_done(supervised, tmp_path):
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "summary.json").write_text('{"status": "stopped_early"}')
    code, text, calls = supervised(f"{TAKEN}; exit 0", "--max-restarts", "1")
    assert (code, len(calls)) == (0, 1), text


def test_the_summary_of_another_job_is_not_that_of_this_one(supervised, tmp_path):
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "summary.json").write_text('{"status": "finished"}')
    code, text, calls = supervised("exit 0", "--max-restarts", "1")  # All ranks were lost before they chose.
    assert (code, len(calls)) == (1, 2), text


@pytest.mark.parametrize("restarts", [(), ("--max-restarts", "3")])
def test_a_training_that_chose_another_directory_is_found_there(supervised, tmp_path, restarts):
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "summary.json").write_text('{"status": "finished"}')
    script = f"[ $n = 1 ] && {{ {BEGUN}; exit 137; }}; {SUMMARY}".replace(RUN, f"{RUN}-2")
    command = ("train", "--resume", "never")
    code, text, calls = supervised(
        script if restarts else script.replace("exit 137", "exit 0"), *restarts, command=command
    )
    if restarts:
        assert (code, len(calls)) == (0, 2), text
        why = "a rank, or mpirun, was killed by signal 9; the system's memory ran out?"
        assert f"attempt 2 of 4: exit code 137 ({why}); at step 9" in text
        assert calls[1].endswith("train --resume never --resume auto")
    else:
        assert code == 1, text
        assert "mpirun returned 0, but there is no summary" in text


def test_a_wrong_configuration_is_not_tried_again(supervised):
    code, text, calls = supervised("exit 2", "--max-restarts", "3")
    assert (code, len(calls)) == (2, 1), text


def test_a_job_that_the_scheduler_cut_off_is_restarted(supervised):
    code, text, calls = supervised(f"[ $n = 1 ] && exit 75; {SUMMARY}", "--max-restarts", "3")
    assert (code, len(calls)) == (0, 2), text
    assert "attempt 2 of 4: exit code 75" in text


def test_the_same_error_at_the_same_step_is_given_up(supervised):
    script = f"{BEGUN}; echo 'some words' >&2; echo \"DataError: row 7 (rank $n, host)\" >&2; exit 5"
    code, text, calls = supervised(script, "--max-restarts", "5")
    assert (code, len(calls)) == (5, 2), text
    assert text.endswith("dpnet launch: gave up: DataError: row 7; twice at step 9, newest checkpoint 8\n")
    assert text.count("some words\nDataError: row 7 (rank") == 2  # stderr is passed on.


def test_kills_are_given_up_after_three_without_progress(supervised):
    code, text, calls = supervised("kill -9 $$", "--max-restarts", "9")
    assert (code, len(calls)) == (137, 3), text
    why = "a rank, or mpirun, was killed by signal 9; the system's memory ran out?"
    assert f"gave up: exit code 137 ({why}); 3 times at step 0" in text


def test_restarts_go_on_from_the_newest_checkpoint_once_the_training_has_begun(supervised, tmp_path):
    (tmp_path / RUN / "checkpoints/step-00000005").mkdir(parents=True)  # Of an earlier training.
    script = f"[ $n = 2 ] && {{ {BEGUN}; }}; [ $n = 3 ] && {{ {SUMMARY}; }}; exit 137"
    code, text, calls = supervised(script, "--max-restarts", "5", command=("train", "--resume", "never"))
    assert (code, len(calls)) == (0, 3), text
    assert calls[0].endswith("dpnet train --resume never")
    assert calls[1].endswith("dpnet train --resume never")  # Nothing was set aside yet.
    assert calls[2].endswith("dpnet train --resume never --resume auto")


def test_a_job_file_that_was_edited_meanwhile_is_not_trained_in_place_of_the_first(supervised, tmp_path):
    job = tmp_path / "job.toml"
    job.write_text("[train]\nepochs = 9\nseed = 1\n")
    longer = (
        f"{BEGUN}; echo 'train = {{epochs = 12, seed = 1}}' > {job}; [ $n = 2 ] && {{ {SUMMARY}; exit; }}; exit 137"
    )
    code, text, calls = supervised(longer, "--max-restarts", "5", command=("train", "job.toml"))
    assert (code, len(calls)) == (0, 2), text
    other = f"{BEGUN}; echo 'train = {{epochs = 12, seed = 2}}' > {job}; exit 137"
    code, text, calls = supervised(other, "--max-restarts", "5", command=("train", "job.toml"))
    assert (code, len(calls)) == (2, 3), text
    assert text.endswith(
        "ConfigError: the job has changed since the training began, which is not restarted: train.seed is 2, it was 1; "
        f"go on with it: train --resume {RUN}\n"
    )


def test_without_restarts_the_exit_code_is_mpiruns(supervised):
    assert supervised("exit 75")[0] == 75
    assert supervised("kill -9 $$")[0] == 137
    assert supervised(f"{SUMMARY}; exit 3")[0] == 3
    assert supervised("exit 0", command=("inspect", "x"))[0] == 0


def test_a_killed_rank_is_told_as_one_but_not_the_exit_code_of_a_program(supervised):
    told = "dpnet launch: a rank, or mpirun, was killed by signal 9; the system's memory ran out?"
    assert told in supervised("exit 137")[1]
    assert told in supervised("exit 9", version="HYDRA build details:")[1]
    assert told not in supervised("exit 9", command=("python", "-c", "pass"))[1]
    assert "killed" not in supervised("sleep 9", "--time-limit", "0.2", "--grace", "0")[1]


def test_open_mpis_0_is_believed_where_there_is_a_summary(supervised):
    code, text, _ = supervised("exit 0")
    assert code == 1
    assert "mpirun returned 0, but there is no summary" in text
    assert supervised("exit 0", version="HYDRA build details:")[0] == 0
    assert supervised("exit 0", command=("train", "--help"))[0] == 0
    assert supervised(SUMMARY)[0] == 0


def test_hosts_that_do_not_answer_are_left_out_of_the_next_attempt(supervised):
    code, text, calls = supervised(
        f"[ $n = 1 ] && exit 255; {SUMMARY}", "-H", "a,b", "--max-restarts", "3", probe='[ "${@: -5:1}" = a ]'
    )
    assert (code, len(calls)) == (0, 2), text
    assert "dpnet launch: left out, as they do not answer: b; -n 1 in place of 2\n" in text
    assert " -n 2 -H a,b " in calls[0]
    assert " -n 1 -H a " in calls[1]


def test_fault_tolerance_is_for_training_alone_and_can_be_turned_off(supervised):
    assert "--with-ft ulfm" in supervised("exit 0")[2][-1]
    assert "--with-ft" not in supervised("exit 0", "--no-ft")[2][-1]
    assert "--with-ft" not in supervised("exit 0", command=("inspect", "x"))[2][-1]
    assert "--with-ft" not in supervised("exit 0", command=("python", "x.py"))[2][-1]
    assert "--with-ft ulfm" in supervised("exit 0", "--ft", command=("python", "x.py"))[2][-1]


def test_fault_tolerance_is_offered_to_the_ranks_of_a_program_where_this_mpirun_has_it(supervised):
    offered, program = f" -x {OFFERED} ", ("python", "x.py")
    assert offered in supervised("exit 0", command=program)[2][-1]
    assert offered not in supervised("exit 0", "--ft", command=program)[2][-1]
    assert offered not in supervised("exit 0", "--no-ft", command=program)[2][-1]
    assert offered not in supervised("exit 0", "--mca", "coll", "basic", command=program)[2][-1]
    assert offered not in supervised("exit 0", command=program, version="mpirun (Open MPI) 4.1.6")[2][-1]
    assert offered not in supervised("exit 0")[2][-1]


# --- signals ---

PREEMPTED = "trap 'exit 75' USR1; trap 'exit 15' TERM; kill -{signal} $PPID; while :; do sleep 0.01; done"


@pytest.mark.parametrize("name", ["TERM", "USR1", "USR2"])
@pytest.mark.parametrize("restarts", [(), ("--max-restarts", "3")])
def test_a_preempted_job_is_not_restarted_by_the_one_who_was_told_to_end(supervised, name, restarts):
    code, text, calls = supervised(f"{BEGUN}; {PREEMPTED.format(signal=name)}", *restarts)
    assert (code, len(calls)) == (75, 1), text
    assert "dpnet launch: go on with:\n  dpnet launch -n 2" in text


@pytest.mark.parametrize("restarts", [(), ("--max-restarts", "3")])
@pytest.mark.parametrize("resume", [(), ("--resume", "never")])
def test_ctrl_c_asks_the_ranks_to_stop_and_names_the_command_to_go_on(supervised, restarts, resume):
    script = f"{BEGUN}; {PREEMPTED.format(signal='INT')}"
    code, text, calls = supervised(script, *restarts, command=("train", *resume))
    assert (code, len(calls)) == (130, 1), text
    assert "dpnet launch: Ctrl-C: stopping after this step, with a checkpoint; Ctrl-C again ends at once\n" in text
    own = " ".join(["", *restarts]) if restarts else ""
    again = " --resume never --resume auto" if resume else ""
    assert text.endswith(f"dpnet launch: go on with:\n  dpnet launch -n 2{own} -- train{again}\n")


@pytest.mark.parametrize("restarts", [(), ("--max-restarts", "0")])
def test_a_job_that_its_time_limit_ends_is_told_why_and_how_to_go_on(supervised, restarts):
    script = f"{BEGUN}; trap 'exit 75' USR1; while :; do sleep 0.01; done"
    code, text, calls = supervised(script, "--time-limit", "0.3", *restarts)
    assert (code, len(calls)) == (75, 1), text
    assert "dpnet launch: the time limit is reached: the ranks are asked to end\n" in text
    assert "dpnet launch: go on with:\n  dpnet launch -n 2 --time-limit 0.3" in text


@pytest.mark.parametrize(
    ("saved", "start"),
    [
        ("checkpoints/step-00000008", "from the checkpoint of step 8"),
        (".", "from the start: there is no checkpoint yet"),
    ],
)
def test_a_restart_says_where_it_begins(supervised, saved, start):
    begun = BEGUN.replace("checkpoints/step-00000008", saved)
    text = supervised(f"[ $n = 1 ] && {{ {begun}; exit 137; }}; {SUMMARY}", "--max-restarts", "1")[1]
    assert text.endswith(f"; at step 9; restart in 1 s, {start}\n")


def test_ctrl_c_before_the_first_checkpoint_promises_none(supervised):
    code, text, _ = supervised(PREEMPTED.format(signal="INT").replace("exit 75", "exit 138"))
    assert code == 130
    assert text.endswith("dpnet launch: there is no checkpoint: a training begins anew\n")


def test_ctrl_c_at_the_very_end_of_a_training_changes_nothing(supervised):
    script = f"finish() {{ {SUMMARY}; exit 0; }}; trap finish USR1; kill -INT $PPID; while :; do sleep 0.01; done"
    code, text, _ = supervised(script)
    assert code == 0, text
    assert "go on with" not in text


def test_a_second_ctrl_c_ends_the_job_at_once(supervised, tmp_path):
    script = STUBBORN.format(on_usr1="kill -INT $PPID", first="kill -INT $PPID")
    begin = time.monotonic()
    code, text, _ = supervised(script, "--grace", "60")
    assert code == 130, text
    assert time.monotonic() - begin < 50
    assert (tmp_path / "got").read_text().split() == ["usr1", "term"]


STUBBORN = (
    "trap 'echo usr1 >> got; {on_usr1}' USR1; trap 'echo term >> got' TERM; {first}; while :; do sleep 0.01; done"
)


def test_a_job_that_does_not_end_in_its_grace_is_ended(supervised, tmp_path):
    script = STUBBORN.format(on_usr1="", first="kill -TERM $PPID")
    begin = time.monotonic()
    code, text, _ = supervised(script, "--grace", "0.3")
    assert code == 137, text
    assert time.monotonic() - begin >= 0.6
    assert (tmp_path / "got").read_text().split() == ["usr1", "term"]


def test_the_second_signal_ends_the_grace(supervised, tmp_path):
    script = STUBBORN.format(on_usr1="kill -TERM $PPID", first="kill -TERM $PPID")
    begin = time.monotonic()
    code, text, _ = supervised(script, "--grace", "60")
    assert code == 137, text
    assert time.monotonic() - begin < 50
    assert (tmp_path / "got").read_text().split() == ["usr1", "term"]


def test_an_attempt_at_its_time_limit_is_ended_and_has_failed(supervised):
    script = f"[ $n = 1 ] || {{ {SUMMARY}; exit; }}; " + STUBBORN.format(on_usr1="exit 75", first=":")
    code, text, calls = supervised(script, "--time-limit", "0.5", "--max-restarts", "1")
    assert (code, len(calls)) == (0, 2), text
    assert "attempt 2 of 2: the time limit was reached; at step 0" in text


def test_a_signal_while_nothing_runs_leaves_the_checkpoint_to_the_next_start(supervised, monkeypatch):
    real = Signals.wait

    def wait(self, seconds):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(self, seconds)

    monkeypatch.setattr(Signals, "wait", wait)
    code, text, calls = supervised("exit 137", "--max-restarts", "3")
    assert (code, len(calls)) == (75, 1), text


def test_ranks_get_the_signal_themselves_where_mpirun_does_not_pass_it_on(supervised, tmp_path):
    script = "trap 'echo mpirun >> got' USR1; PMI_RANK=0 bash -c "
    script += "\"trap 'echo rank >> got; exit 7' USR1; kill -TERM $PPID; while :; do sleep 0.01; done\"; exit $?"
    code, text, _ = supervised(script, version="Intel(R) MPI Library")
    assert code == 7, text
    assert (tmp_path / "got").read_text().split() == ["rank"]


@pytest.mark.parametrize(("variable", "wait_s"), [("", 0.3), ("PMI_RANK=1", 60.0)])
def test_what_a_job_leaves_behind_is_killed_and_ranks_at_once(supervised, tmp_path, monkeypatch, variable, wait_s):
    monkeypatch.setattr(attempt, "LEFTOVERS_END_S", wait_s)
    begin = time.monotonic()
    code, text, _ = supervised(f"{variable} setsid bash -c 'echo $$ > left; exec sleep 300' & sleep 0.3; exit 3")
    assert code == 3, text
    assert not alive(int((tmp_path / "left").read_text()))
    assert time.monotonic() - begin < 50


def test_the_writer_of_the_last_checkpoint_may_finish(supervised, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "LEFTOVERS_END_S", 20.0)
    code, text, _ = supervised("setsid bash -c 'sleep 1; echo written > last' & sleep 0.3; exit 3")
    assert code == 3, text
    assert (tmp_path / "last").read_text() == "written\n"


BEGIN = "exec 2> /dev/null; for rank in 0 1; do OMPI_COMM_WORLD_RANK=$rank sleep 300 & done"
BLIND = f"{BEGIN}; wait; exec sleep 300"
"""An mpirun that does not notice that its two ranks have ended, and is no shell that tells of their death."""


@pytest.fixture
def blind(supervised, tmp_path, monkeypatch):
    """As `supervised`; two ranks end once they are seen, if no file `hold` is there, and lingering is soon noticed."""
    found = linger.carriers

    def carriers(name, **named):
        pids = found(name, **named)
        if len(pids) == 2 and not (tmp_path / "hold").exists():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        return pids

    monkeypatch.setattr(linger, "carriers", carriers)
    monkeypatch.setattr(linger, "FIRST_LOOK_S", 0.05)
    monkeypatch.setattr(linger, "LINGER_S", 0.2)
    monkeypatch.setattr(attempt, "POLL_S", 0.05)
    return supervised


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [(), ("--max-restarts", "1")])
def test_an_mpirun_that_goes_on_without_its_ranks_is_ended(blind, restarts):
    code, text, calls = blind(f"[ $n = 1 ] || exit 3; {BLIND}", *restarts)
    assert text.startswith("dpnet launch: mpirun outlived its ranks and was killed\n")
    assert (code, len(calls)) == ((3, 2) if restarts else (137, 1)), text


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [(), ("--max-restarts", "1")])
def test_the_exit_code_of_ranks_that_mpirun_has_missed_is_known(blind, restarts):
    code, text, calls = blind(f"{SUMMARY}; {BLIND}", *restarts)
    assert (code, len(calls)) == (0, 1), text


@pytest.mark.slow
def test_an_mpirun_that_is_ended_proves_nothing_by_an_earlier_summary_or_a_wrong_job(blind, tmp_path):
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "summary.json").write_text('{"status": "finished"}')
    assert blind(BLIND)[0] == 137
    assert blind(BLIND, command=("train", "--set", "train.epochs=none"))[0] == 137


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [(), ("--max-restarts", "1")])
def test_a_preempted_job_whose_mpirun_missed_it_is_known(blind, restarts):
    asked = "trap USR1; rm hold; wait; exec sleep 300"
    script = f"touch hold; trap '{asked}' USR1; {BEGIN}; kill $PPID; wait; exec sleep 300"
    code, text, calls = blind(script, *restarts)
    assert (code, len(calls)) == (75, 1), text


def test_mpirun_ends_with_its_supervisor(tmp_path):
    code = """
import os, signal
from dpnet.launch.attempt import Attempt
from dpnet.launch.escalation import Limits
Attempt(["sleep", "300"], os.environ, Limits(1, None), num_ranks=None, trains=True, forwards=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    job = start([sys.executable, "-c", code])
    try:
        job.wait(20)
        deadline = time.monotonic() + 60
        while job.pids() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not job.pids()
    finally:
        job.close()


def alive(pid):
    """Whether a process is there and no zombie; gives it a moment to go."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except FileNotFoundError:
            return False
        time.sleep(0.01)
    return True


# --- small parts ---


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("DataError: x is 3 (rank 1, node-2)", "DataError: x is 3"),
        ("[1,0]<stderr>: OutputError: disk full", "OutputError: disk full"),
        ("ValueError: bad (see above)", "ValueError: bad (see above)"),
        ("Error: no name", None),
        ("finished", None),
    ],
)
def test_the_error_of_a_line(line, error):
    assert find_error(line) == error


def test_resume_is_put_in_front_of_what_is_no_option():
    assert go_on(["train", "--", "job.toml"]) == ["train", "--resume", "auto", "--", "job.toml"]


def test_the_last_step_is_that_of_the_last_whole_row(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert last_step(path) == 0
    path.write_text('{"step": 5}\n{"step": 10}\n{"ste')
    assert last_step(path) == 10


# --- real jobs ---

JOB = """
[model]
hidden_layers = [32]
[train]
epochs = 15
global_batch_size = 100
reproducible_shards = 4
[checkpoint]
every_steps = 5
[output]
log_every_steps = 5
"""


def kill_ranks_once(job, output):
    """SIGKILL to all ranks when there is a first checkpoint."""
    deadline = time.monotonic() + 200
    while not (output / "checkpoints/latest").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in job.pids():
        try:
            if b"\0OMPI_COMM_WORLD_RANK=" in (e := Path(f"/proc/{pid}/environ").read_bytes()) or b"\0PMI_RANK=" in e:
                os.kill(pid, signal.SIGKILL)
        except OSError:
            continue


@pytest.mark.ranks
@pytest.mark.slow
def test_a_job_whose_ranks_are_killed_comes_back_to_the_directory_it_chose_and_ends_with_the_same_bits(tmp_path):
    mpirun(2)
    (tmp_path / "job.toml").write_text(JOB)
    dpnet = f"cd {tmp_path}; {sys.executable} -m dpnet"
    other = f"{dpnet} train job.toml --set train.seed=1 --set train.epochs=1"
    whole = f"{dpnet} train job.toml --output whole"
    code, text = run_command(["bash", "-c", f"{other} && {whole}"], timeout_s=90)
    assert code == 0, text
    before = (tmp_path / "runs/digits/summary.json").read_bytes()
    job = start(["bash", "-c", f"{dpnet} launch -n 2 --max-restarts 3 -- train job.toml"])
    try:
        kill_ranks_once(job, tmp_path / "runs/digits-2")
        assert job.wait(90) == 0, job.read()
        text = job.read()
    finally:
        job.close()
    assert "dpnet launch: attempt 2 of 4: " in text
    assert text.count("run directory runs/digits-2") == 2
    assert "going on from the checkpoint of step" in text
    assert (tmp_path / "runs/digits/summary.json").read_bytes() == before
    paths = [tmp_path / name / "summary.json" for name in ("whole", "runs/digits-2")]
    digests = [json.loads(path.read_text())["digest"] for path in paths]
    assert digests[0] == digests[1]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["digits", "digits-2"]


@pytest.mark.ranks
@pytest.mark.slow
def test_a_job_that_diverges_at_the_same_step_is_given_up(tmp_path):
    mpirun(2)
    settings = ["optimizer.name=sgd", "optimizer.learning_rate=1e30", "checkpoint.every_steps=1", "train.steps=50"]
    line = [sys.executable, "-m", "dpnet", "launch", "-n", "2", "--max-restarts", "5", "--", "train", "--output"]
    code, text = run_command(
        [*line, str(tmp_path / "run"), *(word for setting in settings for word in ("--set", setting))], timeout_s=90
    )
    assert code == 1, text
    assert "dpnet launch: gave up: DivergenceError: " in text
    assert "; twice at step " in text


RANK = """
import os, signal, sys, time
from mpi4py import MPI
def stop(number, frame):
    sys.stdout.write(f"rank {MPI.COMM_WORLD.rank} got {signal.Signals(number).name}\\n")
    sys.stdout.flush()
    os._exit(75)
signal.signal(signal.SIGUSR1, stop)
MPI.COMM_WORLD.Barrier()
if MPI.COMM_WORLD.rank == 0:
    os.kill(int(sys.argv[1]), signal.SIGTERM)
time.sleep(60)
"""


@pytest.mark.ranks
def test_sigterm_to_the_launcher_is_sigusr1_for_every_rank(capfd):
    line = [*mpirun(2), sys.executable, "-c", RANK, str(os.getpid())]
    environ = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    with Signals() as signals:
        ended = Attempt(line, environ, Limits(30, 60), num_ranks=2, trains=True, forwards=True).run(signals)
    assert (ended.code, ended.stopped_by) == (75, signal.SIGTERM)
    text = capfd.readouterr().out
    assert "rank 0 got SIGUSR1" in text or "rank 1 got SIGUSR1" in text
