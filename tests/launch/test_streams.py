"""What a job prints passes through `dpnet launch` whole and in order, and it is told when it cannot be written."""

import os
import shlex
import subprocess
import sys

import pytest

ATTEMPT = """
import os, sys
from dpnet.launch.attempt import Attempt
from dpnet.launch.escalation import Limits
from dpnet.launch.signals import Signals
with Signals() as signals:
    line = ["sh", "-c", sys.argv[1]]
    attempt = Attempt(line, os.environ, Limits(1, None), num_ranks=None, trains=sys.argv[2] == "train", forwards=True)
    ended = attempt.run(signals)
os.write(int(sys.argv[3]), f"{ended.code} {ended.lost_output} {ended.error}".encode())
"""
OPTION = "\n".join(
    ["-" * 74, "An unrecognized option was included on the mpirun command line:", "", "  Option: -x", "-" * 74]
)
NOISE = "[warn] Epoll MOD(4) on fd 20 failed. Old events were 6; read change was 0 (none); write: Bad file descriptor"


def attempt(script, redirection="", *, command="train", before=""):
    """How an attempt whose mpirun is a shell script ended; what a shell, that redirects its streams, prints; errors."""
    reading, writing = os.pipe()
    line = f"{before} {shlex.join([sys.executable, '-c', ATTEMPT, script, command, str(writing)])} {redirection}"
    done = subprocess.run(
        ["bash", "-c", line], pass_fds=[writing], capture_output=True, text=True, timeout=120, check=True
    )
    os.close(writing)
    with os.fdopen(reading) as file:
        return file.read(), done.stdout, done.stderr


def test_both_streams_pass_through_whole():
    ended, out, err = attempt(
        "seq 100000; seq 5 >&2; printf unfinished; printf 'Error? SomeError: x (rank 1, a)\\n' >&2"
    )
    assert ended == "0  SomeError: x"
    assert out == "".join(f"{number}\n" for number in range(1, 100001)) + "unfinished"
    assert err.splitlines() == ["1", "2", "3", "4", "5", "Error? SomeError: x (rank 1, a)"]


def test_in_one_file_they_keep_their_order():
    _, out, _ = attempt("for i in $(seq 50); do echo out $i; echo err $i >&2; done", "2>&1")
    assert out == "".join(f"out {number}\nerr {number}\n" for number in range(1, 51))


def test_a_page_has_a_sentence_in_front_in_a_file_and_on_its_own():
    for redirection in ("", "2>&1"):
        _, out, err = attempt(f"echo first; echo '{OPTION}' >&2; exit 213", redirection)
        text = (out + err).replace(OPTION, "PAGE")
        assert text.startswith("first\ndpnet launch: -x is no option of mpirun")
        assert text.endswith("Open MPI says:\nPAGE\n")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_full_disk_is_told_and_ends_no_job(command):
    script = "for i in 1 2 3; do echo $i; done; seq 100000; echo end >&2"
    ended, _, err = attempt(script, ">/dev/full", command=command)
    told = "dpnet launch: cannot write to standard output: No space left on device; the training goes on\n"
    assert (ended, sorted(err.splitlines(keepends=True))) == (
        ("0  None", [told, "end\n"]) if command == "train" else ("0 No space left on device None", ["end\n"])
    )


def test_a_reader_that_has_gone_ends_what_is_no_training():
    slowly = "for i in $(seq 100); do echo $i || exit 9; sleep 0.05; done"
    assert attempt(slowly, "| true", command="evaluate", before="trap '' PIPE;")[0] != "0  None"
    ended, _, err = attempt("sleep 0.2; seq 3; echo end >&2", "| true", before="trap '' PIPE;")
    assert ended == "0  None"
    assert "Broken pipe; the training goes on" in err
    assert "end\n" in err


def test_a_closed_stream_gets_nothing_and_no_other_file_does():
    ended, out, err = attempt("echo lost; echo told >&2", ">&-")
    assert (ended, out, err) == ("0  None", "", "told\n")


@pytest.mark.slow
def test_a_slow_reader_gets_all():
    _, out, _ = attempt("seq 20000", "| (sleep 2.5; cat)")
    assert out.splitlines()[-1] == "20000"


@pytest.mark.parametrize("code", [0, 1])
def test_what_the_library_of_mpirun_prints_of_closed_streams_is_told_only_of_a_failure(code):
    ended, _, err = attempt(f"echo one >&2; echo '{NOISE}' >&2; echo two >&2; exit {code}")
    assert ended.startswith(str(code))
    assert err == "one\ntwo\n" + (f"{NOISE}\n" if code else "")
