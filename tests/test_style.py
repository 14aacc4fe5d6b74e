"""Style and types of the whole project, by the tools that CONTRIBUTING.md names."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.own_files import ROOT, modules, own_files

WRITTEN = (".cff", ".def", ".md", ".py", ".sbatch", ".sh", ".toml", ".yaml", "")
"""The endings of what people have written, and may have misspelt."""


def ending(*endings):
    """The project's own files with these endings, as arguments of a command that is run in its root."""
    found = [str(path.relative_to(ROOT)) for path in own_files() if path.suffix in endings]
    assert found, f"no file of the project ends in {endings}"
    return found


TOOLS = {
    "ruff": lambda: ["ruff", "check", *ending(".py")],
    "format": lambda: ["ruff", "format", "--check", *ending(".py")],
    "mypy": lambda: ["mypy", *(str(path.relative_to(ROOT)) for path in MODULES)],
    "codespell": lambda: ["codespell", *ending(*WRITTEN)],
    "shellcheck": lambda: ["shellcheck", ".ci/run", *ending(".sh", ".sbatch")],
}


@pytest.mark.parametrize("name", TOOLS)
def test_tool_finds_nothing(name):
    tool, *arguments = TOOLS[name]()
    path = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed; pip install 'dpnet[test]'")
    result = subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("of", ["a clone", "an archive", "an archive in a repository", "an archive without git"])
def test_what_a_user_keeps_beside_the_project_is_not_judged(tmp_path, monkeypatch, of):
    root = tmp_path / "project"
    ours = ["dpnet/__init__.py", "tests/test_it.py", "pyproject.toml"]
    theirs = ["scratch.py", "jobs/mine.py", *(["dpnet/mine.py"] if of == "a clone" else [])]
    for name in ours + theirs:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("import  os\n")
    if of == "an archive without git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif of != "an archive":
        where, added = (root, ours) if of == "a clone" else (tmp_path, [])
        subprocess.run(["git", "init", "-q", where], check=True)
        subprocess.run(["git", "-C", where, "add", "--", *added], check=True)
    assert {str(path.relative_to(root)) for path in own_files(root)} == {*ours}
    assert modules(root) == [root / "dpnet/__init__.py"]


MODULES = modules()
MAX_LINES, MAX_FUNCTION, MAX_INIT = 250, 40, 25


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            most = MAX_INIT if node.name == "__init__" else MAX_FUNCTION
            assert lines_of(node) <= most, f"{node.name} has {lines_of(node)} lines; at most {most}"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name == "__init__.py"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_folder_says_what_it_holds_and_what_it_must_not_know(path):
    doc = ast.get_docstring(ast.parse(path.read_text())) or ""
    if path.parent.name in ("dpnet", "parallel"):  # The package itself, and the story of data parallelism.
        assert len(doc.splitlines()) >= 3
        return
    assert 3 <= len(doc.splitlines()) <= 6, doc
    assert any(word in doc for word in ("know", "Nothing", "nobody", "never", "not ")), doc


def test_few_files_stand_beside_the_folders():
    beside = [path.name for path in MODULES if path.parent == ROOT / "dpnet"]
    assert len(beside) <= 9, sorted(beside)
