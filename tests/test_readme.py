"""The README shows what dpnet has and does."""

import json
import re
import shlex
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.readme import README, ROOT, block

from dpnet.about import __version__
from dpnet.cli import main as cli
from dpnet.cli.commands import tune
from dpnet.cli.parser import COMMANDS, make_parser
from dpnet.config.directory import first_choice
from dpnet.config.doc import reference
from dpnet.config.file import load
from dpnet.output.run_directory import METRICS
from dpnet.training.timing import Speed


def test_the_table_of_keys_is_that_of_the_configuration():
    assert README.endswith(reference())


def test_every_command_is_listed():
    listed = set(re.findall(r"^\| `dpnet (\w+) ", README, re.MULTILINE))
    assert listed == set(COMMANDS) == set(make_parser()._subparsers._group_actions[0].choices)


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "launch/README.md", "benchmarks/README.md"]
)
def test_links_lead_somewhere(name):
    path = ROOT / name
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()) if not link.startswith("http")]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_example_job_is_valid(tmp_path):
    path = tmp_path / "mnist.toml"
    path.write_text(block("toml"))
    assert str(first_choice(load(path))) == "runs/mnist"
    assert f"{METRICS} " in README


def test_the_step_is_the_one_in_the_code():
    code = [line.strip() for line in (ROOT / "dpnet/parallel/step.py").read_text().splitlines()]
    lines = re.search(r"^## How one step works.*?^```python\n(.*?)^```$", README, re.M | re.S)[1].splitlines()
    shown = [line.partition("  # ")[0].strip() for line in lines]
    places = [next((place for place, line in enumerate(code) if line.startswith(text)), -1) for text in shown]
    assert len(shown) == 10
    assert -1 not in places, shown[places.index(-1)]
    assert places == sorted(places), "the README has them in another order"


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "mnist.toml").write_text(block("toml").replace('"mnist"', '"digits"'))
    monkeypatch.chdir(tmp_path)
    code = next(code for code in re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S) if "import dpnet" in code)
    exec(compile(code, "README.md", "exec"), {})
    run_dir, accuracy = capsys.readouterr().out.splitlines()[-1].split()
    assert run_dir == "runs/digits"
    assert 0.8 < float(accuracy) < 1


def commands():
    """The arguments of every dpnet command that can be typed as it stands in the README, from top to bottom."""
    for language, text, span in re.findall(r"^```(\w*)\n(.*?)^```$|`([^`]+)`", README, re.M | re.S):
        script = " ".join(span.split()) or (text if language == "sh" else "")
        for line in re.split(r"\n|&&", script):
            found = re.fullmatch(r"(?:(?:mpirun|srun) .*?)?dpnet (\S+ .*)", line.split("#")[0].strip())
            # Words in capitals stand for something; what a shell fills in has a test of its own.
            if found and not re.search(r"\b[A-Z]+\b|\.\.\.|\$|\[", found[1]):
                yield shlex.split(found[1])


def test_every_command_works_from_top_to_bottom_in_one_directory(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tune, "measure", lambda *_: Speed(1.0, []))
    Path("mnist").mkdir()
    for name, number in (("train", 40), ("t10k", 24)):
        images = bytes(range(128)) * (number // 8)
        Path(f"mnist/{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, number, 4, 4) + images)
        Path(f"mnist/{name}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2I", 0x801, number) + bytes(range(4)) * (number // 4)
        )
    Path("mnist.toml").write_text(block("toml"))
    rows = [f"{row * 37 % 101},{row % 7},{'ab'[row % 2]}" for row in range(60)]
    Path("wine.csv").write_text("\n".join(["ash,hue,kind", *rows, ""]))
    Path("new.csv").write_text("ash,hue\n1,2\n3,4\n")
    done = []
    for words in commands():
        arguments = words[words.index("--") + 1 :] if words[0] == "launch" else words
        if arguments[0] == "python":
            continue  # See above.
        code = cli.run(arguments)
        assert code == 0, f"dpnet {' '.join(words)}: {capsys.readouterr().err}"
        assert "complete already" not in capsys.readouterr().out or "job.toml" in words, words
        done.append(arguments[0])
    assert done.count("train") > 8
    assert {"init", "predict", "plot", "tune", "gradcheck"} <= set(done)


@pytest.mark.slow
def test_the_sweep_trains_every_rate_and_the_next_one_finds_them(tmp_path):
    loop = next(
        code
        for code in re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)
        if code.startswith("for ") and "learning_rate" in code
    )
    # Not the command on PATH, which may be another dpnet.
    script = f'dpnet() {{ {sys.executable} -m dpnet "$@"; }}\n{loop}'
    outputs = [
        subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    names = ["digits", "digits-2", "digits-3"]
    assert [line.rpartition("/")[2] for line in outputs[0].splitlines() if "finished after" in line] == names
    assert outputs[1].count(" is complete already, 46 steps") == 3
    summaries = [json.loads((tmp_path / "runs" / name / "summary.json").read_text()) for name in names]
    assert len({summary["digest"] for summary in summaries}) == 3


def test_the_citation_names_the_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
