"""What a user asks a scheduler for: options of the command line over the keys of a profile over the defaults."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from dpnet.errors import ConfigError

SLURM, PBS = "slurm", "pbs"


@dataclass(frozen=True)
class Request:
    """A batch job as its user wants it: keys of a profile, of which most are options of `dpnet submit` too.

    Attributes:
        nodes: hosts.
        ranks_per_node: ranks on each.
        time: limit of a turn, HH:MM:SS.
        cpus_per_rank: cores of a rank.
        scheduler: SLURM or PBS; empty: whichever is installed.
        partition: of Slurm, or queue of PBS; empty: the site's default.
        account: that pays; empty: the default one.
        name: of the job.
        srun: Slurm's srun is to start the ranks, in the place of mpirun.
        environment: folder of the virtual or conda environment that dpnet is installed in; empty: that of this process.
        setup: lines of the script in front of the environment, such as `module load openmpi`.
        options: more options of sbatch or qsub, one a line, as a batch script has them.
    """

    nodes: int
    ranks_per_node: int
    time: str
    cpus_per_rank: int = 1
    scheduler: str = ""
    partition: str = ""
    account: str = ""
    name: str = "dpnet"
    srun: bool = False
    environment: str = ""
    setup: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def world_size(self) -> int:
        """Ranks in all."""
        return self.nodes * self.ranks_per_node

    @property
    def time_s(self) -> int:
        """Seconds of a turn."""
        hours, minutes, seconds = map(int, self.time.split(":"))
        return 3600 * hours + 60 * minutes + seconds


def read_request(given: Mapping[str, Any], profile: Path | None) -> Request:
    """What is asked for.

    Args:
        given: options of the command line, by the names of the attributes; None: not given.
        profile: a TOML file of such keys; None: there is none.

    Raises:
        ConfigError: the profile cannot be read, a key is unknown, a value is wrong, or a number is missing.
    """
    found = {key: (value, f"{key} in {profile}") for key, value in (_read(profile) if profile else {}).items()}
    found |= {key: (value, _option(key)) for key, value in given.items() if value is not None}
    for key in ("nodes", "ranks_per_node", "time"):
        if key not in found:
            raise ConfigError(f"{_option(key)} is missing; give it, or {key} in a profile (--profile FILE.toml)")
    return Request(**{key: _CHECKS[key](value, where) for key, (value, where) in found.items()})


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the profile {path}: {error.strerror or error}") from error
    except ValueError as error:  # Neither TOML nor UTF-8.
        raise ConfigError(f"the profile {path} is no TOML: {error}") from error
    known = [field.name for field in fields(Request)]
    for key in found:
        if key not in known:
            raise ConfigError(f"{key} in the profile {path} is no key of one; keys are {', '.join(known)}")
    return found


def _count(value: Any, where: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise ConfigError(f"{where} is {value!r}; it must be a number from 1")
    return int(text)


def _time(value: Any, where: str) -> str:
    if not re.fullmatch(r"\d{1,4}:[0-5]\d:[0-5]\d", str(value), re.ASCII) or not re.search("[1-9]", str(value)):
        raise ConfigError(f'{where} is {value!r}; it must be hours, minutes and seconds, as "12:00:00"')
    return str(value)


def _scheduler(value: Any, where: str) -> str:
    if value not in (SLURM, PBS):
        raise ConfigError(f"{where} is {value!r}; it must be {SLURM} or {PBS}")
    return str(value)


def _word(value: Any, where: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s'\"\\#]+", value):
        raise ConfigError(f"{where} is {value!r}; it must be a name without spaces and quotes")
    return value


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][\w.-]{0,63}", value, re.ASCII):
        raise ConfigError(f"{where} is {value!r}; it must be a letter and up to 63 letters, digits, dots or dashes")
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where} is {value!r}; it must be true or false")
    return value


def _folder(value: Any, where: str) -> str:
    if not isinstance(value, str) or not Path(value).expanduser().is_dir():
        raise ConfigError(f"{where} is {value!r}; it must be the folder of an environment")
    return str(Path(value).expanduser().absolute())


def _lines(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) and len(line.splitlines()) == 1 for line in value):
        raise ConfigError(f"{where} is {value!r}; it must be a list of lines")
    return tuple(value)


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "nodes": _count,
    "ranks_per_node": _count,
    "time": _time,
    "cpus_per_rank": _count,
    "scheduler": _scheduler,
    "partition": _word,
    "account": _word,
    "name": _name,
    "srun": _flag,
    "environment": _folder,
    "setup": _lines,
    "options": _lines,
}
"""What a value must be, by key: each makes the attribute of it, or raises ConfigError with its place."""
