"""The project's own files. What a user keeps beside them in a clone, a script or a job, is not judged."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "dpnet", "launch", "tests")
BESIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml")


@functools.cache
def own_files(root: Path = ROOT) -> tuple[Path, ...]:
    """What git tracks of the files that are there; all of the project's folders where there is no git, or no clone."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = ""
    tracked = listed.split("\0")
    if "pyproject.toml" in tracked:  # Else this is an unpacked archive, which may lie in somebody's repository.
        found = [root / name for name in tracked if name]
    else:
        found = [path for folder in FOLDERS for path in (root / folder).rglob("*")] + [root / name for name in BESIDE]
    return tuple(sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts))


def modules(root: Path = ROOT) -> list[Path]:
    """Those of the package."""
    return [path for path in own_files(root) if path.is_relative_to(root / "dpnet") and path.suffix == ".py"]
