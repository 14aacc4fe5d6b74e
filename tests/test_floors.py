"""Modules import only from the floors below them, or from their own package."""

import ast
from pathlib import Path

import pytest
from helpers.own_files import ROOT, modules

PACKAGE = ROOT / "dpnet"
FLOOR_OF = {
    "about": 0,
    "environment": 0,
    "errors": 0,
    "whereabouts": 0,
    "allocation": 1,
    "files": 1,
    "text": 1,
    "config": 2,
    "compute": 3,
    "nn": 4,
    "optim": 4,
    "data": 4,
    "comm": 5,
    "state": 6,
    "checkpoint": 7,
    "parallel": 8,
    "output": 9,
    "resilience": 10,
    "training": 11,
    "conversion": 12,
    "inference": 12,
    "launch": 13,
    "cli": 14,
    "__main__": 15,
}
"""The floor of every folder, and of every file beside the folders. Folders on one floor do not know each other."""
FILES = modules()


def dpnet_imports(path: Path, package: Path = PACKAGE) -> set[str]:
    """Dotted names below dpnet of every module that a file imports, at any depth in it and in any form."""
    found: set[str] = set()
    here = ["dpnet", *path.relative_to(package).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = here[: -node.level] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            # A name that is imported from a package may be one of its modules, or defined in its __init__.
            found |= {module} if module != "dpnet" else set()
            found |= {f"{module}.{alias.name}" for alias in node.names if is_module(f"{module}.{alias.name}", package)}
    return {name.removeprefix("dpnet.") for name in found if name.startswith("dpnet.")}


def is_module(name: str, package: Path) -> bool:
    place = package.joinpath(*name.split(".")[1:])
    return name.startswith("dpnet.") and (place.is_dir() or place.with_suffix(".py").is_file())


@pytest.mark.parametrize(
    "line",
    [
        "import dpnet.comm.mpi",
        "import numpy, dpnet.comm.mpi as m",
        "from dpnet.comm import mpi",
        "from dpnet.comm.mpi import MpiGroup",
        "from ..comm import mpi",
        "from ..comm.mpi import MpiGroup as G",
        "def late():\n    from ..comm import mpi",
    ],
)
def test_every_form_of_import_is_seen(tmp_path, line):
    for name in ("nn/layers.py", "comm/mpi.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(line)
    assert "comm.mpi" in dpnet_imports(tmp_path / "nn/layers.py", tmp_path)


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path):
    here = place(path)
    if here == "__init__":
        return
    rooms = {name.split(".")[0] for name in dpnet_imports(path)} - {here}
    above = {name for name in rooms if FLOOR_OF[name] >= FLOOR_OF[here]}
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
    for path in (path for path in FILES if place(path) == "nn"):
        assert {name.split(".")[0] for name in dpnet_imports(path)} <= {"nn", "compute", "errors"}, path
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in {"numpy", "dpnet", *STANDARD}, f"{path}: {name}"


STANDARD = {"__future__", "abc", "collections", "dataclasses", "functools", "itertools", "math", "typing"}
