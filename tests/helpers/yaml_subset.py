"""Reads the YAML that files of launch/ are written in: mappings, lists and scalars by indentation, and comments.

A dependency for one file of 90 lines would be too much. What is not of this kind raises ValueError.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ENTRY = re.compile(r"(?P<key>[\w./-]+):(?: (?P<value>\S.*))?")


def read(text: str) -> Any:
    """The value that a document stands for."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pairs = [(len(line) - len(line.lstrip(" ")), line.lstrip(" ")) for line in lines]
    value, rest = _block(pairs, 0)
    if rest:
        raise ValueError(f"what is {rest[0]}?")
    return value


def _block(lines: list[tuple[int, str]], indent: int) -> tuple[Any, list[tuple[int, str]]]:
    """The value of the lines from here on that are indented so far, and the lines behind them."""
    is_list = lines[0][1].startswith("- ")
    items: list[Any] = []
    mapping: dict[str, Any] = {}
    while lines and lines[0][0] == indent and lines[0][1].startswith("- ") == is_list:
        text = lines[0][1]
        if is_list and _ENTRY.fullmatch(text[2:]):  # A mapping whose first key stands behind the dash.
            value, lines = _block([(indent + 2, text[2:]), *lines[1:]], indent + 2)
            items.append(value)
        elif is_list:
            items.append(_scalar(text[2:]))
            lines = lines[1:]
        else:
            lines = _entry(mapping, lines, indent)
    return (items if is_list else mapping), lines


def _entry(mapping: dict[str, Any], lines: list[tuple[int, str]], indent: int) -> list[tuple[int, str]]:
    found = _ENTRY.fullmatch(lines[0][1])
    if found is None or found["key"] in mapping:
        raise ValueError(f"no entry, or one that is there already: {lines[0][1]}")
    lines = lines[1:]
    if found["value"] is not None:
        mapping[found["key"]] = _scalar(found["value"])
    elif lines and lines[0][0] > indent:
        mapping[found["key"]], lines = _block(lines, lines[0][0])
    else:
        raise ValueError(f"{found['key']} has no value")
    return lines


def _scalar(text: str) -> Any:
    if text.startswith('"'):
        return json.loads(text)
    if re.search(r"[#{}\[\]&*!|>'\"%@`]|: ", text):
        raise ValueError(f"{text} is no plain scalar")
    return int(text) if text.isdecimal() else text
