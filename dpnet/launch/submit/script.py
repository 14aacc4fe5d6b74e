"""The batch script of a training: a file of launch/, with the numbers, paths and environment of this one.

    #!/bin/bash
    # comments               in their place a line on where this script comes from
    #SBATCH --nodes=2        with other values; lines that the user wants besides come behind the last one
    set -eu                  and the working directory

    . "$VENV/bin/activate"   the environment of this dpnet, behind lines of the profile

    set -- job.toml          the training

    exec dpnet launch ...    stays as it is

So the files of launch/ are made of paragraphs, of which each has one purpose.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpnet.errors import ConfigError
from dpnet.launch.submit.request import Request

ACTIVATED, TRAINED, ARRAY = "/bin/activate", "set -- ", '"runs/seed-'
"""What the paragraphs of a file of launch/ are known by, and where its array's run directories begin."""


@dataclass(frozen=True)
class Training:
    """What a batch job trains.

    Attributes:
        words: arguments of `dpnet train`, without a run directory.
        path: of the run directory, absolute; of an array, of the folder of all of them.
        seeds: of an array; empty: it is none.
    """

    words: tuple[str, ...]
    path: Path
    seeds: range = range(0)

    @property
    def run_dirs(self) -> list[Path]:
        """All run directories."""
        return [self.path / f"seed-{seed}" for seed in self.seeds] or [self.path]


@dataclass(frozen=True)
class Directives:
    """The lines of a script that its scheduler reads.

    Attributes:
        changed: values, by how the line of the template begins; None: the line is left out.
        added: lines that the template has not.
    """

    changed: Mapping[str, str | None]
    added: Sequence[str]


def make_script(template: str, head: str, directives: Directives, request: Request, training: Training) -> str:
    """The text of the script.

    Args:
        template: text of a file of launch/.
        head: a comment of one line.
        directives: for its scheduler.
        request: of the user.
        training: see there.

    Raises:
        ConfigError: the environment has no dpnet.
    """
    top, *paragraphs = template.split("\n\n")
    shebang, *lines = top.splitlines()
    body = [f"set -eu\ncd {shlex.quote(here())}"]
    for paragraph in paragraphs:
        if ACTIVATED in paragraph:
            body.append("\n".join([*request.setup, activation(request.environment)]))
        elif TRAINED in paragraph:
            body.append("\n".join(_arguments(paragraph, training)))
        else:
            body.append(paragraph.rstrip("\n"))
    return "\n".join([shebang, f"# {head}", *_filled(lines, directives), "\n\n".join(body), ""])


def _filled(lines: Sequence[str], directives: Directives) -> list[str]:
    """The directives among these lines, with their values."""
    found, unused = [], dict(directives.changed)
    for line in lines:
        if not re.match(r"#[A-Z]", line):
            continue
        begins = next((begin for begin in directives.changed if line.startswith(begin)), None)
        value = line if begins is None else unused.pop(begins)
        if value is not None:
            found.append(line if begins is None else begins + value)
    assert not unused, f"no line of the template begins with {list(unused)}"
    return [*found, *directives.added]


def _arguments(paragraph: str, training: Training) -> list[str]:
    """Lines that make the arguments of `dpnet train` those of the script."""
    if not training.seeds:
        return [shlex.join(["set", "--", *training.words, "--output", str(training.path)])]
    assert ARRAY in paragraph, paragraph
    base = f'{shlex.quote(str(training.path))}"/seed-'
    return [
        shlex.join(["set", "--", *training.words]),
        *(line.replace(ARRAY, base) for line in paragraph.splitlines()[1:]),
    ]


def activation(environment: str) -> str:
    """The line that puts the programs of an environment on PATH: of a virtual one its own script, of others the folder.

    Args:
        environment: its folder; empty: that of this process.

    Raises:
        ConfigError: it has no dpnet.
    """
    programs = Path(environment or sys.prefix, "bin")
    if not environment and not _has_dpnet(programs):
        found = shutil.which("dpnet")
        programs = Path(found).parent if found else programs
    if not _has_dpnet(programs):
        raise ConfigError(
            f"there is no program {programs / 'dpnet'}: install dpnet in this environment, or name another"
        )
    if (programs.parent / "pyvenv.cfg").exists() and (programs / "activate").exists():
        return f". {shlex.quote(str(programs / 'activate'))}"
    return f'export PATH={shlex.quote(str(programs))}:"$PATH"'


def _has_dpnet(programs: Path) -> bool:
    return os.access(programs / "dpnet", os.X_OK)


def here() -> str:
    """The current directory, by the name that the shell has for it: others may not be there on other hosts."""
    name, path = os.environ.get("PWD", ""), os.getcwd()
    return name if os.path.isabs(name) and os.path.isdir(name) and os.path.samefile(name, path) else path
