"""Modules import only from the floors below them, or from their own package."""

import ast
from pathlib import Path

import pytest

import dpnet

PACKAGE = Path(dpnet.__file__).parent
FLOORS = [
    {"errors"},
    {"arguments", "arrays", "plan", "config", "whereabouts"},
    {"blas", "kernels"},
    {"nn", "optim", "data"},
    {"comm", "watchdog"},
    {"threads", "state", "reduce", "signals", "pace", "samebits", "manifest"},
    {"engine"},
    {"update", "checkpoint", "evaluator", "networks"},
    {"trainer", "checkpoints"},
    {"progress", "rundir", "resume", "writer_process", "writer"},
    {"metrics", "assembly", "inputs"},
    {"reporter", "begin", "nonfinite", "saver"},
    {"prediction", "tables", "plot", "records"},
    {"coordinator"},
    {"training", "timing", "launch"},
    {"tune"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def dpnet_imports(path: Path) -> set[str]:
    """First part of the name, below dpnet, of every module of dpnet that a file imports, at any depth in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "dpnet":
            found |= {alias.name for alias in node.names if alias.name in FLOOR_OF}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dpnet."):
            found.add(node.module.split(".")[1])
    return found


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path):
    here = place(path)
    if here == "__init__":
        return
    above = {name for name in dpnet_imports(path) if name != here and FLOOR_OF[name] >= FLOOR_OF[here]}
    assert not above, f"{here} (floor {FLOOR_OF[here]}) imports from its own floor or above: {above}"


def test_every_module_has_a_floor():
    assert {place(path) for path in FILES} - {"__init__"} == set(FLOOR_OF)


def test_only_one_module_imports_mpi4py():
    importing = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "mpi4py" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mpi4py")
    }
    assert importing == {"comm/mpi.py"}


def test_the_network_imports_nothing_but_numpy():
    for path in (PACKAGE / "nn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in {"numpy", "dpnet", *STANDARD}, f"{path}: {name}"


STANDARD = {"__future__", "abc", "collections", "dataclasses", "functools", "itertools", "math", "typing"}
