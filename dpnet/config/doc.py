"""The documentation of all keys: a commented job file, and a table for the README."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from dpnet.config.keys import KEYS, SECTIONS, Key, toml_value
from dpnet.text import words

HEAD = """\
# A job file of dpnet: dpnet train job.toml
# Every key may be left out; the values here are the defaults. A key that is commented out follows from other keys, or
# excludes another one.
"""


def template(settings: Mapping[str, Any] | None = None, lines: Sequence[str] = ()) -> str:
    """A job file with every key, its documentation and its default; `load` makes Job() of it.

    Args:
        settings: values other than the defaults, by the full names of their keys.
        lines: comments to stand at the top.
    """
    values = settings or {}
    sections = [HEAD + "".join(["\n", *(f"# {line}\n" for line in lines)] if lines else [])]
    for name, section in SECTIONS.items():
        keys = [_entry(key, values) for key in KEYS.values() if key.section == name]
        sections.append(f"# {section.__doc__}\n[{name}]\n" + "".join(keys))
    return "\n".join(sections)


def _entry(key: Key, values: Mapping[str, Any]) -> str:
    if key.full_name in values:
        return f"{_comment(_text(key))}{key.name} = {toml_value(values[key.full_name])}\n"
    inactive = bool(key.follows) or key.default is None
    value = toml_value(key.example if key.default is None else key.default)
    line = f"{'# ' if inactive else ''}{key.name} = {value}\n"
    return _comment(_text(key)) + line


def _comment(text: str) -> str:
    return textwrap.fill(text, 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False) + "\n"


def _text(key: Key) -> str:
    """What a key means, what its values are and when it holds."""
    sentences = [] if key.kind is bool else [key.expected]
    if key.only_for:
        of = "" if key.chooser == f"{key.section}.name" else f"{key.chooser} = "
        sentences.append(f"only for {of}{words([toml_value(name) for name in key.only_for], 'and')}")
    if others := [name for name in key.rivals if name != key.name]:
        sentences.append(f"excludes {words(others, 'and')}")
    if key.follows:
        sentences.append(f"if not set: {key.follows}")
    return " ".join([key.doc, *(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)])


def reference() -> str:
    """A Markdown table of all keys: name, default, meaning."""
    rows = [f"| `{key.full_name}` | {_default(key)} | {_text(key)} |" for key in KEYS.values()]
    return "\n".join(["| Key | Default | Meaning |", "|---|---|---|", *rows, ""])


def _default(key: Key) -> str:
    return "" if key.default is None else f"`{toml_value(key.default)}`"
