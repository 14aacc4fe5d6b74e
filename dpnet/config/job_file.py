"""Reads a job file, and says on which line something is wrong; and the settings of `--set` options."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpnet.config.check import Given, flatten
from dpnet.config.keys import toml_value
from dpnet.errors import ConfigError
from dpnet.text import shorten

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 18
"""Most bytes of a job file; the template has about a thirtieth of that."""
DATA = re.compile(r".*\.(csv|tsv|parquet|feather|arrow|h5|hdf5|npz|npy|svm|libsvm)(\.gz|\.bz2)?", re.IGNORECASE)
"""Names of files that hold data, and are no job files."""


def read(path: Path) -> dict[str, Given]:
    """What a job file says, by the full names of the keys, with the line of each.

    Raises:
        ConfigError: the file cannot be read, is too long, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the job file {path}: {error.strerror or error}{_meant(path)}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"the job file {path} has more than {MAX_BYTES} bytes; give a job file, as of dpnet init{_of_data(path)}"
        )
    try:
        # Some editors begin a file with a byte order mark.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path} line {line} is no UTF-8 text: byte 0x{data[error.start]:02x}{_of_data(path)}"
        ) from error
    return flatten(_parse(text, path), _places(text, path))


def read_setting(text: str) -> dict[str, Given]:
    """What a `--set` option says: `section.key=value`. A value that is not TOML is taken as a bare string.

    Raises:
        ConfigError: it has another form.
    """
    target, _, value = text.partition("=")
    section, _, key = target.strip().partition(".")
    if not (section and key and value.strip()) or "." in key:
        raise ConfigError(f"--set {shorten(text, 200)}: it must be section.key=value, for example --set train.epochs=3")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        parsed = {}
    # A value with a line break in it could add keys of its own.
    seen = parsed["value"] if parsed.keys() == {"value"} else value.strip()
    return flatten({section: {key: seen}}, lambda name: f"--set {shorten(text, 200)}")


def _meant(path: Path) -> str:
    """The file beside a path that does not exist that the user may have meant, to end a sentence with."""
    try:
        names = [] if path.exists() else os.listdir(path.parent)
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"; did you mean {path.with_name(close[0])}?" if close else ""


def _of_data(path: Path) -> str:
    """How a job file for data is made, where a path is that of data, to end a sentence with."""
    if not DATA.fullmatch(path.name):
        return ""
    return f"; for a job file for these data: dpnet init job.toml --data {shlex.quote(str(path))}"


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # tomllib names no place for a number or a nesting beyond what Python reads.
        found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error), re.DOTALL)
        if found is None:
            raise ConfigError(f"{path} is no valid TOML: {error}{_of_data(path)}") from error
        lines = text.rstrip("\n").split("\n")
        number = min(int(found[2] or len(lines)), len(lines))
        line = lines[number - 1].strip()
        seen = f": {shorten(line)}" if line.isprintable() else ""
        raise ConfigError(
            f"{path} line {number} is no valid TOML: {found[1]}{seen}{_of_data(path) or _quoted(line)}"
        ) from error


def _quoted(line: str) -> str:
    """What to write in place of a line `key = word`; empty: it is none."""
    found = re.fullmatch(r"([\w.-]+)\s*=\s*([^\s\"'\[\]{}#=][^\"'#]*?)\s*(#.*)?", line)
    if found is None or not line.isprintable() or re.match(r"[\d+-]", found[2]):
        return ""
    return f"; a string is quoted: {shorten(f'{found[1]} = {toml_value(found[2])}')}"


# For lines without spaces around them. No two neighbouring parts match the same characters, so a long line costs no
# backtracking.
_HEADER = re.compile(r"\[\[?([^\[\]=]+)\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""([\w\-"'.\ \t]+)=""")


def _places(text: str, path: Path) -> Callable[[str], str]:
    """Find the lines of the keys. Only lines that look like keys are found: that is enough for an error message."""
    lines: dict[str, int] = {}
    header = ""
    for number, line in enumerate(map(str.strip, text.split("\n")), start=1):
        if match := _HEADER.fullmatch(line):
            name = header = _joined(match[1])
        elif match := _KEY.match(line):
            name = ".".join([header, _joined(match[1])] if header else [_joined(match[1])])
        else:
            continue
        section, *rest = name.split(".")
        lines.setdefault(section, number)
        lines.setdefault(".".join([section, *rest[:1]]), number)

    def place(name: str) -> str:
        # The keys of an inline table are on the line of their section.
        line = lines.get(name, lines.get(name.partition(".")[0]))
        return f"{path}" if line is None else f"{path} line {line}"

    return place


def _joined(dotted: str) -> str:
    return ".".join(part.strip(" \t\"'") for part in dotted.split("."))
