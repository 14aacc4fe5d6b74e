"""The README shows what dpnet has and does."""

import json
import re
import subprocess
import sys

import pytest
from helpers.readme import README, ROOT, block

from dpnet.about import __version__
from dpnet.cli.parser import COMMANDS, make_parser
from dpnet.config.directory import first_choice
from dpnet.config.doc import reference
from dpnet.config.file import load
from dpnet.output.run_directory import METRICS


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
    assert len(shown) == 9
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
