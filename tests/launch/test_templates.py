"""The files of launch/ come with the package, in a wheel and in an editable install."""

import sys
from pathlib import Path

import pytest
from helpers.own_files import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import dpnet
from dpnet.cli.main import parse
from dpnet.launch import templates

PACKAGE = Path(dpnet.__file__).parents[1]


def test_an_installation_of_any_kind_has_those_of_the_clone():
    own = {path.name: path.read_bytes() for path in templates.folder().iterdir() if path.is_file()}
    assert own == {path.name: path.read_bytes() for path in (ROOT / "launch").iterdir() if path.is_file()}


def test_the_wheel_has_them_where_they_are_looked_for(tmp_path, monkeypatch):
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert target["only-include"] == ["dpnet", "launch"]
    assert {name: PACKAGE / place for name, place in target["sources"].items()} == {"launch": templates._OF_THE_WHEEL}
    monkeypatch.setattr(templates, "_OF_THE_WHEEL", tmp_path)
    assert templates.folder() == tmp_path


@pytest.mark.parametrize("command", ["launch", "submit"])
def test_the_help_says_where_they_are(command, capsys):
    with pytest.raises(SystemExit):
        parse([command, "--help"])
    assert "".join(str(templates.folder()).split()) in "".join(capsys.readouterr().out.split())
