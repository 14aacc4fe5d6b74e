"""What may stand behind the `--` of `dpnet launch`, and what is said of everything else."""

import json
import re
import sys

import pytest
from helpers.mpirun import mpirun, run_command

from dpnet.cli.commands.launch import checked
from dpnet.errors import ConfigError

RANKS = ["-n", "2", "--"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["train", "job.toml"], ["train", "job.toml"]),
        (["dpnet", "train", "job.toml"], ["train", "job.toml"]),
        (["--help"], ["--help"]),
        (["python", "script.py"], ["python", "script.py"]),
        (["/usr/bin/python3.11", "-m", "module"], ["/usr/bin/python3.11", "-m", "module"]),
    ],
)
def test_a_command_of_dpnet_or_a_program_is_started(command, expected):
    assert checked([*RANKS, *command]) == [*RANKS, *expected]


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (["job.toml", "--output", "a b"], "to train it: dpnet launch -n 2 -- train job.toml --output 'a b'"),
        (["script.py"], "to run it on the ranks: dpnet launch -n 2 -- python script.py"),
        (["tarin"], "there is no command 'tarin' (did you mean 'train'?)"),
        (["dpnet", "tarin"], "did you mean 'train'?"),
        (["./program"], "there is no command './program'; commands: train, .*; or python and a program"),
    ],
)
def test_anything_else_is_refused_before_a_rank_starts(command, advice):
    with pytest.raises(ConfigError, match=re.sub(r"([?()])", r"\\\1", advice)):
        checked([*RANKS, *command])


def test_a_command_line_without_a_command_is_left_to_its_parser():
    for argv in (["-n", "2"], ["-n", "2", "--"]):
        assert checked(argv) == argv


SCRIPT = """
import json, sys
import dpnet
summary = dpnet.train({"train": {"epochs": 1}, "output.dir": "run", "output.progress": "none"})
if dpnet.connect().rank == 0:
    print(json.dumps([summary["world_size"], sys.executable, sys.argv[1:]]))
"""


@pytest.mark.ranks
@pytest.mark.slow
def test_a_program_runs_on_the_ranks_with_the_python_that_has_dpnet(tmp_path):
    mpirun(2)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "dpnet", "launch", *RANKS, "python", "script.py", "a", "b c"]
    code, text = run_command(["env", "-C", str(tmp_path), *command], timeout_s=120)
    assert code == 0, text
    line = next(line for line in text.splitlines() if line.startswith("["))
    assert json.loads(line) == [2, sys.executable, ["a", "b c"]]
