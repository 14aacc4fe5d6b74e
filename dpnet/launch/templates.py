"""Where the files of launch/ are: scripts for batch jobs, recipes of containers. The wheel has a copy of them."""

from __future__ import annotations

from pathlib import Path

_OF_THE_WHEEL = Path(__file__).with_name("files")
_OF_A_CLONE = Path(__file__).parents[2] / "launch"


def folder() -> Path:
    """The folder of these files: within the package, or that of the clone which an editable install leads to."""
    return _OF_THE_WHEEL if _OF_THE_WHEEL.is_dir() else _OF_A_CLONE
