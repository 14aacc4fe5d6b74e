"""The README shows what dpnet has and does."""

import re

import pytest
from helpers.readme import README, ROOT, block

from dpnet.cli.parser import make_parser
from dpnet.config.directory import first_choice
from dpnet.config.doc import reference
from dpnet.config.file import load
from dpnet.output.run_directory import METRICS


def test_the_table_of_keys_is_that_of_the_configuration():
    assert README.endswith(reference())


def test_every_command_is_listed():
    listed = set(re.findall(r"^\| `dpnet (\w+) ", README, re.MULTILINE))
    assert listed == set(make_parser()._subparsers._group_actions[0].choices)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "launch/README.md", "benchmarks/README.md"])
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
    assert 0.8 < float(capsys.readouterr().out.splitlines()[-1]) < 1
