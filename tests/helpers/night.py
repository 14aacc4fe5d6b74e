"""What only a night has time for: more rounds of what is random, and all of what is tried in part by day.

DPNET_TEST_NIGHT=1 makes it night. By day, cases that are marked `night` are not selected (tests/conftest.py).
"""

from __future__ import annotations

import os
from typing import Any

import pytest

NIGHT = os.environ.get("DPNET_TEST_NIGHT", "0") != "0"


def times(name: str, day: int, night: int) -> int:
    """How often something random is repeated; the environment variable NAME asks for another number."""
    return int(os.environ.get(name) or (night if NIGHT else day))


def at_night(*values: object, id: str | None = None) -> Any:
    """A case of pytest.mark.parametrize that is left to the night."""
    return pytest.param(*values, marks=pytest.mark.night, id=id)
