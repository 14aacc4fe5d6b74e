"""A proposal: the settings that suit some data, and what was found in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TEST_SHARE = 0.2
"""Share of the rows that is held out."""


@dataclass(frozen=True)
class Proposal:
    """What a job file should say.

    Attributes:
        settings: values by the full names of their keys.
        lines: what was found, to stand above them.
    """

    settings: dict[str, Any]
    lines: list[str]
