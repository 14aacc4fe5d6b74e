"""A proposal: the settings that suit some data, and what was found in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHARES = {"data.test": 0.2, "data.validation": 0.1}
"""Shares of the rows that are held out; the second of those that the first has left."""


@dataclass(frozen=True)
class Proposal:
    """What a job file should say.

    Attributes:
        settings: values by the full names of their keys.
        lines: what was found, to stand above them.
    """

    settings: dict[str, Any]
    lines: list[str]


def held_out_text(settings: Mapping[str, Any]) -> list[str]:
    """A sentence on the shares that are held out, if any are."""
    test, validation = (settings.get(key) for key in SHARES)
    parts = [f"{test:.0%} to test with"] if isinstance(test, float) else []
    if isinstance(validation, float):
        parts.append(f"{validation:.0%}{' of the others' if parts else ''} to validate with")
    return [f"Held out: {', '.join(parts)}."] if parts else []
