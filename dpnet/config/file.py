"""Reads and writes configurations: job files in TOML, `--set` options, and plain data as in a checkpoint's manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpnet.config.check import Given, check, flatten
from dpnet.config.doc import reference, template
from dpnet.config.job import Job
from dpnet.config.job_file import read, read_setting
from dpnet.config.keys import KEYS, toml_value
from dpnet.errors import ConfigError, OutputError
from dpnet.files import writing

__all__ = [
    "from_dict",
    "job_of",
    "load",
    "reference",
    "template",
    "to_dict",
    "to_flat_dict",
    "to_settings",
    "to_toml",
    "write_template",
]


def load(path: str | Path | None, overrides: Sequence[str] = (), *, base: Mapping[str, Any] | None = None) -> Job:
    """Load the configuration from a job file, from `--set` options, or from both.

    Args:
        path: the job file; None: there is none.
        overrides: `section.key=value` each. An override wins over the file, and a later one over an earlier one. A
            value that is not TOML is taken as a bare string. Keys of the file that exclude an override are dropped.
        base: in the place of a job file, keys by section, as `to_dict` makes them.

    Raises:
        ConfigError: the file cannot be read, or something in it or in an override is wrong. The message lists every
            problem, with its place.
    """
    assert path is None or base is None
    from_file = flatten(base or {}, lambda name: "the checkpoint") if path is None else read(Path(path))
    from_options: dict[str, Given] = {}
    for text in overrides:
        from_options.update(read_setting(text))
    replaced = {f"{KEYS[name].section}.{rival}" for name in from_options if name in KEYS for rival in KEYS[name].rivals}
    kept = {name: entry for name, entry in from_file.items() if name not in replaced}
    return check({**kept, **from_options})


def from_dict(raw: Mapping[str, Any], *, where: str) -> Job:
    """The configuration that plain data describe.

    Args:
        raw: keys by section, as `to_dict` makes them; a missing key has its default.
        where: the place that errors name.

    Raises:
        ConfigError: something is wrong; the message lists every problem.
    """
    return check(flatten(raw, lambda name: where))


def job_of(given: Job | str | os.PathLike[str] | Mapping[str, Any]) -> Job:
    """The configuration that a program gives: a job, the path of a job file, or a dictionary.

    Args:
        given: the keys of a dictionary are sections, with dictionaries of keys in them, or full names: `train.epochs`.

    Raises:
        ConfigError: something is wrong; the message lists every problem.
    """
    if isinstance(given, Job):
        return given
    if isinstance(given, str | os.PathLike):
        return load(Path(given))
    if not isinstance(given, Mapping):
        raise ConfigError(f"a job is a Job, the path of a job file or a dictionary; this is a {type(given).__name__}")
    flat: dict[str, Given] = {}
    for name, value in given.items():
        section, dot, key = str(name).partition(".")
        flat.update(flatten({section: {key: value}} if dot else {str(name): value}, lambda _: "in the dictionary"))
    return check(flat)


def to_dict(job: Job) -> dict[str, dict[str, Any]]:
    """A configuration as plain data that JSON and TOML can hold: keys by section.

    Of keys that exclude one another, only the one that holds is included. `from_dict` makes an equal object of it.
    """
    return {
        name: {key: _plain(value) for key, value in vars(section).items() if value is not None}
        for name, section in vars(job).items()
    }


def to_flat_dict(job: Job) -> dict[str, Any]:
    """The same, by `section.key`."""
    return {f"{section}.{key}": value for section, keys in to_dict(job).items() for key, value in keys.items()}


def to_settings(job: Job) -> dict[str, str]:
    """All settings of a configuration as a job file would have them, by `section.key`; "not set" stands for None."""
    values = to_flat_dict(job)
    return {name: toml_value(values[name]) if name in values else "not set" for name in KEYS}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def to_toml(job: Job) -> str:
    """A configuration as a job file, every key written out; `load` makes an equal object of it."""
    sections = []
    for name, keys in to_dict(job).items():
        lines = [f"{key} = {toml_value(value)}" for key, value in keys.items()]
        sections.append("\n".join([f"[{name}]", *lines, ""]))
    return "\n".join(sections)


def write_template(path: Path, settings: Mapping[str, Any] | None = None, lines: Sequence[str] = ()) -> None:
    """Write the template to a new file.

    Args:
        path: of the file.
        settings: see `doc.template`.
        lines: see `doc.template`.

    Raises:
        OutputError: the file exists already, or cannot be written.
    """
    with writing(path):
        try:
            file = path.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise OutputError(f"cannot write {path}: it exists already; name another file") from error
        with file:
            file.write(template(settings, lines))
