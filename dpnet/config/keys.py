"""What is known about each key of a job file, read from the dataclasses of `dpnet.config.job`, and the words for it."""

from __future__ import annotations

import functools
import operator
import typing
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from types import UnionType
from typing import Any, Literal

import tomli_w

from dpnet.config.job import Job
from dpnet.config.section import Among, ClassWeights, Governs, OnlyFor, PathOrShare, Range, Section, Text
from dpnet.text import words

Limits = Range | Text | Among | PathOrShare | ClassWeights


@dataclass(frozen=True)
class Key:
    """What is known about a key.

    Attributes:
        section: its section.
        name: its name in the section.
        kind: its type, as a type hint.
        limits: of its values; None: any value of the type.
        only_for: the values of `chooser` with which it has an effect; empty: all.
        chooser: the key that decides whether it has one.
        doc: what it means.
        default: its value in Job(); None where a rival holds.
        follows: how the default follows from other keys; empty: it does not.
        rivals: keys of its section of which exactly one holds, this one included, with examples; empty: none.
        example: a value to show where the default is None.
        governs: whether it may change in a run that has begun.
    """

    section: str
    name: str
    kind: Any
    limits: Limits | None
    only_for: tuple[str, ...]
    chooser: str
    doc: str
    default: Any
    follows: str
    rivals: dict[str, float]
    example: Any
    governs: Governs

    @property
    def full_name(self) -> str:
        """The name in messages and in `--set`: section.name."""
        return f"{self.section}.{self.name}"

    @property
    def expected(self) -> str:
        """What its values are, in words."""
        if typing.get_origin(self.kind) is Literal:
            return words([toml_value(choice) for choice in typing.get_args(self.kind)], "or")
        return KINDS[self.kind].format(self.limits)


KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "an integer, {}",
    float: "a finite number, {}",
    str: "a string, {}",
    tuple[int, ...]: "a list of integers, each {}",
    tuple[float, float]: "a list of two numbers, each {}",
    tuple[str, ...]: "a list of names, each {}",
    str | int | tuple[str | int, ...]: "a name or an integer, {}, or a list of these",
    str | float: "{}",
    str | dict[str, float]: "{}",
}
"""Words for every type of a key except a choice; the limits go into the braces."""


def toml_value(value: Any) -> str:
    """A value as TOML writes it, in one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(tomli_w.dumps({key: item}).rstrip() for key, item in value.items())} }}"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def setting(key: str, value: Any) -> str:
    """A setting for a message, to be copied into a job file: `data.ignore = ["x"]`."""
    return f"{key} = {toml_value(value)}"


def of_section(settings: Mapping[str, Any], section: str) -> dict[str, Any]:
    """The settings of a section, by the names of its keys."""
    return {name.partition(".")[2]: value for name, value in settings.items() if name.startswith(f"{section}.")}


def _keys_of(section_name: str, section: Section) -> list[Key]:
    hints = typing.get_type_hints(type(section), include_extras=True)
    entries: Sequence[Field[Any]] = fields(section)  # type: ignore[arg-type]  # Every section is a dataclass.
    return [_key(section_name, section, entry, hints[entry.name]) for entry in entries]


def _key(section_name: str, section: Section, entry: Field[Any], hint: Any) -> Key:
    kind, *notes = typing.get_args(hint)
    only = next((note for note in notes if isinstance(note, OnlyFor)), OnlyFor(()))
    return Key(
        section=section_name,
        name=entry.name,
        # A file cannot say None, so `int | None` is an int there.
        kind=functools.reduce(operator.or_, (one for one in typing.get_args(kind) if one is not type(None)))
        if isinstance(kind, UnionType)
        else kind,
        limits=next((note for note in notes if isinstance(note, Limits)), None),
        only_for=only.names,
        chooser=only.of or f"{section_name}.name",
        doc=notes[-1],
        default=getattr(section, entry.name),
        follows=entry.metadata.get("follows", ""),
        rivals=section.one_of if entry.name in section.one_of else {},
        example=section.one_of.get(entry.name, entry.metadata.get("example")),
        governs=next((note for note in notes if isinstance(note, Governs)), section.governs),
    )


SECTIONS: dict[str, type[Section]] = typing.get_type_hints(Job)
"""Section by name, in the order of Job."""

KEYS = {key.full_name: key for name, section in vars(Job()).items() for key in _keys_of(name, section)}
"""Every key by full name, in the order of Job."""
